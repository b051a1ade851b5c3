"""What a page shows, as plain data: filled by fit, evaluate, compare and tune, written by `html`, `markdown` and `sheets`.

Every part that may be missing is None or empty: its section is then left out. Names are as they come from users; whoever
writes a page escapes them. No TensorFlow.
"""

from dataclasses import dataclass

import numpy as np

from kerascnn.report.class_bars import ClassBars
from kerascnn.report.confusion_matrix import ConfusionMatrix
from kerascnn.report.drawing import Picture
from kerascnn.report.ranking_curves import RankingCurves
from kerascnn.report.reliability_diagram import ReliabilityCurve
from kerascnn.report.score_chart import ScoreChart
from kerascnn.report.tables import ReportTable
from kerascnn.report.training_curves import TrainingCurve


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
class ShownPrediction:
    """What one network predicts for one image.

    Args:
        label: The arch, or empty where the page has one.
        predicted: The predicted class.
        probability: Its confidence, 0 to 1.
        right: Whether that is the truth.
        heat: Grad-CAM laid over the image, uint8 [H, W, 3]; None where no map was made.
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
        name: Which image it is: path or index.
        truth: Its class.
        image: uint8 [H, W, 3], as the network sees it.
        predictions: One per network.
    """

    name: str
    truth: str
    image: np.ndarray
    predictions: tuple[ShownPrediction, ...]


@dataclass(frozen=True)
class Gallery:
    """Images with predictions; as many are shown as make at most `html.PICTURES` pictures, maps included.

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
    scores: ReportTable
    losses: ReportTable | None = None
    costs: ReportTable | None = None
    curve: TrainingCurve | None = None
    classes: ClassBars | None = None
    confusions: tuple[ConfusionMatrix, ...] = ()
    calibrations: tuple[ReliabilityCurve, ...] = ()
    ranking: RankingCurves | None = None
    charts: tuple[ScoreChart, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    gallery: Gallery | None = None
    config: ReportTable | None = None
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
    """A search over configs.

    Args:
        name: The search's name.
        about: One line: arch, data, space, tuner, candidates.
        verdicts: What a promotion came to, where there was one; the best candidate.
        trials: The baseline and the candidates.
        promotion: The best and the baseline with fresh seeds.
        picture: Score against cost.
        importance: How much each parameter mattered.
        config: What was asked for.
        environment: (what, value).
        repeat: Commands that repeat it, or use what it found.
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
