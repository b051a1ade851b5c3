"""What a page shows, as plain data: filled by fit, evaluate and compare, drawn by `html`, `markdown` and `sheets`. No TensorFlow.

Every part that may be missing is None or empty: its section is then left out. Names are as they come from users; whoever
draws a page escapes them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from markupsafe import Markup

from kerascnn.statistics import Interval

# How a column's numbers are shown; a row of `cells.UNITS`.
Unit = Literal["text", "count", "share", "points", "number", "seconds", "milliseconds", "macs", "bytes"]
Cell = str | int | float | Interval | None


class Column(NamedTuple):
    """One column of a table.

    Attributes:
        title: Its head.
        unit: How its numbers are shown: count (12,345), share (0.9 as 90.00 %), points (a difference of shares, +1.2),
            number, seconds (as 2 min 5 s), milliseconds, macs (multiply-adds as 41.2 M), bytes (as 1.1 MB).
        note: What the head does not say, one sentence; shown below the table.
    """

    title: str
    unit: Unit = "text"
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of cells; the same in HTML, Markdown and CSV.

    Args:
        name: Stem of its CSV file: `costs`.
        title: Above it.
        columns: The first one names the rows.
        rows: As many cells each as there are columns; None where nothing was measured.
        note: One sentence below: n, seeds, device.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Statement:
    """What stands at the top of a page.

    Args:
        headline: The answer in one sentence.
        sentences: What to do, and what it rests on.
        details: Other tests and numbers, each a sentence with the question that it answers.
    """

    headline: str
    sentences: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Curve:
    """How training went: the mean over seeds is drawn, the band reaches from the lowest to the highest seed.

    Args:
        label: The arch.
        runs: By seed the rows of history.csv.
        best: The epoch that val chose, where there is one seed.
    """

    label: str
    runs: Mapping[int, tuple[Mapping[str, float], ...]]
    best: int | None = None


@dataclass(frozen=True)
class Line:
    """One line of a chart: (x, interval) by rising x; where low equals high no whisker is drawn."""

    label: str
    points: tuple[tuple[float, Interval], ...]


@dataclass(frozen=True)
class Chart:
    """Scores against something: MACs, milliseconds, images, severity.

    Args:
        name: Stem of its CSV file.
        title: Above it: says n and seeds.
        x: What the horizontal axis counts.
        y: What the vertical axis counts.
        lines: One per arch.
        log: Whether the horizontal axis is logarithmic.
        unit: Of y.
    """

    name: str
    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    log: bool = False
    unit: Unit = "share"


class BarRow(NamedTuple):
    """One class.

    Attributes:
        name: The class.
        n: Its images.
        values: One per series: a share with its interval; None where there is none.
        note: What is to be said of the class: a corrected p.
    """

    name: str
    n: int
    values: tuple[Interval | None, ...]
    note: str = ""


@dataclass(frozen=True)
class Bars:
    """Shares by class, side by side.

    Args:
        title: Above them: what is shown.
        series: The archs, or the scores; one colour each.
        rows: The classes, in the order in which they are shown: the first `class_charts.BARS`; the tables have all.
        note: One sentence below.
    """

    title: str
    series: tuple[str, ...]
    rows: tuple[BarRow, ...]
    note: str = ""


@dataclass(frozen=True)
class Confusion:
    """Who is taken for whom.

    Args:
        label: The arch, or the split.
        class_names: C names.
        counts: int [C, C]: true class by answer, summed over seeds.
        seeds: How many.
    """

    label: str
    class_names: tuple[str, ...]
    counts: np.ndarray
    seeds: int = 1


class Bin(NamedTuple):
    """One bin of a reliability diagram: mean confidence, accuracy, number of images."""

    confidence: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities mean what they say.

    Args:
        label: The arch, or the split.
        bins: Of equal mass, by rising confidence.
        ece: Expected calibration error; None where it was not measured.
    """

    label: str
    bins: tuple[Bin, ...]
    ece: Interval | None = None


class RankingCurve(NamedTuple):
    """One line: of a class, or of a quantile over many.

    Attributes:
        name: The class.
        x: Recall, or the false positive rate, ascending.
        y: Precision, or the true positive rate.
        area: Average precision, or the area under the ROC curve.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


@dataclass(frozen=True)
class Ranking:
    """How well probabilities rank images, each class against the rest.

    Args:
        split: Whose images.
        classes: Number of classes that have a curve.
        pr: Precision over recall.
        roc: True positive rate over false positive rate.
    """

    split: str
    classes: int
    pr: tuple[RankingCurve, ...]
    roc: tuple[RankingCurve, ...]


@dataclass(frozen=True)
class Answer:
    """What one network says of one image.

    Args:
        label: The arch, or empty where the page has one.
        answer: The class that it answers.
        probability: Its confidence, 0 to 1.
        right: Whether that is the truth.
        heat: Grad-CAM laid over the image, uint8 [H, W, 3]; None where no map was made.
    """

    label: str
    answer: str
    probability: float
    right: bool
    heat: np.ndarray | None = None


@dataclass(frozen=True)
class Exhibit:
    """One image of the gallery.

    Args:
        name: Who it is: path or place.
        truth: Its class.
        image: uint8 [H, W, 3], as the network sees it.
        answers: One per network.
    """

    name: str
    truth: str
    image: np.ndarray
    answers: tuple[Answer, ...]


@dataclass(frozen=True)
class Gallery:
    """Images with answers; as many are shown as make at most `html.PICTURES` pictures, maps included.

    Args:
        title: Above it: which images these are, of how many.
        exhibits: In the order in which they are shown.
    """

    title: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """One run.

    Args:
        name: The run's name.
        about: One line: arch, data, device, when.
        verdict: Its score, and what it means beside always answering the largest class.
        scores: By score one row: val and test; shares alone.
        losses: The same of scores that are not shares: losses, temperatures.
        costs: Parameters, MACs, seconds, images per second.
        curve: How training went.
        classes: Precision, recall and F1 by class.
        confusions: By split.
        calibrations: By split.
        ranking: Precision-recall and ROC curves of the split that was scored last.
        charts: Corruptions, resolutions.
        tables: Whatever else was measured: explanations, views.
        gallery: Its worst mistakes.
        config: What differs from the defaults.
        environment: (what, value): versions, device, commit of each start.
        repeat: Commands that repeat it.
    """

    name: str
    about: str
    verdict: Statement
    scores: Table
    losses: Table | None = None
    costs: Table | None = None
    curve: Curve | None = None
    classes: Bars | None = None
    confusions: tuple[Confusion, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    ranking: Ranking | None = None
    charts: tuple[Chart, ...] = ()
    tables: tuple[Table, ...] = ()
    gallery: Gallery | None = None
    config: Table | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComparisonPage:
    """Two archs or more on the same images.

    Args:
        name: The comparison's name.
        about: One line: archs, data, what is matched, seeds finished of seeds planned.
        verdicts: One per contrast; the first one is the page's answer.
        scores: One row per arch and variant: test scores with intervals over seeds.
        costs: One row per arch and variant, in the order of `scores`.
        curves: One per arch and variant.
        charts: Score against MACs, latency, number of images.
        classes: Recall by class and arch, the p of its difference as note.
        confusions: One per arch.
        calibrations: One per arch.
        tables: Two-way tables of recipe and arch, explanations, whatever else.
        gallery: Images that only one arch gets right, with the maps of both.
        config: Keys whose values differ between the archs, one column each.
        environment: (what, value): versions, device, commits.
        repeat: Commands that repeat it.
    """

    name: str
    about: str
    verdicts: tuple[Statement, ...]
    scores: Table
    costs: Table | None = None
    curves: tuple[Curve, ...] = ()
    charts: tuple[Chart, ...] = ()
    classes: Bars | None = None
    confusions: tuple[Confusion, ...] = ()
    calibrations: tuple[Calibration, ...] = ()
    tables: tuple[Table, ...] = ()
    gallery: Gallery | None = None
    config: Table | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """A search over configs.

    Args:
        name: The search's name.
        about: One line: arch, data, space, tuner, candidates.
        verdicts: What a promotion came to, where there was one; the best candidate.
        trials: The baseline and the candidates.
        promotion: The best and the baseline with fresh seeds.
        picture: Score against cost, drawn.
        importance: How much each parameter mattered.
        config: What was asked for.
        environment: (what, value).
        repeat: Commands that repeat it, or use what it found.
    """

    name: str
    about: str
    verdicts: tuple[Statement, ...]
    trials: Table
    promotion: Table | None = None
    picture: Markup | None = None
    importance: Table | None = None
    config: Table | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()
