"""The flags of `kerascnn evaluate`. No TensorFlow."""

from typing import Annotated, Literal

import tyro
from pydantic import Field

from kerascnn.config.section import Section


class Evaluate(Section):
    """What is asked about which images."""

    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN", help_behavior_hint="")] = Field(
        "",
        description="a run (its directory, its name, or latest), a .keras file, a SavedModel, a LiteRT or an ONNX file",
    )
    split: Literal["train", "val", "test"] = Field("test", description="which images")
    dataset: str | None = Field(
        None, description="other images than the run's own: the same names as for fit; its classes must be known"
    )
    data_dir: str | None = Field(None, description="where TensorFlow Datasets keeps its prepared data")
    tta: Literal["none", "flip", "shifts", "crops"] = Field(
        "none",
        description="also score the mean over views: mirrored; moved a little as well; or whole, centre and corners, mirrored",
    )
    corruptions: bool = Field(
        False, description="also score under noise, blur, contrast, brightness, JPEG and pixels, in five severities"
    )
    resolutions: bool = Field(False, description="also score images that were brought to a smaller side and back")
    explain: bool = Field(False, description="also measure Grad-CAM: deletion score and sanity check, by stage")
    most: int | None = Field(
        1000, ge=1, description="at most so many images, spread over the split, for the last three"
    )
    output: str | None = Field(
        None, description="a folder for scores, predictions and pictures of an artefact or of other images"
    )
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(False, description="one JSON object, nothing else")
