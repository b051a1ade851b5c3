"""Draws a conclusion from finished runs: the entries of the verdict, the contrasts, one row per arch and variant."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from kerascnn import statistics
from kerascnn.comparison.compare_config import Compare, judged
from kerascnn.comparison.contrasts import Contrast, contrast
from kerascnn.comparison.entry import Entry
from kerascnn.comparison.fold_contrasts import FoldPredictions, fold_contrast
from kerascnn.comparison.verdict import MetricUnit, Side, Verdict, judge
from kerascnn.errors import UserError
from kerascnn.outside import GivenCost
from kerascnn.scoring.metrics import Score
from kerascnn.scoring.task import Task
from kerascnn.statistics.looks import PlannedLook

# Axes of variants by flag: a short name, and the title of the axis.
AXES = {
    "recipes": ("recipe", "recipe"),
    "lr_grid": ("lr", "learning rate"),
    "fractions": ("fraction", "training images"),
    "image_sizes": ("image_size", "image size"),
}


@dataclass(frozen=True)
class Pair:
    """A contrast of two entries and its verdict.

    Args:
        first: The first entry.
        second: The second entry.
        contrast: Second minus first, of the trainings that finished.
        verdict: The verdict as text.
        beside: Further facts for the reader: failed runs, runs that are no better than a constant.
        p: P value corrected for the number of rows (Holm), if this is a row of a table.
    """

    first: Entry
    second: Entry
    contrast: Contrast
    verdict: Verdict
    beside: tuple[str, ...] = ()
    p: float | None = None


@dataclass(frozen=True)
class Conclusion:
    """The result of a comparison.

    Args:
        entries: All archs in all variants.
        best: For each arch the entry in the verdict.
        why: How these were chosen; empty without variants.
        verdicts: Each other arch against the first.
        table: The same for each variant; empty without variants.
        metric: Name of a row in `scoring.metrics`.
        margin: The margin in the metric's own unit.
        seeds: Planned number of seeds.
        axis: The axis of variants: recipe, lr, fraction or image_size; empty without variants.
        axis_title: Title of the axis.
        lost: Arch, variant and seeds that could not be trained.
    """

    entries: tuple[Entry, ...]
    best: tuple[Entry, ...]
    why: str
    verdicts: tuple[Pair, ...]
    table: tuple[Pair, ...]
    metric: str
    margin: float
    seeds: int
    axis: str
    axis_title: str
    lost: tuple[str, ...]

    @property
    def task(self) -> Task:
        """What the labels ask of a network."""
        return self.best[0].answers.task

    @property
    def rule(self) -> Score:
        """The score of the verdict."""
        return self.task.score(self.metric)


def conclude(
    entries: Sequence[Entry], compare: Compare, seeds: int, lost: Sequence[str] = (), look: PlannedLook | None = None
) -> Conclusion:
    """Returns the conclusion from finished runs.

    Args:
        entries: Archs in variants.
        compare: The flags.
        seeds: Planned number of seeds.
        lost: What could not be trained.
        look: Which of several looks this is; None for the only one.

    Raises:
        UserError: Fewer than two archs with a finished run, or runs with different images or classes.
    """
    archs = tuple(dict.fromkeys(entry.arch for entry in entries))
    if len(archs) < 2:
        raise UserError(f"expected finished runs of two archs, got {' '.join(archs) or 'none'}")
    for entry in entries:
        compare = _judged(entry, compare)
    best, why = _spokesmen(entries, archs, compare)
    # All verdicts together hold with 95 %, for any number of archs (Bonferroni).
    level = look.level if look else 1 - 0.05 / (len(archs) - 1)
    verdicts = tuple(_pair(_contrast(best[0], other, compare, level), compare, seeds) for other in best[1:])
    if look:
        verdicts = tuple(replace(pair, beside=(look.said(), *pair.beside)) for pair in verdicts)
    table = _rows([_contrast(*pair, compare, level) for pair in _places(entries, archs)], compare, seeds)
    axis, title = next((each for name, each in AXES.items() if getattr(compare, name)), ("", ""))
    return Conclusion(
        tuple(entries),
        best,
        why,
        verdicts,
        table,
        compare.metric,
        compare.margin / 100,
        seeds,
        axis,
        title,
        tuple(lost),
    )


def _places(entries: Sequence[Entry], archs: Sequence[str]) -> Iterator[tuple[Entry, Entry]]:
    """Returns for each variant the first arch with each other one, if both have runs with a common seed."""
    variants = tuple(dict.fromkeys(entry.variant for entry in entries))
    by_place = {(entry.arch, entry.variant): entry for entry in entries}
    for variant, arch in itertools.product(variants if len(variants) > 1 else (), archs[1:]):
        first, other = by_place.get((archs[0], variant)), by_place.get((arch, variant))
        if first and other and set(first.seeds) & set(other.seeds):
            yield first, other


def _judged(entry: Entry, compare: Compare) -> Compare:
    if not entry.seeds:
        raise UserError(f"{entry.label} has no finished run yet: no verdict")
    compare = judged(compare, entry.answers.task, len(entry.answers.class_names))
    if not entry.answers.has(entry.answers.task.score(compare.metric)):
        raise UserError(
            f"--metric {compare.metric} takes a probability of every class, and {entry.label} has only predicted classes: "
            "--metric accuracy, macro_f1, balanced_accuracy or cohen_kappa"
        )
    return compare


def _spokesmen(entries: Sequence[Entry], archs: Sequence[str], compare: Compare) -> tuple[tuple[Entry, ...], str]:
    """Returns for each arch the entry in the verdict."""
    if compare.chooses:
        return _chosen(entries, archs, compare)
    # The largest fraction or size that all archs have; without variants, the only entry.
    by_place = {(entry.arch, entry.variant): entry for entry in entries}
    shared = [entry.variant for entry in entries if all((arch, entry.variant) in by_place for arch in archs)]
    if not shared:
        raise UserError(f"{' and '.join(archs)} have finished runs at no fraction or size that all of them share")
    variant = max(shared, key=_number)
    best = tuple(by_place[arch, variant] for arch in archs)
    return best, f"at the largest, {variant}" if variant else ""


def _chosen(entries: Sequence[Entry], archs: Sequence[str], compare: Compare) -> tuple[tuple[Entry, ...], str]:
    """Returns each arch's best variant, chosen by separate runs: the runs that judge would overestimate their own choice."""
    rule = entries[0].answers.task.score(compare.metric)

    def by_val(entry: Entry) -> tuple[int, float]:
        """Sorts by the number of runs first: if a seed could not be trained, the mean of the others is too optimistic."""
        scores = entry.choosing_scores(compare.metric)
        return len(scores), rule.sign * float(np.mean(scores)) if scores else 0.0

    best = tuple(max((e for e in entries if e.arch == arch), key=by_val) for arch in archs)
    for entry in best:
        if not entry.choosing_scores(compare.metric):
            raise UserError(f"no run of {entry.arch} has val scores to choose by (--val-fraction 0?)")
    chosen = " and ".join(entry.label for entry in best)
    seeds = " ".join(map(str, sorted({seed for entry in entries for seed in entry.choosing})))
    return (
        best,
        f"best against best, as val's mean {rule.title} of seeds {seeds} prefers, which judge nothing: {chosen}",
    )


def _number(variant: str) -> float:
    return max((float(word) for word in variant.split() if word.replace(".", "", 1).isdigit()), default=0.0)


@dataclass(frozen=True)
class _Contrasted:
    """Two entries and the contrast of their runs, before the verdict."""

    first: Entry
    second: Entry
    contrast: Contrast


def _contrast(first: Entry, second: Entry, compare: Compare, level: float) -> _Contrasted:
    one, other = first.answers, second.answers
    if isinstance(one, FoldPredictions) and isinstance(other, FoldPredictions):
        return _Contrasted(first, second, fold_contrast(one, other, compare.metric, level))
    return _Contrasted(first, second, contrast(one, other, compare.metric, level))


def _rows(found: Sequence[_Contrasted], compare: Compare, seeds: int) -> tuple[Pair, ...]:
    """Returns the rows of a table; a row reports a difference if that holds with 95 % for all rows together (Holm).

    The interval of each row has the level at which Holm's method tests it, so that it contains 0 if no difference is
    reported.
    """
    p_values = [statistics.p_value(each.contrast.difference) for each in found]
    corrected = statistics.holm(p_values)
    pairs = []
    for each, p, holm in zip(found, p_values, corrected, strict=True):
        # Holm multiplies by the number of rows that are not smaller; after the first failure, by the number of that row.
        times = sum(other >= p for other in p_values) if holm < 0.05 else sum(other >= 0.05 for other in corrected)
        difference = each.contrast.difference.at(1 - 0.05 / max(times, 1))
        pair = _pair(replace(each, contrast=replace(each.contrast, difference=difference)), compare, seeds)
        pairs.append(replace(pair, p=holm))
    return tuple(pairs)


def _pair(found: _Contrasted, compare: Compare, seeds: int) -> Pair:
    first, second = found.first, found.second
    rule = first.answers.task.score(compare.metric)
    unit = MetricUnit(rule.title, rule.sign, rule.points, first.split)
    alike = first.variant == second.variant
    one, other = side(first, second, alike), side(second, first, alike)
    margin = compare.margin / 100
    verdict = judge(one, other, found.contrast.difference, unit, margin, seeds)
    beside = [line for answers in (first.answers, second.answers) for line in answers.weak()]
    failed = sorted({*first.failed, *second.failed})
    if failed and first.by_folds:
        beside.append(f"without the folds that could not be trained: {' '.join(map(str, failed))}")
    elif failed:
        beside += [line for entry in (first, second) for line in _failures(entry)]
        # The same with failed runs counted as chance, to see whether the advice changes.
        answers, others = (entry.answers.with_failed(entry.failed) for entry in (first, second))
        difference = contrast(answers, others, compare.metric, found.contrast.difference.level).difference
        counted = judge(one, other, difference, unit, margin, seeds)
        beside.append(f"with failed runs counted as chance: {counted.seen}")
        if counted.take != verdict.take:
            decision = f"{verdict.decision} That is said of trainings that end; with failed runs counted as chance: "
            verdict = replace(verdict, decision=decision + counted.decision, take=None)
    return Pair(first, second, found.contrast, verdict, tuple(beside))


def _failures(entry: Entry) -> list[str]:
    """Returns a note on how often an arch cannot be trained, and what that means for other seeds."""
    if not entry.failed:
        return []
    tried = len(entry.failed) + len(entry.runs)
    rate = stats.binomtest(len(entry.failed), tried).proportion_ci(0.95, method="exact")
    return [
        f"{entry.label} could not be trained with {len(entry.failed)} of {tried} seeds"
        f" ({' '.join(map(str, entry.failed))}): of all seeds {rate.low:.0%} to {rate.high:.0%} may fail (exact, 95 %)"
    ]


def side(entry: Entry, other: Entry, alike: bool) -> Side:
    """Returns the entry in a verdict; latencies that were measured in another place than the other's say nothing."""
    here = isinstance(entry.cost, GivenCost) == isinstance(other.cost, GivenCost)
    return Side(entry.arch if alike else entry.label, entry.cost.latencies if here else (), entry.cost.macs)
