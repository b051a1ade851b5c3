"""The persisted config of a run: each field is a flag, a TOML key, an entry of the help and a check.

No TensorFlow and no file access: `cli` reads and writes it, every other module takes the section that it needs.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args

from pydantic import Field, field_validator, model_validator

from kerascnn.config.addresses import has_secrets, without_secrets
from kerascnn.config.section import VOLATILE, Section
from kerascnn.scoring import task as tasks

AugmentName = Literal[
    "auto", "none", "flip", "flip_vertical", "shift", "resized_crop", "color", "grayscale", "cutout", "mixup", "cutmix"
]
OptimizerName = Literal["auto", "sgd", "adamw", "muon"]
ScheduleName = Literal["auto", "cosine", "linear", "step", "constant"]
ResizeMode = Literal["auto", "crop", "pad", "squash"]
TaskName = Literal["auto", "single", "multi"]
LossName = Literal["auto", "softmax", "bce", "focal", "asymmetric"]
SamplingName = Literal["shuffle", "balanced", "sqrt"]
if TYPE_CHECKING:
    MonitorName = str
else:  # a type checker knows no Literal of values
    MonitorName = Literal[("auto", *tasks.MONITORS)]


_APART = 1_000_003  # between the seeds of two folds: --seed 1 is no other fold of --seed 0


class Data(Section):
    """The images and their splits."""

    dataset: Annotated[str, Field(min_length=1)] = Field(
        "fashion_mnist_mini",
        description="fashion_mnist_mini (embedded), tfds:NAME, a folder of images (PATH, folder:PATH), a table of images in"
        " CSV, TSV, JSON lines or Parquet (PATH, table:PATH), WebDataset or TFRecord shards (wds:PATTERN,"
        " tfrecord:PATTERN), arrays (npz:FILE), or hf:NAME_OR_FOLDER of Hugging Face; images in JPEG, PNG, GIF, BMP, WebP, TIFF,"
        " AVIF, HEIC, JPEG 2000, PPM, TGA, ICO, PCX, SGI",
        json_schema_extra=VOLATILE,
    )
    data_dir: str | None = Field(
        None,
        description="folder of the prepared data of TensorFlow Datasets, or of what hf: fetched",
        json_schema_extra={**VOLATILE, "metavar": "DIR"},
    )
    download: bool = Field(
        False,
        description="let TensorFlow Datasets, or Hugging Face's library, download what is not there yet",
        json_schema_extra=VOLATILE,
    )
    image_size: int | None = Field(
        None, ge=8, le=1024, description="height and width in pixels (default: the data set's own, else 224)"
    )
    resize: ResizeMode = Field(
        "auto",
        description="crop: shorter side to size / 0.875, then the center; pad: whole image with a black border; "
        "squash: ignores the aspect ratio; auto: crop above 64 px, else squash",
    )
    task: TaskName = Field(
        "auto",
        description="single: one class per image; multi: any number of labels per image, a sigmoid each;"
        " auto: what the labels are",
    )
    fraction: float = Field(
        1.0, gt=0, le=1, description="share of the training images, stratified; smaller shares are subsets"
    )
    val_fraction: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of train that becomes val (default: 0.1, or 0.15 if test is cut too); "
        "0: no val, the last epoch is kept",
    )
    split_seed: int = Field(0, ge=0, description="seed of the cut into train, val and test; changes nothing else")
    split_file: str | None = Field(
        None,
        description="CSV of path,label,split with the split of each image, such as a run's split.csv",
        json_schema_extra={**VOLATILE, "metavar": "FILE"},
    )
    unlisted: Literal["cut", "out"] = Field(
        "cut", description="images that --split-file does not list: cut by a hash of the path, or left out"
    )
    leave_out: tuple[str, ...] = Field(
        (),
        description="folders without data: names or patterns at any depth, or paths below the data set",
        json_schema_extra={**VOLATILE, "metavar": "DIR"},
    )
    image_column: str | None = Field(
        None,
        description="table, hf: column of paths or of image bytes (default: found by a usual name)",
        json_schema_extra={**VOLATILE, "metavar": "NAME"},
    )
    label_column: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="table, hf: column of labels, or one column of 0 and 1 per class; patterns are allowed",
        json_schema_extra={**VOLATILE, "metavar": "NAME"},
    )
    split_column: str | None = Field(
        None,
        description="table: column of train, val and test (default: found by a usual name)",
        json_schema_extra={**VOLATILE, "metavar": "NAME"},
    )
    group_column: str | None = Field(
        None,
        description="table: column of groups; the images of a group stay in one split",
        json_schema_extra={**VOLATILE, "metavar": "NAME"},
    )
    label_separator: str | None = Field(
        None,
        min_length=1,
        description="table: separates the labels of an image, which may then have any number of them",
        json_schema_extra={**VOLATILE, "metavar": "TEXT"},
    )
    class_names: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        (),
        description="names of the classes in their order: those of tables (default: in order of appearance), shards and arrays",
        json_schema_extra={**VOLATILE, "metavar": "NAME"},
    )
    image_key: str | None = Field(
        None,
        min_length=1,
        description="tfrecord: feature of the encoded image (default: image/encoded, or image)",
        json_schema_extra={**VOLATILE, "metavar": "NAME"},
    )
    label_key: str | None = Field(
        None,
        min_length=1,
        description="tfrecord: feature of the label (default: image/class/label, or label); wds: key of .json files",
        json_schema_extra={**VOLATILE, "metavar": "NAME"},
    )
    allow_outside: bool = Field(
        False, description="table: also read images outside of the table's folder", json_schema_extra=VOLATILE
    )
    group_by: str | None = Field(
        None,
        description="regular expression on the path: images with the same match stay in one split",
        json_schema_extra={"metavar": "REGEX"},
    )
    exclude: str | None = Field(
        None,
        description="CSV with the column path: images that are left out, such as an audit's exclude.csv",
        json_schema_extra={**VOLATILE, "metavar": "FILE"},
    )
    relabel: str | None = Field(
        None,
        description="CSV with the columns path,label: corrected labels, such as an audit's relabel.csv",
        json_schema_extra={**VOLATILE, "metavar": "FILE"},
    )
    dedupe: Literal["none", "group"] = Field(
        "none", description="group: near-copies of an image stay in its split, as groups of --group-by do (extra audit)"
    )
    val_is_val: bool = Field(
        False, description="keep a given val folder as val although no test is left; scores are marked"
    )
    folds: int | None = Field(
        None,
        ge=2,
        le=100,
        description="cut the images into N folds by the same hash; each run has one of them as test, and a given test is apart",
    )
    fold: int | None = Field(
        None, ge=1, description="the fold of this run, from 1 (default: fit and compare train the runs of all folds)"
    )
    cache: str = Field(
        "auto",
        description="keep images in memory: auto (up to a quarter of what is free), memory or off; disk:DIR: also keep"
        " files that are not local in a folder, up to half of its disk",
        json_schema_extra=VOLATILE,
    )

    @field_validator("dataset")
    @classmethod
    def _without_credentials(cls, dataset: str) -> str:
        if has_secrets(dataset):
            raise ValueError(
                f"{without_secrets(dataset)} was given with credentials, which would be written down with the run: give them"
                " as the store's own tools take them (environment variables, configuration files)"
            )
        return dataset

    @field_validator("cache")
    @classmethod
    def _known_cache(cls, cache: str) -> str:
        if cache not in ("auto", "memory", "off") and not (cache.startswith("disk:") and len(cache) > 5):
            raise ValueError(f"expected auto, memory, off or disk:DIR, got {cache!r}")
        return cache

    @field_validator("class_names")
    @classmethod
    def _each_once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"each class once, got {twice[0]!r} twice")
        return names

    @model_validator(mode="after")
    def _one_grouping(self) -> "Data":
        if self.group_by is not None and self.group_column is not None:
            raise ValueError("group-by and group-column: give one of the two")
        return self

    @model_validator(mode="after")
    def _one_of_the_folds(self) -> "Data":
        if self.fold is not None and self.folds is None:
            raise ValueError(f"--fold {self.fold} of how many? --folds 5 --fold {self.fold}")
        if self.fold is not None and self.folds is not None and self.fold > self.folds:
            raise ValueError(f"--fold {self.fold}: there are {self.folds} folds, counted from 1")
        if self.folds is not None and self.val_is_val:
            raise ValueError(
                "--val-is-val and --folds: a fold is test, and val is cut from the others; give one of the two"
            )
        return self


class Augment(Section):
    """The variation of training images; val and test images stay as they are."""

    augment: tuple[AugmentName, ...] = Field(
        ("auto",),
        description="augmentations, in this order; auto: shift flip up to 64 px, resized_crop flip above",
    )
    shift: float = Field(0.0625, gt=0, le=0.5, description="shift: largest move as a share of the side; zeros move in")
    crop_area: tuple[float, float] = Field(
        (0.35, 1.0), description="resized_crop: smallest and largest share of the area"
    )
    color: float = Field(0.4, gt=0, le=1, description="color: strength of brightness, contrast and saturation")
    cutout: float = Field(0.5, gt=0, le=1, description="cutout: side of the gray square as a share of the image's")
    mixup: float = Field(0.2, gt=0, le=10, description="mixup: both parameters of the Beta distribution")
    cutmix: float = Field(1.0, gt=0, le=10, description="cutmix: both parameters of the Beta distribution")

    @field_validator("augment")
    @classmethod
    def _alone(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError(f"each augmentation once, got {' '.join(names)}")
        for name in ("auto", "none"):
            if name in names and len(names) > 1:
                raise ValueError(f"{name} stands alone, got {' '.join(names)}")
        return names or ("none",)

    @field_validator("crop_area")
    @classmethod
    def _ordered(cls, area: tuple[float, float]) -> tuple[float, float]:
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"expected 0 < smallest <= largest <= 1, got {area[0]} {area[1]}")
        return area


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
    dropout: float | None = Field(None, ge=0, lt=1, description="dropout before the logits (default: the paper's)")
    aux_weight: float | None = Field(
        None, ge=0, le=10, description="weight of auxiliary heads in the loss; 0: no heads (default: the arch's)"
    )
    weights: str | None = Field(
        None,
        min_length=1,
        description="initial weights: imagenet, hf://timm/NAME, a weight file or a run; #sha256=... pins the content",
    )
    freeze_stages: int = Field(
        0, ge=0, description="keep the stem and the first N stages of --weights, normalizations included"
    )


class Optim(Section):
    """The optimizer and its schedule."""

    optimizer: OptimizerName = Field(
        "auto",
        description="sgd: Nesterov momentum; muon: Muon (Jordan et al., 2024) for convolutions, AdamW for the rest;"
        " auto: muon up to 64 px from scratch, else sgd",
    )
    lr: float | None = Field(
        None,
        gt=0,
        description="peak learning rate for the global batch (default: adamw 0.001, muon 0.1,"
        " sgd 0.1 * batch / 64 at 32 px, falling to 0.1 * batch / 256 at 224 px)",
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd and muon")
    weight_decay: float | None = Field(
        None,
        ge=0,
        description="decoupled decay of all but normalizations and biases (default: 0.005 sgd, 0.05 adamw and muon)",
    )
    schedule: ScheduleName = Field(
        "auto",
        description="learning rate after warm-up; linear: one cycle, down to 0; auto: linear with muon, else cosine",
    )
    warmup: float = Field(1.0, ge=0, description="epochs of linear warm-up")
    step_epochs: tuple[float, ...] = Field(
        (0.5, 0.75), description="step: shares of the epochs after which the rate is divided by 10"
    )
    loss: LossName = Field(
        "auto",
        description="softmax: cross-entropy of one class; bce: binary cross-entropy of each class; focal, asymmetric: with less"
        " weight where the network is sure; auto: softmax, or bce with several labels per image",
    )
    bce_threshold: float | None = Field(
        None, ge=0, lt=1, description="bce: targets above this are 1, others 0 (default: as mixed and smoothed)"
    )
    bce_sum: bool = Field(False, description="bce: sum over classes instead of their mean")
    focal_gamma: float = Field(2.0, ge=0, le=10, description="focal: power of what the network gets wrong")
    focal_alpha: float = Field(
        0.25, gt=0, lt=1, description="focal: weight of present labels; the rest is that of absent ones"
    )
    asymmetric_gamma: tuple[Annotated[float, Field(ge=0, le=10)], Annotated[float, Field(ge=0, le=10)]] = Field(
        (4.0, 1.0), description="asymmetric: powers for absent and for present labels"
    )
    asymmetric_clip: float = Field(
        0.05, ge=0, lt=1, description="asymmetric, several labels: absent labels below this probability do not count"
    )
    label_smoothing: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of a label's weight that is spread over all classes, or over yes and no"
        " (default: 0.1; 0 with several labels per image)",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: rare classes weigh more in the loss; with several labels per image, their positives do",
    )
    ema: float = Field(0.0, ge=0, lt=1, description="decay of averaged weights, used for val, test and exports; 0: off")
    backbone_lr_scale: float = Field(
        1.0, gt=0, le=1, description="with --weights: factor of the learning rate for all but the head"
    )
    bias_lr_scale: float = Field(
        1.0, gt=0, le=1000, description="factor of the learning rate for all biases, also of normalizations"
    )
    clip_norm: float | None = Field(None, gt=0, description="largest global norm of the gradient (default: no limit)")


class Fit(Section):
    """The length of the training, its batches, and the choice of the best epoch."""

    epochs: int | None = Field(
        None,
        ge=1,
        description="length of the whole schedule (default: 12; up to 64 px 6, of which 4 are --low-res-epochs;"
        " half of that for inception_small)",
    )
    batch_size: int = Field(64, ge=1, description="global batch size, shared by all replicas")
    accumulate: int = Field(
        1, ge=1, description="average the gradients of N batches before an update, on one device only"
    )
    sampling: SamplingName = Field(
        "shuffle",
        description="shuffle: each image once an epoch; balanced: all classes equally often; sqrt: by the root of their size",
    )
    repeats: int = Field(
        1,
        ge=1,
        le=16,
        description="show each image N times in a batch, augmented anew; an epoch keeps its number of images",
    )
    seed: int = Field(
        0, ge=0, le=2**32 - 1, description="seed of initial weights, order and augmentation, not of the split"
    )
    monitor: MonitorName = Field(
        "auto",
        description="score that chooses the best epoch; auto: val_accuracy, or val_macro_f1 if class sizes differ"
        " by more than 3 to 1; val_mean_average_precision with several labels per image",
    )
    patience: int | None = Field(None, ge=1, description="stop after N epochs without a better score (default: never)")
    head_epochs: int = Field(0, ge=0, description="with --weights: train the head alone in the first N epochs")
    low_res_epochs: int | None = Field(
        None,
        ge=0,
        description="train and validate the first N epochs at three quarters of the image size"
        " (default: 0, or as the default of --epochs says)",
    )
    checkpoint_every: int | None = Field(
        None, ge=1, description="also write a checkpoint every N steps", json_schema_extra=VOLATILE
    )
    stop_epoch: int | None = Field(
        None, ge=1, description="end after epoch N; the schedule stays that of --epochs", json_schema_extra=VOLATILE
    )
    max_hours: float | None = Field(
        None, gt=0, description="stop with a checkpoint after X hours (exit code 75)", json_schema_extra=VOLATILE
    )


class Devices(Section):
    """The hardware of a run, which is not part of its identity."""

    devices: str = Field("auto", description="auto (all GPUs, else one CPU), cpu, cpu:N (logical), gpu, gpu:N")
    dtype: Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "auto", description="dtype policy; auto: mixed_bfloat16 where the hardware has it"
    )
    jit: Literal["auto", "on", "off"] = Field("auto", description="XLA compilation; auto: with one GPU only")

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
