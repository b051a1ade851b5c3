"""The most expensive operations of a step, by TensorFlow's profiler and xprof."""

import importlib.util
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf

from kerascnn.errors import UserError

STEPS, SHOWN = 3, 10


def require() -> None:
    """Raises UserError if xprof is not installed."""
    if importlib.util.find_spec("xprof") is None:
        raise UserError("--trace needs xprof: pip install 'kerascnn[profile]'")


def dearest(step: Callable[[], object]) -> list[str]:
    """Returns one line for each of the ten most expensive operations of a warm step, with the sum of its type."""
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            for _ in range(STEPS):
                step()
        rows = operations(Path(folder))
    whole = sum(row[0] for row in rows)
    types: dict[str, float] = defaultdict(float)
    for micros, _, kind, _ in rows:
        types[kind] += micros
    ranked = sorted(types.items(), key=lambda item: -item[1])[:SHOWN]
    lines = [
        f"{micros / whole:6.1%} {micros / STEPS / 1000:9.2f} {times / STEPS:6.0f}  {kind} {name}"
        for micros, times, kind, name in sorted(rows, reverse=True)[:SHOWN]
    ]
    return [*lines, "by type: " + ", ".join(f"{kind} {micros / whole:.1%}" for kind, micros in ranked)]


def operations(folder: Path) -> list[tuple[float, float, str, str]]:
    """Returns (microseconds, times, type, name) of every operation in a trace, without idle time."""
    from xprof.convert import raw_to_tool_data

    paths = [str(path) for path in folder.rglob("*.xplane.pb")]
    found, _ = raw_to_tool_data.xspace_to_tool_data(paths, "framework_op_stats", {})
    table = json.loads(found)[0]
    at = {column["id"]: place for place, column in enumerate(table["cols"])}
    wanted = ("total_self_time", "occurrences", "type", "operation")
    rows = [tuple(row["c"][at[name]]["v"] for name in wanted) for row in table["rows"]]
    return [row for row in rows if row[2] != "IDLE"]
