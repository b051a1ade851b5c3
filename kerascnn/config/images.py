"""The sections of the config about images: where they are, how they are cut, and how they vary."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from kerascnn.config import augment_notation
from kerascnn.config.addresses import has_secrets, without_secrets
from kerascnn.config.section import VOLATILE, Section

AugmentName = Literal[
    "auto", "none", "flip", "flip_vertical", "shift", "resized_crop", "color", "grayscale", "cutout", "mixup", "cutmix"
]
ResizeMode = Literal["auto", "crop", "pad", "squash"]
TaskName = Literal["auto", "single", "multi"]


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
    calibration_fraction: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of train that is kept apart and chooses nothing: the thresholds of prediction sets from it hold",
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

    augment: tuple[str, ...] = Field(
        ("auto",),
        description="augmentations, in this order; auto: shift flip up to 64 px, resized_crop flip above; any of "
        f"{', '.join((*get_args(AugmentName), *augment_notation.NOTATIONS))}; the last ones take more, such as"
        " rand-m9-mstd0.5-inc1 (docs/augmentation.md)",
    )
    shift: float = Field(0.0625, gt=0, le=0.5, description="shift: largest move as a share of the side; zeros move in")
    crop_area: tuple[float, float] = Field(
        (0.35, 1.0), description="resized_crop: smallest and largest share of the area"
    )
    crop_ratio: tuple[float, float] = Field(
        (3 / 4, 4 / 3), description="resized_crop: smallest and largest width / height"
    )
    crop_interpolation: Literal["bilinear", "bicubic", "random"] = Field(
        "bilinear",
        description="resized_crop: how crops are resized, antialiased; random: one of the two for each image",
    )
    color: float = Field(0.4, gt=0, le=1, description="color: strength of brightness, contrast and saturation")
    hue: float = Field(0.0, ge=0, le=0.5, description="color: largest turn of the hue, as a share of the color circle")
    cutout: float = Field(0.5, gt=0, le=1, description="cutout: side of the gray square as a share of the image's")
    mixup: float = Field(0.2, gt=0, le=10, description="mixup: both parameters of the Beta distribution")
    cutmix: float = Field(1.0, gt=0, le=10, description="cutmix: both parameters of the Beta distribution")

    augmix_jsd: float = Field(
        0.0,
        ge=0,
        le=100,
        description="augmix: weight of the Jensen-Shannon divergence between three views of each image, two with augmix;"
        " 0: one view, as any augmentation (12: the paper's)",
    )
    mix_prob: float = Field(1.0, ge=0, le=1, description="mixup, cutmix: probability of mixing")
    mix_switch_prob: float = Field(
        0.5, ge=0, le=1, description="mixup with cutmix: probability of cutmix, the rest is mixup"
    )
    mix_mode: Literal["neighbor", "batch", "pair", "elem"] = Field(
        "neighbor",
        description="neighbor: each image with the one before it, draws of its own; as timm, image i with the i-th from the"
        " end: batch (one draw for all), pair (one for both), elem (one for each)",
    )
    mix_epochs: int | None = Field(
        None, ge=1, description="mixup, cutmix: stop after this many epochs (default: never)"
    )

    @field_validator("augment")
    @classmethod
    def _alone(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for word in names:
            augment_notation.check(word, get_args(AugmentName))
        heads = [augment_notation.head(word) for word in names]
        if len(set(heads)) != len(heads):
            raise ValueError(f"each augmentation once, got {' '.join(names)}")
        for name in ("auto", "none"):
            if name in names and len(names) > 1:
                raise ValueError(f"{name} stands alone, got {' '.join(names)}")
        return names or ("none",)

    @model_validator(mode="after")
    def _views(self) -> "Augment":
        if not self.augmix_jsd:
            return self
        heads = [augment_notation.head(word) for word in self.augment]
        if "augmix" not in heads:
            raise ValueError("augmix-jsd: the views differ by augmix, which is not among --augment")
        if mixed := [name for name in ("mixup", "cutmix") if name in heads]:
            raise ValueError(f"augmix-jsd: its views are of one image, and {mixed[0]} mixes two: give one of them")
        return self

    @field_validator("crop_ratio")
    @classmethod
    def _positive(cls, ratio: tuple[float, float]) -> tuple[float, float]:
        if not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"expected 0 < smallest <= largest, got {ratio[0]} {ratio[1]}")
        return ratio

    @field_validator("crop_area")
    @classmethod
    def _ordered(cls, area: tuple[float, float]) -> tuple[float, float]:
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"expected 0 < smallest <= largest <= 1, got {area[0]} {area[1]}")
        return area
