"""The pictures of a page, one function each: curves with seed bands, charts, bars, confusion matrices, calibration."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from markupsafe import Markup

from kerascnn.escaping import as_html, one_line
from kerascnn.report import cells, images
from kerascnn.report.page import BarRow, Bars, Calibration, Chart, Confusion, Curve
from kerascnn.report.svg import COLORS, WIDTH, Axis, Series, figure, legend, lines, text

# Up to so many classes a cell of the matrix is drawn with its name and count; above that a picture shows the pattern.
DRAWN = 20
# More bars than this nobody reads: the first ones are shown.
BARS = 30

_RUN_PANELS: tuple[tuple[str, str, tuple[tuple[str, str, int, bool], ...]], ...] = (
    ("loss", "number", (("loss", "train (augmented)", 1, True), ("val_loss", "val", 0, False))),
    (
        "score",
        "share",
        (
            ("accuracy", "train accuracy (augmented)", 1, True),
            ("val_accuracy", "val accuracy", 0, False),
            ("val_macro_f1", "val macro F1", 2, False),
        ),
    ),
    ("learning rate", "number", (("lr", "learning rate", 3, False),)),
)
_PANELS = (
    ("val_accuracy", "val accuracy", "share"),
    ("val_loss", "val loss", "number"),
    ("loss", "training loss (augmented)", "number"),
)


def run_curves(curve: Curve) -> Iterator[Markup]:
    """Loss, scores and learning rate of one run."""
    rows = next(iter(curve.runs.values()), ())
    for title, unit, columns in _RUN_PANELS:
        series = [
            Series(label, [(row["epoch"], row[key], row[key], row[key]) for row in rows if key in row], color, dashed)
            for key, label, color, dashed in columns
            if any(key in row for row in rows)
        ]
        if series:
            best = f", best epoch {curve.best}" if curve.best and title == "score" else ""
            yield lines(f"{title} by epoch{best}", _ends(series, unit), _epochs(), Axis("", unit), series)  # type: ignore[arg-type]


def curves(found: Sequence[Curve]) -> Iterator[Markup]:
    """Mean over seeds with the band from the lowest to the highest, for val score and losses."""
    for key, title, unit in _PANELS:
        series = [Series(curve.label, _band(curve, key), i, i >= COLORS) for i, curve in enumerate(found)]
        series = [one for one in series if one.points]
        if series:
            yield lines(f"{title} by epoch", _ends(series, unit), _epochs(), Axis("", unit), series)  # type: ignore[arg-type]


def _epochs() -> Axis:
    return Axis("epoch", whole=True)


def _band(curve: Curve, key: str) -> list[tuple[float, float, float, float]]:
    by_epoch: dict[float, list[float]] = {}
    for rows in curve.runs.values():
        for row in rows:
            if key in row:
                by_epoch.setdefault(row["epoch"], []).append(row[key])
    # An epoch that some seeds lack would bend the mean.
    full = max(map(len, by_epoch.values()), default=0)
    return [(e, float(np.mean(v)), min(v), max(v)) for e, v in sorted(by_epoch.items()) if len(v) == full]


def _ends(series: Sequence[Series], unit: str) -> str:
    said = ", ".join(f"{one.label} {cells.show(one.points[-1][1], unit)}" for one in series)  # type: ignore[arg-type]
    return f"at the end {said}"


def chart(found: Chart) -> Markup:
    """Scores against something, whiskers where they have an interval."""
    series = [
        Series(line.label, [(x, *interval[:3]) for x, interval in line.points], i, dots=True)
        for i, line in enumerate(found.lines)
        if line.points
    ]
    return lines(
        found.title, _ends(series, found.unit), Axis(found.x, log=found.log), Axis(found.y, found.unit), series
    )


def calibrations(found: Sequence[Calibration]) -> Markup:
    """Accuracy against confidence in bins of equal mass; below the diagonal the answers are too sure."""
    series = [
        Series(_with_ece(one), [(b.confidence, b.accuracy, b.accuracy, b.accuracy) for b in one.bins], i, dots=True)
        for i, one in enumerate(found)
        if one.bins
    ]
    low = min((min(b.confidence, b.accuracy) for one in found for b in one.bins), default=0.0)
    low = max(0.0, np.floor(low * 10) / 10)
    about = "; ".join(f"{one.label}: below the diagonal answers are too sure" for one in series)
    ends = {"unit": "share", "low": low, "high": 1.0}
    return lines(
        "Accuracy by confidence, bins of equal mass",
        about,
        Axis("confidence", **ends),
        Axis("accuracy", **ends),
        series,
        True,
    )


def _with_ece(one: Calibration) -> str:
    return one.label if one.ece is None else f"{one.label} (ECE {cells.show(one.ece, 'share')})"


def bars(found: Bars) -> Markup:
    """A bar for each class and series, from 0 to 100 %, with its interval."""
    rows = found.rows
    title = found.title
    if len(rows) > BARS:
        rows = rows[:BARS]
        title = f"{title} ({BARS} of {len(found.rows)} classes; the tables have all)"
    thick, gap, left, right = 9, 8, 118, WIDTH - 12
    step = thick * len(found.series) + gap + 4
    parts = [_bar_grid(left, right, step * len(rows) + 6)]
    for i, row in enumerate(rows):
        top = i * step + 4
        parts.append(text(left - 5, top + step / 2 - 4, f"{short(row.name, 15)} ({row.n})", "", "end"))
        for series, value in enumerate(row.values):
            if value is None:
                continue
            y, end, low, high = top + series * thick, *(left + (right - left) * min(max(v, 0), 1) for v in value[:3])
            tip = as_html(f"{row.name}, {found.series[series]}: {cells.show(value, 'share')} {row.note}".rstrip())
            parts.append(
                f'<path class="bar s{series % COLORS}" d="M{left} {y}H{end:.1f}v{thick - 1.5}H{left}Z">'
                f"<title>{tip}</title></path>"
                f'<path class="spread" d="M{low:.1f} {y + thick / 2 - 0.75:g}H{high:.1f}"/>'
            )
    key = legend((name, i, False) for i, name in enumerate(found.series))
    return figure(title, _worst(rows, found.series), WIDTH, step * len(rows) + 22, parts, key, "bars")


def _bar_grid(left: float, right: float, bottom: float) -> str:
    places = [(share, left + (right - left) * share) for share in (0, 0.25, 0.5, 0.75, 1)]
    return "".join(
        f'<path class="grid" d="M{x:g} 0V{bottom}"/>{text(x, bottom + 13, f"{share * 100:g}", "faint", "middle")}'
        for share, x in places
    )


def _worst(rows: Iterable[BarRow], series: Sequence[str]) -> str:
    said = []
    for i, name in enumerate(series):
        known = [(value.value, row.name) for row in rows if (value := row.values[i]) is not None]
        if known:
            said.append(f"{name} lowest for {min(known)[1]} ({cells.show(min(known)[0], 'share')})")
    return "; ".join(said)


def confusion(found: Confusion) -> Markup:
    """Rows are the truth, columns the answers; colour is the share of the row, mistakes in another colour."""
    counts, classes = found.counts, len(found.class_names)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    right, total = int(np.trace(counts)), int(counts.sum())
    over = f", {found.seeds} seeds together" if found.seeds > 1 else ""
    title = f"{found.label}: {right:,} of {total:,} right{over}"
    about = "; ".join(mistakes(found)) or "no mistakes"
    if classes > DRAWN:
        return images.matrix(share, title, about)
    left, top, right = 104, 84, 42  # the last name leans out to the right
    side = (WIDTH - left - right) / classes
    cell = f"{side - 1:.1f}"
    parts = []
    for i, j in zip(*np.nonzero(counts), strict=True):
        x, y = left + j * side, top + i * side
        depth = float(np.sqrt(share[i, j])) * 0.9 + 0.1
        tip = as_html(f"{found.class_names[i]} answered as {found.class_names[j]}: {counts[i, j]} of {counts[i].sum()}")
        kind = "hit" if i == j else "miss"
        parts.append(
            f'<path class="{kind}" fill-opacity="{depth:.2f}" d="M{x:.1f} {y:.1f}h{cell}v{cell}h-{cell}Z">'
            f"<title>{tip}</title></path>"
        )
        if classes <= 12 and counts[i, j] < 10 ** (5 if classes < 8 else 4):
            parts.append(
                text(x + side / 2, y + side / 2 + 3, f"{counts[i, j]}", "strong" if depth > 0.6 else "small", "middle")
            )
    for i, name in enumerate(found.class_names):
        middle = i * side + side / 2
        parts.append(text(left - 5, top + middle + 3, short(name, 16), "small", "end"))
        parts.append(
            f'<g transform="translate({left + middle + 3:.1f} {top - 5}) rotate(-60)">{text(0, 0, short(name, 16), "small")}</g>'
        )
    return figure(title, about, WIDTH, top + classes * side + 4, parts, kind="matrix")


def mistakes(found: Confusion, most: int = 5) -> list[str]:
    """The most frequent mistakes in words."""
    wrong = found.counts - np.diag(np.diag(found.counts))
    names, images_of = found.class_names, found.counts.sum(axis=1)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(names)) for place in order]
    return [f"{names[t]} answered as {names[a]}: {wrong[t, a]:,} of {images_of[t]:,}" for t, a in pairs if wrong[t, a]]


def short(name: str, length: int) -> str:
    """One line; the middle of a long name is left out, as its ends tell more."""
    name = one_line(name)
    return name if len(name) <= length else f"{name[: length // 2]}…{name[-(length - length // 2 - 1) :]}"
