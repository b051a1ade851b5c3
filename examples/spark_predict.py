"""Predictions with Spark: a data frame of images in, one of predictions out, with the network loaded once per task.

    spark-submit examples/spark_predict.py NETWORK FOLDER OUTPUT

Needs `pip install pyspark pandas` and Java. The images come as bytes, from whatever file system Spark reads (HDFS, S3); each
executor needs kerascnn and the network's file. A second start begins anew.
"""

import sys
from collections.abc import Iterator

import pandas as pd
from pyspark.sql import SparkSession

SCHEMA = "path string, class string, probability float, problem string"


def classifier(network: str):
    """Returns a function from data frames with the columns `path` and `content` to those of SCHEMA."""

    def predict(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        import kerascnn  # in the task: TensorFlow starts there, once

        model = kerascnn.load(network)
        for frame in frames:
            # Pixels as every command sees them, or why a file cannot be used.
            found = [model.decoded(bytes(content)) for content in frame["content"]]
            problems = [pixels if isinstance(pixels, str) else None for pixels in found]
            answers = iter(model.predict([pixels for pixels in found if not isinstance(pixels, str)]))
            rows = [None if problem else next(answers) for problem in problems]
            yield pd.DataFrame(
                {
                    "path": frame["path"],
                    "class": [None if row is None else model.class_names[row.argmax()] for row in rows],
                    "probability": [None if row is None else row.max() for row in rows],
                    "problem": problems,
                }
            )

    return predict


def main(network: str, folder: str, output: str) -> None:
    """Predicts the JPEG and PNG files below a folder, and writes Parquet."""
    spark = SparkSession.builder.appName("kerascnn").getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 64)
    images = spark.read.format("binaryFile").option("recursiveFileLookup", True).option("pathGlobFilter", "*.{jpg,png}")
    rows = images.load(folder).select("path", "content")
    rows.mapInPandas(classifier(network), SCHEMA).write.mode("overwrite").parquet(output)


if __name__ == "__main__":
    main(*sys.argv[1:])
