"""The persisted config of a run: each field is a flag, a TOML key, an entry of the help and a check.

No TensorFlow and no file access: `cli` reads and writes it, every other module takes the section that it needs.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, field_validator, model_validator

from kerascnn.config.images import Augment, Data
from kerascnn.config.section import Section
from kerascnn.config.training import Fit, Optim

TrackerName = Literal["tensorboard", "mlflow", "wandb"]
_APART = 1_000_003  # between the seeds of two folds: --seed 1 is no other fold of --seed 0


class Model(Section):
    """The network."""

    arch: str = Field(
        "resnet",
        description="a network of `kerascnn archs`, a family (resnet, inception), keras:NAME, or FILE.py:FUNCTION, which"
        " takes input_shape and num_classes and returns a Keras model of logits",
    )
    width: float = Field(1.0, gt=0, le=16, description="factor of every filter count; 1: the paper's counts")
    width_divisor: Literal[8, 4, 2, 1] = Field(8, description="filter counts scaled by --width are multiples of this")
    filters: dict[str, Annotated[int, Field(gt=0)]] = Field(
        {}, description="filter counts by the names of `kerascnn archs ARCH --layers`"
    )
    blocks: tuple[Annotated[int, Field(gt=0)], ...] | None = Field(
        None, description="blocks of each stage of a residual network (default: the arch's)"
    )
    bottleneck_ratio: float | None = Field(
        None, gt=0, le=8, description="filters inside a residual block / width of its stage (default: the arch's)"
    )
    stem: Literal["auto", "small", "large"] = Field(
        "auto", description="small: 3x3, stride 1, no pooling; large: the paper's; auto: small up to 64 px"
    )
    shortcut: Literal["auto", "A", "B", "none"] = Field(
        "auto",
        description="shortcuts of CIFAR ResNets where shapes change: A pads with zeros, B is a 1x1 convolution; "
        "none: a plain network without additions; auto: the arch's",
    )
    branches: tuple[str, ...] = Field(
        (), description="the only branches of Inception modules: 1x1, 3x3, ... by the names of --layers (default: all)"
    )
    zero_init_residual: bool = Field(
        False, description="initialize the last normalization of each residual branch with 0"
    )
    whiten: bool = Field(
        False, description="first convolution whitens patches of training images; the stem is not trained"
    )
    drop_path: float = Field(
        0.0, ge=0, lt=1, description="drop rate of the last block's residual branch; rises linearly from 0"
    )
    drop_block: float = Field(
        0.0, ge=0, lt=1, description="share of the pixels dropped in squares after each of the last two stages"
    )
    drop_block_size: int = Field(7, ge=1, le=64, description="--drop-block: side of a square, in pixels of the stage")
    dropout: float | None = Field(None, ge=0, lt=1, description="dropout before the logits (default: the paper's)")
    aux_weight: float | None = Field(
        None, ge=0, le=10, description="weight of auxiliary heads in the loss; 0: no heads (default: the arch's)"
    )
    weights: str | None = Field(
        None,
        min_length=1,
        description="initial weights: imagenet, hf://timm/NAME or of a pushed run, a weight file or a run; #sha256=... pins it",
    )
    freeze_stages: int = Field(
        0, ge=0, description="keep the stem and the first N stages of --weights, normalizations included"
    )


class Devices(Section):
    """The hardware of a run, which is not part of its identity."""

    devices: str = Field("auto", description="auto (all GPUs, else one CPU), cpu, cpu:N (logical), gpu, gpu:N")
    dtype: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto", description="dtype policy; auto: mixed_bfloat16 where the hardware has it"
    )
    jit: Literal["auto", "on", "off"] = Field("auto", description="XLA compilation; auto: with one GPU only")
    sync_bn: bool = Field(
        False,
        description="several devices or hosts: normalize over the whole batch, as one device does, not over each one's part",
    )

    @field_validator("devices")
    @classmethod
    def _kind_and_count(cls, value: str) -> str:
        kind, _, count = value.partition(":")
        if kind not in ("auto", "cpu", "gpu") or (
            ":" in value and (kind == "auto" or not count.isdecimal() or int(count) < 1)
        ):
            raise ValueError(f"expected auto, cpu, cpu:N, gpu or gpu:N, got {value!r}")
        return value


class Logging(Section):
    """The names and folders of a run, and what it records besides its scores."""

    run: str | None = Field(None, description="name of the run (default: <arch>_<dataset>_s<seed>-<identity>)")
    runs_dir: Path = Field(
        Path("experiments/runs"), description="folder of the runs", json_schema_extra={"metavar": "DIR"}
    )
    exports_dir: Path = Field(
        Path("saved_models"), description="folder of the exports", json_schema_extra={"metavar": "DIR"}
    )
    folds_dir: Path = Field(
        Path("experiments/folds"),
        description="folder of what all folds of --folds give together",
        json_schema_extra={"metavar": "DIR"},
    )
    export: bool = Field(True, description="export a SavedModel at the end")
    overwrite: bool = Field(False, description="delete the run of this name and start anew")
    steps_per_log: int = Field(20, ge=1, description="steps between two points of TensorBoard's batch curves")
    track: tuple[TrackerName, ...] = Field(
        ("tensorboard",), min_length=1, description="trackers: tensorboard, mlflow (extra mlflow), wandb (extra wandb)"
    )
    track_group: str | None = Field(
        None,
        pattern=r"^[\w .:-]{1,200}$",
        description="mlflow, wandb: group of the run (default: the comparison or search that it belongs to)",
    )
    profile: bool = Field(False, description="trace a few steps for TensorBoard's profiler and xprof")
    verbose: bool = Field(False, description="show TensorFlow's own output")

    @field_validator("run")
    @classmethod
    def _plain(cls, name: str | None) -> str | None:
        if name is not None and (not name or name.startswith(".") or any(c in name for c in '/\\\0\n\r\t"')):
            raise ValueError(f"a run's name is one folder's name, got {name!r}")
        return name


class Config(Section):
    """All sections of a run's config. Precedence: default < recipe < flag."""

    data: Data = Data()
    augment: Augment = Augment()
    model: Model = Model()
    optim: Optim = Optim()
    fit: Fit = Fit()
    devices: Devices = Devices()
    logging: Logging = Logging()

    @model_validator(mode="after")
    def _consistent(self) -> "Config":
        if self.fit.epochs is not None and self.optim.warmup >= max(self.fit.epochs, 2):
            raise ValueError(f"warmup ({self.optim.warmup:g} epochs) must be shorter than epochs ({self.fit.epochs})")
        if self.fit.epochs is not None and self.fit.head_epochs >= self.fit.epochs:
            raise ValueError(f"head-epochs ({self.fit.head_epochs}) must be fewer than epochs ({self.fit.epochs})")
        if self.fit.epochs is not None and (self.fit.low_res_epochs or 0) >= self.fit.epochs:
            raise ValueError(
                f"low-res-epochs ({self.fit.low_res_epochs}) must be fewer than epochs ({self.fit.epochs})"
            )
        trained = None if self.fit.epochs is None else self.fit.epochs - self.fit.head_epochs
        if self.fit.average_last == 1 or (trained is not None and self.fit.average_last > trained):
            raise ValueError(f"average-last: expected 2 to all epochs after --head-epochs, got {self.fit.average_last}")
        if self.fit.low_res_epochs and self.fit.head_epochs:
            raise ValueError("low-res-epochs and head-epochs: give one of the two")
        return self

    @property
    def draw_seed(self) -> int:
        """Seed of initial weights, order and augmentation: `fit.seed`, and in each fold but the first another one.

        Folds of one seed would share their luck, and the spread over folds would not show it.
        """
        return (self.fit.seed + _APART * ((self.data.fold or 1) - 1)) % 2**32

    def replace(self: "AnyConfig", **sections: dict[str, Any]) -> "AnyConfig":
        """Returns a validated copy; each keyword names a section and gives the fields that change."""
        changed = {name: {**dict(getattr(self, name)), **fields} for name, fields in sections.items()}
        return type(self).model_validate({**dict(self), **changed})


AnyConfig = TypeVar("AnyConfig", bound=Config)


IDENTITY_SECTIONS = ("data", "augment", "model", "optim", "fit")


def choices(literal: Any) -> tuple[str, ...]:
    """Returns the names that a Literal type allows."""
    return get_args(literal)
