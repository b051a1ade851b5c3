"""A conclusion for people: on the screen, as CSV and Markdown, as a page."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from kerascnn.comparison.conclude import Conclusion, Entry, Pair, conclude, row
from kerascnn.comparison.directory import Directory
from kerascnn.comparison.options import Compare
from kerascnn.comparison.scores import METRICS
from kerascnn.screen import Screen, duration


def publish(entries: Sequence[Entry], compare: Compare, seeds: int, directory: Directory, screen: Screen) -> Conclusion:
    """Conclude, show it, keep the tables and the report."""
    found = conclude(entries, compare, seeds)
    rows = [row(entry) for entry in entries]
    for line in lines(found, rows):
        screen.say(line)
    directory.write_table(as_csv(rows), as_markdown(found, rows))
    screen.say()
    screen.say(f"tables  {directory.table_file}, {directory.markdown_file.name}")
    return found


def lines(found: Conclusion, rows: Sequence[dict[str, Any]]) -> list[str]:
    """The scores, the costs, the verdict."""
    width = max(len(entry.label) for entry in found.entries) + 2
    metric = found.metric if f"test_{found.metric}" in rows[0] else "accuracy"
    head = f"{'':{width}} {'test ' + metric:>24} {'parameters':>12} {'MACs':>10} {'train':>12} {'p50/p95 ms':>13} {'best/s':>8}"
    out = ["", head]
    for entry, one in zip(found.entries, rows, strict=True):
        cost = entry.cost
        latency = f"{cost.latency_p50:.1f}/{cost.latency_p95:.1f}" if cost.latency_p50 and cost.latency_p95 else "-"
        out.append(
            f"{entry.label:{width}} {_spread(one, metric):>24} {cost.params:>12,} {cost.macs / 1e6:>8,.1f} M"
            f" {duration(entry.train_seconds):>12} {latency:>13} {cost.throughput or 0:>8,.0f}"
        )
    for pair in found.table:
        out += ["", f"{pair.first.variant}: {pair.verdict.seen}"]
    if found.why:
        out += ["", found.why]
    for pair in found.verdicts:
        out += ["", pair.verdict.seen, pair.verdict.decision, pair.verdict.power, *beside(pair)]
    return out


def _spread(one: dict[str, Any], metric: str) -> str:
    """A score with the t interval over seeds that it has."""
    points = METRICS[metric].points
    numbers = [one.get(f"test_{metric}{end}") for end in ("", "_low", "_high")]
    shown = [("-" if n is None else f"{n * 100:.2f}" if points else f"{n:.4f}") for n in numbers]
    return shown[0] if numbers[1] is None else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def beside(pair: Pair) -> list[str]:
    """What the other tests say, each with the question that it answers."""
    found, rule = pair.contrast, METRICS[pair.contrast.metric]
    scale, unit = (100, " points") if rule.points else (1, "")
    out = []
    if found.over_seeds:
        over = found.over_seeds
        out.append(
            f"other seeds on these very images (t over {over.n} seeds): {over.value * scale:+.2f}"
            f" [{over.low * scale:+.2f}, {over.high * scale:+.2f}]{unit}"
        )
    tests = "; ".join(
        f"seed {seed}: {test.only_first} to {test.only_second}, p = {test.p:.2g}"
        for seed, test in zip(found.seeds, found.pairs, strict=True)
    )
    out.append(
        f"these two runs on other images (exact McNemar, right only by {found.first.arch} to {found.second.arch}): {tests}"
    )
    sure = [one for one in found.classes if one.p < 0.05 and one.difference]
    named = ", ".join(
        f"{one.name} {one.difference.value * 100:+.1f} (p = {one.p:.2g})" for one in sure if one.difference
    )
    which = f"Holm over {len(found.classes)}, {found.second.arch} minus {found.first.arch}"
    out.append(f"classes whose recall differs ({which}): {named or 'none'}")
    return out


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """One line for each arch and variant."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: _short(value) for key, value in one.items()} for one in rows)
    return text.getvalue()


def _short(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value


def as_markdown(found: Conclusion, rows: Sequence[dict[str, Any]]) -> str:
    """The verdict and the same table."""
    keys = [key for key in rows[0] if key != "runs"]
    out = [f"| {' | '.join(keys)} |", "|" + "---|" * len(keys)]
    out += [f"| {' | '.join('' if one.get(key) is None else str(_short(one[key])) for key in keys)} |" for one in rows]
    for pair in found.verdicts:
        out += ["", f"**{pair.verdict.seen}** {pair.verdict.decision} {pair.verdict.power}"]
    return "\n".join(out) + "\n"
