"""A small search whose candidates have all been trained already, so that only the search itself runs."""

import itertools
from pathlib import Path
from typing import Any

from kerascnn.cli.screen import Screen
from kerascnn.runs import Run
from kerascnn.search import tune_config
from kerascnn.search.search import Search
from kerascnn.search.trial_results import BASELINE

SPACE = """
arch = "resnet20"
[fixed]
"model.shortcut" = "B"
[parameters]
"filters.stage1" = { choices = [4, 8] }
"filters.stage2" = { min = 4, max = 16, step = 4 }
"optim.lr" = { choices = [0.05, 0.1] }
"""
EPOCHS = 9


def search(folder: Path, tuner: str, *flags: str, trials: int = 6, space: str = SPACE) -> Search:
    """The search, in `folder`/searches/one."""
    file = folder / "mine.toml"
    file.write_text(space)
    words = ["--space", str(file), "--tuner", tuner, "--trials", str(trials), "--epochs", str(EPOCHS)]
    words += ["--fraction", "0.02", "--searches-dir", str(folder / "searches"), "--name", "one", *flags]
    found = Search(tune_config.parse(words, prog="tune", description=""), Screen())
    found.directory.path.mkdir(parents=True, exist_ok=True)
    found.directory.claim(found.request())
    return found


def train_all(found: Search) -> None:
    """Histories and final scores for every combination of the space, and for the baseline."""
    spans = [p.labels() or range(int(p.low), int(p.high) + 1, int(p.step or 1)) for p in found.space.parameters]
    for combination in itertools.product(*spans):
        values = dict(zip((p.name for p in found.space.parameters), combination, strict=True))
        _trained(found.prepared(found.key(values), found.config_of(values)), _score(values))
    _trained(found.prepared(BASELINE, found.baseline()), 0.5)


def _score(values: dict[str, Any]) -> float:
    return 0.5 + values["filters.stage2"] / 100 + values["filters.stage1"] / 1000 + values["optim.lr"] / 10


def _trained(run: Run, score: float) -> None:
    rows = [
        {"epoch": e, "seconds": 1.0, "val_accuracy": score - 0.1 / e, "val_loss": 1 - score}
        for e in range(1, EPOCHS + 1)
    ]
    run.write_history(rows)
    run.checkpoints.mkdir()
    run.write_metrics({"val": {}})
