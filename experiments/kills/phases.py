"""The phases of fit, evaluate, compare and tune that are killed, and what they start from."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.kills import kept
from experiments.kills.started import Started

TINY = ["--blocks", "1", "1", "1", "--width", "0.25", "--image-size", "16", "--fraction", "0.05", "--batch-size", "16"]
TINY += ["--dtype", "float32", "--warmup", "0"]
FIT = ["--arch", "resnet20", *TINY, "--epochs", "3", "--run", "run", "--checkpoint-every", "7"]
SPACE = 'arch = "resnet20"\n[parameters]\n"optim.lr" = { choices = [0.02, 0.05, 0.1] }\n'
TUNE = ["--arch", "resnet20", *TINY, "--epochs", "1", "--space", "space.toml", "--tuner", "random", "--trials", "2"]
TUNE += ["--searches-dir", "searches", "--name", "search"]
Sign = Callable[[Path, str], bool]


@dataclass
class Phase:
    """A phase of a command.

    Args:
        name: As the table calls it.
        command: The module's name below `kerascnn`, and its flags.
        entered: Whether the phase has begun, by what is in the folder and what was printed.
        left: Whether it has ended.
        prepared: What the folder holds when the command starts.
        kept: Everything below the folder that must be as the twin's.
    """

    name: str
    command: list[str]
    entered: Sign
    left: Sign
    prepared: Callable[[Path], None]
    kept: Callable[[Path], dict[str, object]]


RUN = Path("runs", "run")
MADE = Path("comparisons", "both")


def phases(bench: Path) -> Iterator[Phase]:
    """Yields every phase; those after the first command start from what `bench` holds."""
    last = max(_steps(bench / RUN))
    fit = ["fit", *FIT, "--runs-dir", "runs", "--exports-dir", "saved"]
    evaluate = ["evaluate", str(RUN), "--split", "test"]
    both = ["compare", "pairs", "--comparisons-dir", "comparisons", "--name", "both"]
    promoting = ["tune", *TUNE, "--promote", "1", "--seeds", "1", "--choose-seeds", "1"]
    begun, scored = _there("environment.json"), _there("predictions/test.npz")

    def last_step(folder: Path, text: str) -> bool:
        return max(_steps(folder / RUN), default=0) == last

    def finished(folder: Path) -> None:
        shutil.copytree(bench / "runs", folder / "runs")

    def trained(folder: Path) -> None:
        finished(folder)
        _without_scores(folder / RUN)

    def compared(folder: Path) -> None:
        shutil.copytree(bench / "pairs", folder / "pairs")
        (folder / MADE).mkdir(parents=True)
        shutil.copy(bench / MADE / "comparison.toml", folder / MADE)

    def searched(folder: Path) -> None:
        shutil.copytree(bench / "searches", folder / "searches")
        shutil.copy(bench / "space.toml", folder)

    yield Phase("listing", fit, _always, _said("data  ", "model  "), _nothing, kept.fit)
    yield Phase("training", fit, begun, last_step, _nothing, kept.fit)
    yield Phase("scoring", fit, _said("resuming after", "model  "), scored, trained, kept.fit)
    yield Phase("report", fit, scored, _there("metrics.json"), trained, kept.fit)
    yield Phase("export", fit, _said("nothing trained"), _end, finished, kept.fit)
    yield Phase("evaluate", evaluate, _said("data  "), _end, finished, lambda folder: kept.run(folder / RUN))
    yield Phase("compare's conclusion", both, _said("runs  "), _end, compared, kept.compare)
    yield Phase("promotion", promoting, _said("files  "), _end, searched, kept.tune)


def _steps(run: Path) -> list[int]:
    return [int(path.name[5:]) for path in (run / "checkpoints").glob("step-*")]


def _there(name: str) -> Sign:
    return lambda folder, text: (folder / RUN / name).exists()


def _said(*words: str) -> Sign:
    return lambda folder, text: any(word in text for word in words)


def _always(folder: Path, text: str) -> bool:
    return True


def _end(folder: Path, text: str) -> bool:
    """The phase ends with the command."""
    return False


def _nothing(folder: Path) -> None:
    """An empty folder."""


def _without_scores(run: Path) -> None:
    """Removes what follows the training of a run."""
    for name in ("metrics.json", "report.html", "predictions"):
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in (run / "plots").glob("val_*"):
        path.unlink()


def made_bench(bench: Path, wanted: list[str] | None) -> None:
    """A finished run, pairs of runs with their comparison, and a search: what the phases start from, as far as it is missing."""

    def do(*command: str) -> None:
        code = Started(list(command), bench).wait()
        if code:
            raise SystemExit(f"{' '.join(command)}: {code}\n{(bench / 'screen.log').read_text()[-2000:]}")

    (bench / "tmp").mkdir(parents=True, exist_ok=True)
    (bench / "space.toml").write_text(SPACE)
    if not (bench / "runs/run/metrics.json").exists():
        do("fit", *FIT, "--runs-dir", "runs", "--no-export")
    if wanted and not {"compare's conclusion", "promotion"} & set(wanted):
        return
    for arch in ("resnet20", "resnet32"):
        for seed in ("0", "1"):
            words = ["--arch", arch, *TINY, "--epochs", "1", "--seed", seed, "--runs-dir", "pairs", "--no-export"]
            do("fit", *words)
    do("compare", "pairs", "--comparisons-dir", "comparisons", "--name", "both")
    if not wanted or "promotion" in wanted:
        do("tune", *TUNE)
