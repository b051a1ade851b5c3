#!/bin/sh
# Every format of some runs with its proof, and the SavedModel asked by TensorFlow's own command line tool.
#   sh experiments/exports/run.sh WORK RUN...
# WORK: a folder for the exports and what the tools say. Then, on a machine with nothing else to do (about 2 minutes each):
#   python -m experiments.exports.latency resnet50 224 > WORK/resnet50.json
#   python -m experiments.exports.latency inception_v3 299 > WORK/inception_v3.json
# and at last:
#   python -m experiments.exports.export_table WORK > experiments/results/export.md
set -eu
work=$1
shift
mkdir -p "$work"
python - "$work" << 'END'
import sys

import numpy as np
from PIL import Image

Image.linear_gradient("L").convert("RGB").save(f"{sys.argv[1]}/photo.jpg")
with open(f"{sys.argv[1]}/photo.jpg", "rb") as file:  # the tool takes arrays from files: a batch of one image's bytes
    np.save(f"{sys.argv[1]}/photo.npy", np.array([file.read()]))
END
for run in "$@"; do
  name=$(basename "$run")
  # 1: int8 was not kept; the rest is there.
  python -m kerascnn.export "$run" --formats savedmodel litert onnx keras --exports-dir "$work/saved_models" || [ $? = 1 ]
  version="$work/saved_models/$name/1"
  saved_model_cli show --dir "$version" --all > "$work/$name.show.txt" 2> /dev/null
  saved_model_cli run --dir "$version" --tag_set serve --signature_def serving_default \
    --inputs "image_bytes=$work/photo.npy" > "$work/$name.run.txt" 2> /dev/null
done
