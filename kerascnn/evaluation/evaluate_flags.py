"""The flags of `kerascnn evaluate`. No TensorFlow."""

from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field

from kerascnn.config.section import Section


class Evaluate(Section):
    """The flags of `kerascnn evaluate`."""

    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")] = Field(
        "",
        description="a run (its directory, its name, or latest), a .keras file, a SavedModel, a LiteRT, ONNX or OpenVINO file",
    )
    split: Literal["train", "val", "test"] = Field("test", description="images to score")
    dataset: str | None = Field(
        None, description="score other images, named as for fit; the network must know their classes"
    )
    data_dir: str | None = Field(
        None, description="folder of the prepared data of TensorFlow Datasets", json_schema_extra={"metavar": "DIR"}
    )
    tta: Literal["none", "flip", "shifts", "crops"] = Field(
        "none",
        description="also score the mean over views: mirrored (flip); moved as well (shifts); or whole, center and corners,"
        " mirrored (crops)",
    )
    corruptions: bool = Field(
        False, description="also score under noise, blur, contrast, brightness, JPEG and pixelation, at five severities"
    )
    resolutions: bool = Field(False, description="also score images that are scaled down and up again")
    explain: bool = Field(
        False,
        description="also measure class maps: Grad-CAM by stage, and all methods (deletion, insertion, sanity check)",
    )
    boxes: Path | None = Field(
        None,
        description="with --explain: table of boxes (image, left, top, right, bottom in pixels; label) for the pointing game",
        json_schema_extra={"metavar": "FILE"},
    )
    dedupe: bool = Field(
        False,
        description="also score without images that have a near-copy in train; known after an audit (extra audit)",
    )
    most: int | None = Field(
        1000, ge=1, description="largest number of images for the last three, spread over the split"
    )
    coverage: float = Field(
        0.9, gt=0, lt=1, description="share of the images whose true class shall be in their prediction set"
    )
    set_score: Literal["lac", "aps", "raps"] = Field(
        "lac", description="prediction sets by: lac (smallest), aps (never empty), raps (aps, no very large sets)"
    )
    condition_on: str | None = Field(
        None,
        min_length=1,
        description="also a threshold for each stratum with 50 images: a column of the table, or a regular expression on"
        " the path",
        json_schema_extra={"metavar": "COLUMN|REGEX"},
    )
    target_accuracy: float = Field(
        0.99, gt=0, lt=1, description="accuracy of the most certain predictions, for the share of images that they are"
    )
    unknown: str | None = Field(
        None,
        description="folder of images of other classes: how many are told from the run's own",
        json_schema_extra={"metavar": "FOLDER"},
    )
    accept: float = Field(
        0.95, gt=0, lt=1, description="with --unknown: share of images like the run's own that shall be accepted"
    )
    output: str | None = Field(
        None,
        description="folder for scores, predictions and pictures of an artefact or of other images",
        json_schema_extra={"metavar": "DIR"},
    )
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object and nothing else"
    )
