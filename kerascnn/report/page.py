"""The contents of pages as plain data: filled by fit, evaluate, compare and tune; written by `html`, `markdown` and `sheets`.

Missing parts are None or empty, and their sections are left out. Names come from users and are escaped by the writers. No
TensorFlow.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kerascnn.report.class_bars import ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.drawing import Picture
from kerascnn.report.ranking_curves import RankingCurves
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.report_tables import ReportTable
from kerascnn.report.risk_coverage import RiskCurve
from kerascnn.report.score_chart import ScoreChart
from kerascnn.report.training_curves import TrainingCurve


@dataclass(frozen=True)
class Statement:
    """The conclusion at the top of a page.

    Args:
        headline: The conclusion in one sentence.
        sentences: The advice, and its basis.
        details: Other tests and numbers, each a sentence with its question.
    """

    headline: str
    sentences: tuple[str, ...] = ()
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShownPrediction:
    """The prediction of one network for one image.

    Args:
        label: The arch, or empty if the page has only one.
        predicted: The predicted class.
        probability: Its confidence, 0 to 1.
        right: Whether it is the true class.
        heat: Grad-CAM overlay, uint8 [H, W, 3], or None.
    """

    label: str
    predicted: str
    probability: float
    right: bool
    heat: np.ndarray | None = None


@dataclass(frozen=True)
class Exhibit:
    """One image of the gallery.

    Args:
        name: Path or index of the image.
        truth: Its true class.
        image: The network's input, uint8 [H, W, 3].
        predictions: One per network.
    """

    name: str
    truth: str
    image: np.ndarray
    predictions: tuple[ShownPrediction, ...]


@dataclass(frozen=True)
class Gallery:
    """Images with predictions; at most `html.PICTURES` pictures are shown, maps included.

    Args:
        title: Title: which images these are, of how many.
        exhibits: Images in the order of display.
    """

    title: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """The page of a run.

    Args:
        name: Name of the run.
        about: A line with arch, data, device and date.
        verdict: Its score, and that score beside always predicting the largest class.
        scores: One row per score that is a share, for val and test.
        losses: The same for other scores: losses, temperatures.
        costs: Parameters, MACs, seconds, images per second.
        curve: The course of the training.
        classes: Precision, recall and F1 by class.
        confusions: By split.
        calibrations: By split.
        ranking: Precision-recall and ROC curves of the last scored split.
        selective: The error of the most certain predictions of each split.
        charts: Corruptions, resolutions.
        tables: Further results: explanations, views.
        gallery: Its worst mistakes.
        config: Values that differ from the defaults.
        environment: (name, value): versions, device, commit of each start.
        repeat: Commands that repeat it.
    """

    name: str
    about: str
    verdict: Statement
    scores: ReportTable
    losses: ReportTable | None = None
    costs: ReportTable | None = None
    curve: TrainingCurve | None = None
    classes: ClassBars | None = None
    confusions: tuple[ConfusionMatrix, ...] = ()
    calibrations: tuple[ReliabilityCurve, ...] = ()
    ranking: RankingCurves | None = None
    selective: tuple[RiskCurve, ...] = ()
    charts: tuple[ScoreChart, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    gallery: Gallery | None = None
    config: ReportTable | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ComparisonPage:
    """The page of a comparison of two archs or more on the same images.

    Args:
        name: Name of the comparison.
        about: A line with archs, data, match, finished and planned seeds.
        verdicts: One per contrast; the first one is the conclusion of the page.
        scores: One row per arch and variant: test scores with intervals over seeds.
        costs: One row per arch and variant, in the order of `scores`.
        curves: One per arch and variant.
        charts: Score against MACs, latency, number of images.
        classes: Recall by class and arch, with the p of its difference as note.
        confusions: One per arch.
        calibrations: One per arch.
        tables: Two-way tables of recipe and arch, explanations, further results.
        gallery: Images that only one arch predicts correctly, with the maps of both.
        config: Keys whose values differ between the archs, one column each.
        environment: (name, value): versions, device, commits.
        repeat: Commands that repeat it.
    """

    name: str
    about: str
    verdicts: tuple[Statement, ...]
    scores: ReportTable
    costs: ReportTable | None = None
    curves: tuple[TrainingCurve, ...] = ()
    charts: tuple[ScoreChart, ...] = ()
    classes: ClassBars | None = None
    confusions: tuple[ConfusionMatrix, ...] = ()
    calibrations: tuple[ReliabilityCurve, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    gallery: Gallery | None = None
    config: ReportTable | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SearchPage:
    """The page of a search over configs.

    Args:
        name: Name of the search.
        about: A line with arch, data, space, tuner, candidates.
        verdicts: The conclusion of a promotion, if there was one; the best candidate.
        trials: The baseline and the candidates.
        promotion: The best and the baseline with fresh seeds.
        picture: Score against cost.
        importance: Importance of each parameter.
        config: The flags of the search.
        environment: (name, value).
        repeat: Commands that repeat it or use its result.
    """

    name: str
    about: str
    verdicts: tuple[Statement, ...]
    trials: ReportTable
    promotion: ReportTable | None = None
    picture: Picture | None = None
    importance: ReportTable | None = None
    config: ReportTable | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()


class Link(NamedTuple):
    """A link to another page: its title, and its address relative to this page."""

    title: str
    href: str


@dataclass(frozen=True, kw_only=True)
class FoldsPage:
    """The page of a cross-validation.

    Args:
        name: Name of the cross-validation.
        about: A line with arch, data, folds and images.
        verdict: The out-of-fold score, the spread over folds, the ensemble's score and cost.
        scores: One row per score: its mean over folds with the corrected interval.
        folds: One row per fold: images and scores.
        ensemble: One network and the ensemble: costs, and scores of the given test.
        chart: The score of each fold.
        classes: Precision, recall and F1 by class, of all images out of fold.
        confusion: Of all images out of fold, if each has one class.
        links: The pages of the runs.
        config: Values that differ from the defaults.
        environment: (name, value): versions, device, commit.
        repeat: Commands that repeat it.
    """

    name: str
    about: str
    verdict: Statement
    scores: ReportTable
    folds: ReportTable
    ensemble: ReportTable
    chart: ScoreChart
    classes: ClassBars
    confusion: ConfusionMatrix | None = None
    links: tuple[Link, ...] = ()
    config: ReportTable | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()


@dataclass(frozen=True)
class ShownImage:
    """An image with its name.

    Args:
        image: Pixels, uint8 [H, W, 3].
        name: Path or index of the image.
        text: What the page says of it: split, label.
    """

    image: np.ndarray
    name: str
    text: str


@dataclass(frozen=True)
class ImageRow:
    """Images side by side, such as two copies.

    Args:
        note: What they have in common.
        images: The images.
        wrong: Whether something is wrong with them, such as different labels of copies.
    """

    note: str
    images: tuple[ShownImage, ...]
    wrong: bool = False


@dataclass(frozen=True)
class ImageRows:
    """A part of a page with rows of images.

    Args:
        title: Title, with the number of all rows.
        note: A sentence below it, or "".
        rows: The rows that are shown.
    """

    title: str
    note: str
    rows: tuple[ImageRow, ...]


@dataclass(frozen=True, kw_only=True)
class AuditPage:
    """The page of an audit.

    Args:
        name: Title.
        about: A line with the data set and its splits.
        verdict: Leaks and conflicts.
        tables: Classes, copies, findings, groups, files.
        galleries: Copies in pairs, suspect labels, odd images.
        config, environment: As on other pages.
        repeat: The command that repeats it, and those that use its result.
    """

    name: str
    about: str
    verdict: Statement
    tables: tuple[ReportTable, ...]
    galleries: tuple[ImageRows, ...] = ()
    config: ReportTable | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NeighborsPage:
    """The page of images and those that resemble them.

    Args:
        name: Title.
        about: A line that says what was compared.
        images: A row for each image, with its neighbors.
        config, environment: As on other pages.
        repeat: The command that repeats it.
    """

    name: str
    about: str
    images: ImageRows
    config: ReportTable | None = None
    environment: tuple[tuple[str, str], ...] = ()
    repeat: tuple[str, ...] = ()
