"""The flags of `kerascnn predict`."""

import re
from pathlib import Path
from typing import Annotated, Literal

import tyro
from pydantic import Field, field_validator

from kerascnn.config.section import Section
from kerascnn.data import formats
from kerascnn.prediction.sorting import UNSURE
from kerascnn.studies.placement import Placement

# As `scoring.class_maps.METHODS`, which imports TensorFlow.
MapName = Literal["grad-cam", "grad-cam++", "layer-cam", "hires-cam", "integrated-gradients", "occlusion"]


class ManyImages(Section):
    """Many images: parts in a folder, which a second start continues, on one machine or several."""

    output: Path | None = Field(
        None,
        description="folder of the predictions, in parts; IMAGE may also be list:FILE, table:FILE, wds:PATTERN, tfrecord:PATTERN",
        json_schema_extra={"metavar": "DIR"},
    )
    part: int = Field(10_000, ge=1, le=10_000_000, description="images of a part: what a kill costs at most")
    format: Literal["csv", "parquet"] = Field("csv", description="of the parts")
    shard: str | None = Field(
        None,
        description="every N-th part from the I-th on, 0 to N-1, for N processes with the same DIR",
        json_schema_extra={"metavar": "I/N"},
    )
    image_column: str | None = Field(None, description="column of a table with paths or images (default: a usual name)")
    image_key: str | None = Field(None, description="feature of TFRecord with images (default: a usual name)")
    dry_run: bool = Field(False, description="with --output: list the images, print the plan and exit")
    merge: Path | None = Field(
        None,
        description="join the parts in this folder into one file, or say which are missing",
        json_schema_extra={"metavar": "DIR"},
    )

    @field_validator("shard")
    @classmethod
    def _of_several(cls, shard: str | None) -> str | None:
        if shard is not None:
            found = re.fullmatch(r"(\d+)/(\d+)", shard)
            if found is None or not int(found[1]) < int(found[2]) <= 1_000_000:
                raise ValueError(f"expected I/N with I from 0 to N-1, as 0/8, got {shard!r}")
        return shard

    @property
    def share(self) -> tuple[int, int]:
        """I and N of --shard; 0 and 1 without it."""
        index, _, count = (self.shard or "0/1").partition("/")
        return int(index), int(count)


class PartPlacement(Placement):
    """Where parts are predicted with --output, and by how many processes; the rows do not depend on it."""

    executor: str = Field(
        "local",
        description="where parts are predicted: local, ray (Ray's workers on this machine), ray:ADDRESS (a cluster of Ray),"
        " slurm",
        json_schema_extra={"metavar": "local|ray[:ADDRESS]|slurm"},
    )
    workers: int = Field(
        1, ge=1, le=1024, description="processes at the same time, each with a network and its own cores"
    )
    worker_cpus: int | None = Field(
        None, ge=1, le=1024, description="ray, slurm: cores of each process (default: as many as this machine has)"
    )
    worker_gpus: int = Field(0, ge=0, le=64, description="ray, slurm: GPUs of each process")


class Predict(Section):
    """The flags of `kerascnn predict`."""

    artefact: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL")] = Field(
        "",
        description="a run (its directory, its name, or latest), a .keras file, a SavedModel, a LiteRT, ONNX or OpenVINO file",
    )
    images: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="IMAGE...")] = Field(
        (),
        description="files, folders (all images below), quoted patterns, or - for a list on standard input; in "
        f"{formats.NAMES}",
    )
    top: int = Field(5, ge=1, description="number of classes per image, the most probable first")
    threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="of a network of several labels per image: every label from this probability on (default: those that"
        " val chose, of each class its own)",
    )
    task: Literal["single", "multi"] | None = Field(
        None, description="for a bare .keras file: as --task of fit (default: single)"
    )
    sets: bool = Field(
        False, description="print the prediction set of each image: its class, or unsure: cat | dog (of a run)"
    )
    coverage: float = Field(
        0.9, gt=0, lt=1, description="with --sets: share of images like val's whose true class is in their set"
    )
    set_score: Literal["lac", "aps", "raps"] = Field(
        "lac", description="with --sets: lac (smallest), aps (never empty), raps (aps, no very large sets)"
    )
    reject_unknown: bool = Field(
        False,
        description="print unknown for images unlike the run's own (of a run that evaluate --unknown has measured)",
    )
    batch_size: int = Field(32, ge=1, description="images of one call of the network")
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(
        False, description="print one JSON object per image and line, nothing else on standard output"
    )
    as_csv: Annotated[bool, tyro.conf.arg(name="csv")] = Field(
        False, description="print CSV with a header and one row per image, nothing else on standard output"
    )
    cam: MapName | None = Field(
        None,
        description="draw maps of what supports the predicted class or labels, by this method (of a run or a .keras file)",
    )
    cam_into: str = Field("cam", description="folder of these maps", json_schema_extra={"metavar": "DIR"})
    cam_smooth: int = Field(
        0, ge=0, description="mean over the maps of so many noisy copies of the image; 0: the map of the image itself"
    )
    sort_into: str | None = Field(
        None,
        description="folder into which each image is copied, below the name of its predicted class, or of each label",
        json_schema_extra={"metavar": "DIR"},
    )
    min_confidence: float = Field(
        0.0, ge=0, le=1, description=f"with --sort-into: images with a lower probability go into the folder {UNSURE}"
    )
    link: bool = Field(False, description="with --sort-into: make symbolic links instead of copies")
    class_names: str | None = Field(
        None, description="for a bare .keras file: cat,dog,... or a file of one name per line (an export's classes.txt)"
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="for a bare .keras file that takes any size: height and width in pixels"
    )
    resize: Literal["crop", "pad", "squash"] | None = Field(
        None, description="for a bare .keras file: as --resize of fit (default: crop above 64 px, else squash)"
    )
    many: ManyImages = ManyImages()
    placement: PartPlacement = PartPlacement()
