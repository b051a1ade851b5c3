"""The flags of `kerascnn compare`: those of fit and its own. No TensorFlow."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from pydantic import Field, field_validator, model_validator

from kerascnn.cli import flags
from kerascnn.cli.parsing import parse_config
from kerascnn.config import Config
from kerascnn.config.section import Section
from kerascnn.errors import UserError
from kerascnn.scoring.task import SINGLE, TASKS, Task
from kerascnn.studies.placement import Placement

MatchName = Literal["none", "macs", "params", "latency", "train-time"]
if TYPE_CHECKING:
    MetricName = str
else:  # a type checker knows no Literal of values
    _NAMES = dict.fromkeys(row.name for task in TASKS.values() for row in task.shown_in("compare"))
    MetricName = Literal[("auto", *_NAMES)]
# Flags of fit that compare decides itself, with what to type instead.
_DECIDED = {
    "--arch": "compare takes several: --archs resnet inception",
    "--seed": "compare takes their number: --seeds 5 means 0 to 4",
    "--run": "compare names its runs as fit would; --name names the comparison",
    "--width-divisor": "compare takes the coarsest of 8, 4, 2, 1 that meets the budget",
    "--filters": "filter names differ by arch; --width scales the first arch, --match the others",
    "--overwrite": "delete the run that is to be trained anew, or choose another --runs-dir",
    "--stop-epoch": "compare trains every run to its end: --epochs",
}


# Axes of variants besides arch and seed, one at a time.
AXES = ("recipes", "lr_grid", "fractions", "image_sizes", "tune_each")


def seconds(budget: str) -> float:
    """Returns a time such as 90s, 30m or 2h in seconds; a number without unit is seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|sec|m|min|h)?", budget.strip())
    value = float(found[1]) * {"h": 3600, "m": 60, "min": 60}.get(found[2] or "s", 1) if found else 0.0
    if not value:
        raise ValueError(f"--budget: expected a time such as 90s, 30m or 2h, got {budget!r}")
    return value


class Compare(Section):
    """The archs, their seeds, the terms of the comparison, and the score of the verdict."""

    archs: tuple[str, ...] = Field(
        ("resnet", "inception"), min_length=2, description="two or more; the first sets the budget"
    )
    seeds: Annotated[int, Field(ge=1, le=100)] = Field(5, description="runs per arch: 5 means seeds 0 to 4")
    until_decided: bool = Field(
        False, description="look after 3, 5, 8, 12 and 20 seeds, and stop at the first look that decides"
    )
    max_seeds: Annotated[int, Field(ge=3, le=20)] = Field(20, description="--until-decided: the most seeds per arch")
    choose_seeds: Annotated[int, Field(ge=1, le=100)] = Field(
        2,
        description="recipes, lr-grid, tune-each: further runs of each variant, whose val chooses the best; their test is never"
        " read, and the runs of --seeds judge the choice",
    )
    match: MatchName = Field(
        "macs",
        description="cost of the first arch that the others match within 2 % by their width; train-time: published widths, "
        "each with a full schedule that takes --budget; none: no scaling",
    )
    budget: str | None = Field(
        None,
        description="train-time: training time of a run, as in 90s, 30m, 2h",
        json_schema_extra={"metavar": "TIME"},
    )
    image_sizes: tuple[Annotated[int, Field(ge=8, le=1024)], ...] = Field(
        (), description="compare at each of these image sizes: score against MACs and latency"
    )
    fractions: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        (), description="compare at each of these shares of the training images"
    )
    recipes: tuple[str, ...] = Field(
        (), description="compare under each of these recipes, then each arch at its best by val"
    )
    lr_grid: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        (), description="compare at each of these learning rates, then each arch at its best by val"
    )
    tune_each: Annotated[int, Field(ge=2, le=100)] | None = Field(
        None,
        description="settings of learning rate, weight decay and augmentation that each arch is tried with; val of the runs"
        " of --choose-seeds chooses one of them, and then --seeds judge",
    )
    native: bool = Field(False, description="compare each arch at its published image size (--image-size native)")
    metric: MetricName = Field(
        "auto",
        description="score of the verdict; auto: accuracy, or mean_average_precision with several labels per image",
    )
    margin: Annotated[float, Field(gt=0, le=100)] = Field(
        1.0, description="largest difference that does not matter to you, in points (hundredths for loss)"
    )
    predictions: tuple[str, ...] = Field(
        (),
        description="predictions of other programs for the same images, alone or beside runs: CSV, JSON, Parquet or npz; "
        "files of one NAME are the seeds of one system",
        json_schema_extra={"metavar": "[NAME=]FILE"},
    )
    truth: Path | None = Field(
        None,
        description="--predictions: a folder of images, one folder per class, or a table of id and label: what all are "
        "judged on",
        json_schema_extra={"metavar": "PATH"},
    )
    name: str | None = Field(None, description="name of the comparison (default: its archs, data and terms)")
    comparisons_dir: Path = Field(
        Path("experiments/comparisons"), description="folder of the comparisons", json_schema_extra={"metavar": "DIR"}
    )
    dry_run: bool = Field(False, description="print the plan, keep its measurements, and exit")

    @field_validator("archs", "image_sizes", "fractions", "recipes", "lr_grid")
    @classmethod
    def _once(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(values)) != len(values):
            raise ValueError(f"expected each once, got {' '.join(map(str, values))}")
        return values

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[\w-][\w.-]*", name):
            raise ValueError(f"a comparison's name is one folder's name, got {name!r}")
        return name

    @model_validator(mode="after")
    def _fits(self) -> "Compare":
        axes = [name for name in AXES if getattr(self, name)]
        if len(axes) + self.native > 1:
            given = " and ".join(f"--{name.replace('_', '-')}" for name in axes + ["image-size native"] * self.native)
            raise ValueError(f"one table at a time, got {given}")
        table = [name for name in axes if name != "tune_each"]
        if self.until_decided and (table or self.native):
            axis = table[0].replace("_", "-") if table else "image-size native"
            raise ValueError(f"--until-decided is for one comparison, not for a table: leave out --{axis}")
        if (self.match == "train-time") != (self.budget is not None):
            raise ValueError("--match train-time and --budget go together, as in --match train-time --budget 30m")
        if self.budget is not None:
            seconds(self.budget)
        return self

    @property
    def chooses(self) -> bool:
        """Whether val chooses among variants of an arch."""
        return bool(self.recipes or self.lr_grid or self.tune_each)


class CompareConfig(Config):
    """All sections of a config, and those of a comparison."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[RUN...]")] = Field(
        (), description="finished runs, folders of runs, or latest, to compare without any training"
    )
    compare: Compare = Compare()
    placement: Placement = Placement()

    @property
    def config(self) -> Config:
        """The sections that a run keeps."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})


def judged(compare: Compare, task: Task, classes: int) -> Compare:
    """Returns the flags with the score of the verdict in place of `auto`.

    Raises:
        UserError: The score is one of the other task, or says nothing of so few classes.
    """
    score = task.score(compare.metric)
    if classes < score.classes:
        raise UserError(f"--metric {score.name} of {classes} classes says nothing: --metric {SINGLE.headline.name}")
    return compare.model_copy(update={"metric": score.name})


def parse(argv: Sequence[str], *, prog: str, description: str) -> tuple[CompareConfig, list[Config]]:
    """Returns the request, and the config of each recipe that it names (one if it names none).

    Raises:
        UserError: An unknown flag, value or recipe, or a flag that compare decides itself.
    """
    words = _native(list(argv))
    request = parse_config(words, prog=prog, description=description, schema=CompareConfig, decided=_DECIDED)
    if by_folds(request):
        request = _of_folds(request, words)
    request = _of_looks(request, words)
    if not request.compare.recipes:
        return request, [_whole(request.config)]
    if any(word.split("=", 1)[0] == "--config" for word in words):
        raise UserError("--config and --recipes: a recipe is the whole start of a config; give one of them")
    configs = [
        parse_config(
            ["--config", recipe, *words], prog=prog, description=description, schema=CompareConfig, decided=_DECIDED
        ).config
        for recipe in request.compare.recipes
    ]
    return request, [_whole(config) for config in configs]


def by_folds(request: CompareConfig) -> bool:
    """Returns whether the runs are those of all folds, paired by fold in place of seeds."""
    return request.data.folds is not None and request.data.fold is None


def _of_folds(request: CompareConfig, words: Sequence[str]) -> CompareConfig:
    """Returns the request with a run for each fold in place of each seed."""
    if "seeds" in flags.given(CompareConfig, words):
        raise UserError("--folds and --seeds: each fold is trained once, with its own seed; give one of the two")
    if request.compare.chooses:
        raise UserError(
            "--folds with --recipes, --lr-grid or --tune-each: val of one fold is test of another, so that what chooses would"
            " judge; choose first, without --folds"
        )
    return request.replace(compare={"seeds": request.data.folds})


def _of_looks(request: CompareConfig, words: Sequence[str]) -> CompareConfig:
    """Returns the request with the seeds of the last look of --until-decided."""
    given = flags.given(CompareConfig, words)
    if not request.compare.until_decided:
        if "max_seeds" in given:
            raise UserError("--max-seeds is for --until-decided; without it, --seeds says how many")
        return request
    if "seeds" in given:
        raise UserError("--until-decided and --seeds: the looks are fixed; --max-seeds says where they end")
    if by_folds(request):
        raise UserError(
            "--until-decided and --folds: more folds of the same images say little more; leave out one of the two"
        )
    if request.runs or request.compare.predictions:
        raise UserError("--until-decided is for a comparison that trains, not for finished runs")
    from kerascnn.statistics import looks  # with scipy, which help does without

    last = looks.planned(request.compare.max_seeds, len(request.compare.archs))[-1].seeds
    return request.replace(compare={"seeds": last})


def _whole(config: Config) -> Config:
    """Returns a config without the settings of a single run: its name, `overwrite` and `stop_epoch`; of folds the first."""
    if config.data.folds is not None and config.data.fold is None:
        config = config.replace(data={"fold": 1})
    return config.replace(logging={"run": None, "overwrite": False}, fit={"stop_epoch": None})


def _native(words: list[str]) -> list[str]:
    """Replaces `--image-size native` by the flag of the schema."""
    for i, word in enumerate(words):
        if word == "--image-size=native":
            return [*words[:i], "--native", *words[i + 1 :]]
        if word == "--image-size" and words[i + 1 : i + 2] == ["native"]:
            return [*words[:i], "--native", *words[i + 2 :]]
    return words
