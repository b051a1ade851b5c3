"""A conclusion as lines of text."""

from kerascnn import statistics
from kerascnn.cli.screen import duration
from kerascnn.comparison.conclude import Conclusion, Pair
from kerascnn.comparison.contrasts import Contrast
from kerascnn.comparison.entry import Entry

SMALLEST_P = 1e-6


def about(found: Conclusion) -> str:
    """One line: who, on what, how many seeds of how many planned."""
    first = found.best[0]
    done = len(first.seeds)
    unit = "fold" if first.by_folds else "seed"
    seeds = f"{done} of {found.seeds} {unit}s" if done < found.seeds else f"{done} {unit}{'s' if done > 1 else ''}"
    archs = " against ".join(dict.fromkeys(entry.arch for entry in found.entries))
    mark = "" if first.split == "test" else "; val chose these models: no test was kept apart"
    lost = f"; {_lost(found)}" if found.lost else ""
    return f"{archs} on {first.data_name}, {seeds}, {len(first.answers.labels):,} {first.split} images{mark}{lost}"


def _lost(found: Conclusion) -> str:
    """What is missing, so that nobody takes what is shown for all that was asked for."""
    return f"without what could not be trained: {'; '.join(found.lost)}"


def p_value(p: float) -> str:
    """A p value as read: below what a bootstrap or a float could tell from nothing, as a bound."""
    return f"p = {p:.2g}" if p >= SMALLEST_P else f"p < {SMALLEST_P:g}"


def lines(found: Conclusion) -> list[str]:
    """The scores, the costs, the verdict."""
    width = max(len(entry.label) for entry in found.entries) + 2
    score = f"{found.best[0].split} {found.rule.title}"
    head = f"{'':{width}} {score:>24} {'parameters':>12} {'MACs':>10} {'train':>12} {'p50/p95 ms':>13} {'best/s':>8}"
    out = ["", head]
    for entry in found.entries:
        cost = entry.cost
        latency = f"{cost.latency_p50:.1f}/{cost.latency_p95:.1f}" if cost.latency_p50 and cost.latency_p95 else "-"
        out.append(
            f"{entry.label:{width}} {_spread(entry, found.metric):>24} {_known(cost.params, '{:,}'):>12}"
            f" {_known(cost.macs and cost.macs / 1e6, '{:,.1f} M'):>10} {_known(entry.train_seconds):>12} {latency:>13}"
            f" {_known(cost.throughput, '{:,.0f}'):>8}"
        )
    for pair in found.table:
        out += ["", f"{pair.first.variant}: {pair.verdict.seen}{holm(pair, found)}", *pair.beside]
    if found.lost:
        out += ["", _lost(found)]
    if found.why:
        out += ["", found.why]
    for pair in found.verdicts:
        out += ["", pair.verdict.seen, pair.verdict.decision, *pair.beside, pair.verdict.power, *beside(pair)]
    return out


def _known(value: float | None, form: str = "") -> str:
    """A number, or a dash where it is not known; without a form, a duration."""
    if value is None:
        return "-"
    return form.format(value) if form else duration(value)


def holm(pair: Pair, found: Conclusion) -> str:
    """What a row of a table says of its test."""
    return "" if pair.p is None else f" {p_value(pair.p)} (Holm over {len(found.table)} rows)"


def _spread(entry: Entry, metric: str) -> str:
    """A score with its t interval over seeds; the values themselves where seeds are too few for one."""
    rule = entry.answers.task.score(metric)
    values = list(entry.answers.values(metric).values())
    over = entry.over(values, rule)
    shown = [f"{number * 100:.2f}" if rule.points else f"{number:.4f}" for number in (over[:3] if over else values)]
    return f"{shown[0]} [{shown[1]}, {shown[2]}]" if over else ", ".join(shown)


def beside(pair: Pair) -> list[str]:
    """What the other tests say, each with the question that it answers."""
    found, rule = pair.contrast, pair.contrast.first.task.score(pair.contrast.metric)
    scale, unit = (100, " points") if rule.points else (1, "")
    out = []
    if found.over_seeds:
        over = found.over_seeds
        out.append(
            f"other seeds on these very images (t over {over.n} seeds): {over.value * scale:+.2f}"
            f" [{over.low * scale:+.2f}, {over.high * scale:+.2f}]{unit}"
        )
    elif len(found.seeds) > 1:
        each = ", ".join(f"{found.unit} {s}: {d * scale:+.2f}" for s, d in zip(found.seeds, found.by_seed, strict=True))
        takes = f" (an interval over seeds takes {statistics.MIN_SEEDS})" if found.unit == "seed" else ""
        out.append(f"difference by {found.unit}{takes}: {each}{unit}")
    tests = "; ".join(
        f"{found.unit} {seed}: {test.only_first} to {test.only_second}, {p_value(test.p)}"
        for seed, test in zip(found.seeds, found.pairs, strict=True)
    )
    right = "all labels right" if found.first.task.several else "right"
    out.append(
        f"these two runs on other images (exact McNemar, {right} only by {found.first.arch} to {found.second.arch}): {tests}"
    )
    out.append(_classes(found))
    return out


def _classes(found: Contrast) -> str:
    what = "average precision" if found.first.task.several else "recall"
    which = f"Holm over {len(found.classes)}, {found.second.arch} minus {found.first.arch}"
    if found.unit == "fold":
        return f"classes whose recall differs ({which}): not said over folds"
    if len(found.seeds) < statistics.MIN_SEEDS:
        return f"classes whose {what} differs ({which}): not said under {statistics.MIN_SEEDS} seeds"
    sure = [one for one in found.classes if one.p is not None and one.p < 0.05]
    named = ", ".join(
        f"{one.name} {one.difference.value * 100:+.1f} ({p_value(one.p)})"
        for one in sure
        if one.difference and one.p is not None
    )
    return f"classes whose {what} differs ({which}): {named or 'none'}"
