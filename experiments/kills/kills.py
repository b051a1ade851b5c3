"""SIGKILL at random moments of each phase of fit, evaluate, compare and tune: does the same command end as an undisturbed one?

    python -m experiments.kills.kills [--kills 20] [--phases scoring report ...] [--folder DIR] [--out FILE.md]

Each phase is entered by a sign that anybody can see (a file, a line) and killed after a random part of the time that an
undisturbed twin spends in it; after a few kills in a row the command runs to its end, and everything that it keeps is held
against the twin's. A kill that came after the phase had ended does not count. Processes are forked from one that has imported
TensorFlow and has done nothing with it, which saves the import at each start; children of compare and tune are fresh ones.
"""

import argparse
import csv
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from kerascnn.runs import files

IN_A_ROW = 5
TINY = ["--blocks", "1", "1", "1", "--width", "0.25", "--image-size", "16", "--fraction", "0.05", "--batch-size", "16"]
TINY += ["--dtype", "float32", "--warmup", "0"]
FIT = ["--arch", "resnet20", *TINY, "--epochs", "3", "--run", "run", "--checkpoint-every", "7"]
SPACE = 'arch = "resnet20"\n[parameters]\n"optim.lr" = { choices = [0.02, 0.05, 0.1] }\n'
TUNE = ["--arch", "resnet20", *TINY, "--epochs", "1", "--space", "space.toml", "--tuner", "random", "--trials", "2"]
TUNE += ["--searches-dir", "searches", "--name", "search"]
TIMES = {"finished", "train_seconds", "images_per_second", "seconds", "input_wait"}


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
    entered: Callable[[Path, str], bool]
    left: Callable[[Path, str], bool]
    prepared: Callable[[Path], None]
    kept: Callable[[Path], dict[str, object]]


class Started:
    """A command in a process forked from this one, in a session and a folder of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.log = folder / "screen.log"
        self.log.unlink(missing_ok=True)
        sys.stdout.flush()
        self.pid = os.fork()
        self.code: int | None = None
        if self.pid == 0:
            _become(command, folder, self.log)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float = 900.0) -> int:
        until = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > until:
                self.kill()
                raise SystemExit(f"no end after {seconds:g} s: {self.text()[-500:]}")
            time.sleep(0.01)
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _become(command: list[str], folder: Path, log: Path) -> None:
    """The child: never returns."""
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ["TMPDIR"] = str(folder / "tmp")
        tempfile.tempdir = None
        sys.argv = [f"{command[0]}.py", *command[1:]]
        module = __import__(f"kerascnn.{command[0]}", fromlist=["main"])
        code = module.main(command[1:])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def scores(path: Path) -> object:
    """A metrics.json without times."""

    def plain(value: object) -> object:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items() if key not in TIMES}
        return [plain(each) for each in value] if isinstance(value, list) else value

    return plain(json.loads(path.read_text()))


def history(path: Path) -> object:
    with path.open() as file:
        return [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(file)]


def weights(path: Path) -> list[bytes]:
    """Every array in a `.keras` file."""
    found: list[bytes] = []
    with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as inner, h5py.File(inner) as file:
        file.visititems(lambda name, node: found.append(node[()].tobytes()) if isinstance(node, h5py.Dataset) else None)
    return found


def arrays(path: Path) -> dict[str, bytes]:
    with np.load(path) as kept:
        return {key: kept[key].tobytes() for key in kept.files}


def run_kept(run: Path) -> dict[str, object]:
    """All that a run keeps, but for times."""
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    names = {name for name in names if not name.startswith(("tensorboard/", "child.log"))}
    return {
        "names": names,
        "weights": weights(run / "best.keras"),
        "metrics": scores(run / "metrics.json"),
        "history": history(run / "history.csv"),
        "split": (run / "split.csv").read_bytes(),
        "predictions": {path.name: arrays(path) for path in sorted((run / "predictions").glob("*.npz"))},
        "config": (run / "config.toml").read_text().replace(str(run.parents[1]), ""),
    }


def fit_kept(folder: Path) -> dict[str, object]:
    versions = sorted(path.name for path in (folder / "saved" / "run").iterdir())
    newest = folder / "saved" / "run" / "1"
    passed = [(row["artefact"], row["passed"]) for row in json.loads((newest / "parity.json").read_text())["artefacts"]]
    names = {str(path.relative_to(newest)) for path in newest.rglob("*")}
    return {**run_kept(folder / "runs" / "run"), "versions": versions, "passed": passed, "exported": names}


def tables(folder: Path, names: tuple[str, ...]) -> dict[str, object]:
    return {name: (folder / name).read_text() for name in names}


def compare_kept(folder: Path) -> dict[str, object]:
    made = folder / "comparisons" / "both"
    names = {str(path.relative_to(made)) for path in made.rglob("*") if path.is_file()}
    return {"names": names, **tables(made, ("comparison.csv", "comparison.md", "tables/scores.csv"))}


def tune_kept(folder: Path) -> dict[str, object]:
    made = folder / "searches" / "search"
    runs = sorted((made / "promoted").iterdir())
    found: dict[str, object] = {run.name: [weights(run / "best.keras"), scores(run / "metrics.json")] for run in runs}
    return {**found, **tables(made, ("promotion.csv", "trials.csv", "best.toml"))}


def phases(bench: Path) -> Iterator[Phase]:
    """Every phase; those after the first command start from what `bench` holds."""
    run = Path("runs", "run")
    places = ["--runs-dir", "runs", "--exports-dir", "saved"]
    fit = ["fit", *FIT, *places]

    def there(name: str) -> Callable[[Path, str], bool]:
        return lambda folder, text: (folder / run / name).exists()

    def nothing(folder: Path) -> None:
        """An empty folder."""

    def trained(folder: Path) -> None:
        shutil.copytree(bench / "runs", folder / "runs")
        for name in ("metrics.json", "report.html", "predictions"):
            path = folder / run / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in (folder / run / "plots").glob("val_*"):
            path.unlink()

    def finished(folder: Path) -> None:
        shutil.copytree(bench / "runs", folder / "runs")

    def compared(folder: Path) -> None:
        shutil.copytree(bench / "pairs", folder / "pairs")
        (folder / "comparisons").mkdir()
        shutil.copytree(bench / "comparisons" / "both", folder / "comparisons" / "both")
        for path in (folder / "comparisons" / "both").iterdir():
            if path.name != "comparison.toml":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def searched(folder: Path) -> None:
        shutil.copytree(bench / "searches", folder / "searches")
        shutil.copy(bench / "space.toml", folder)

    def said(*words: str) -> Callable[[Path, str], bool]:
        return lambda folder, text: any(word in text for word in words)

    def end(folder: Path, text: str) -> bool:
        return False

    def last_step(folder: Path, text: str) -> bool:
        steps = [int(path.name[5:]) for path in (folder / run / "checkpoints").glob("step-*")]
        return bool(steps) and max(steps) == LAST_STEP[0]

    yield Phase("listing", fit, lambda folder, text: True, said("data  ", "model  "), nothing, fit_kept)
    yield Phase("training", fit, there("environment.json"), last_step, nothing, fit_kept)
    yield Phase("scoring", fit, said("resuming after", "model  "), there("predictions/test.npz"), trained, fit_kept)
    yield Phase("report", fit, there("predictions/test.npz"), there("metrics.json"), trained, fit_kept)
    yield Phase("export", fit, said("nothing trained"), end, finished, fit_kept)
    yield Phase(
        "evaluate",
        ["evaluate", str(run), "--split", "test"],
        said("data  "),
        end,
        finished,
        lambda f: run_kept(f / run),
    )
    both = ["compare", "pairs", "--comparisons-dir", "comparisons", "--name", "both"]
    yield Phase("compare's conclusion", both, said("runs  "), end, compared, compare_kept)
    promoting = ["tune", *TUNE, "--promote", "1", "--seeds", "1", "--choose-seeds", "1"]
    yield Phase("promotion", promoting, said("files  "), end, searched, tune_kept)


LAST_STEP = [0]


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
    LAST_STEP[0] = max(int(path.name[5:]) for path in (bench / "runs" / "run" / "checkpoints").glob("step-*"))
    if wanted and not {"compare's conclusion", "promotion"} & set(wanted):
        return
    for arch in ("resnet20", "resnet32"):
        for seed in ("0", "1"):
            words = ["--arch", arch, *TINY, "--epochs", "1", "--seed", seed, "--runs-dir", "pairs", "--no-export"]
            do("fit", *words)
    do("compare", "pairs", "--comparisons-dir", "comparisons", "--name", "both")
    if not wanted or "promotion" in wanted:
        do("tune", *TUNE)


def span(phase: Phase, folder: Path) -> float:
    """Run a command undisturbed; the seconds between a phase's first sign and its end."""
    started = Started(phase.command, folder)
    begun = over = None
    while not started.ended():
        text = started.text()
        if begun is None and phase.entered(folder, text):
            begun = time.monotonic()
        if begun is not None and over is None and phase.left(folder, text):
            over = time.monotonic()
        time.sleep(0.005)
    if started.code or begun is None:
        raise SystemExit(f"{phase.name}: code {started.code}, begun {begun}\n{started.text()[-2000:]}")
    return (over or time.monotonic()) - begun


def fresh(phase: Phase, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "tmp").mkdir(parents=True)
    phase.prepared(folder)
    return folder


def one_kill(phase: Phase, folder: Path, delay: float) -> bool:
    """Start, wait for the phase, kill after `delay` seconds; whether the phase was still under way."""
    started = Started(phase.command, folder)
    while not started.ended() and not phase.entered(folder, started.text()):
        time.sleep(0.005)
    until = time.monotonic() + delay
    while not started.ended() and time.monotonic() < until:
        time.sleep(0.002)
    within = not started.ended() and not phase.left(folder, started.text())
    started.kill()
    return within


def differences(got: dict[str, object], expected: dict[str, object]) -> list[str]:
    return [key for key in sorted(got.keys() | expected.keys()) if got.get(key) != expected.get(key)]


def leftovers(folder: Path) -> list[str]:
    """What the killed left, but for the sources that TensorFlow writes to the system's temporary folder at each trace."""
    temporary = [path for path in (folder / "tmp").iterdir() if not path.name.startswith("__autograph_generated_file")]
    found = [*files.leftovers(folder), *temporary]
    return [str(path.relative_to(folder)) for path in found]


def killed(phase: Phase, kills: int, folder: Path, rng: random.Random) -> dict[str, object]:
    """One row of the table."""
    twin = fresh(phase, folder / "twin")
    seconds = span(phase, twin)
    expected = phase.kept(twin)
    row: dict[str, object] = {"phase": phase.name, "seconds": seconds, "kills": 0, "late": 0, "ends": 0, "same": 0}
    faults: list[str] = []
    while row["kills"] < kills:  # type: ignore[operator]
        cut = fresh(phase, folder / "cut")
        left = min(IN_A_ROW, kills - row["kills"])  # type: ignore[operator]
        while left:
            within = one_kill(phase, cut, rng.uniform(0, seconds))
            row["kills" if within else "late"] += 1  # type: ignore[operator]
            left -= within
            if not within and phase.kept is not None and row["late"] > 3 * kills:  # type: ignore[operator]
                raise SystemExit(f"{phase.name}: the moments are never within it")
        started = Started(phase.command, cut)
        code = started.wait()
        row["ends"] += 1  # type: ignore[operator]
        wrong = [f"exit code {code}: {started.text()[-300:]}"] if code else differences(phase.kept(cut), expected)
        wrong += [f"left: {name}" for name in leftovers(cut)]
        wrong += ["no report.html"] if (cut / "runs").exists() and not (cut / "runs/run/report.html").exists() else []
        row["same"] += not wrong  # type: ignore[operator]
        if wrong:
            print(f"  {phase.name}: {wrong}", flush=True)
            faults += wrong
            shutil.copytree(cut, folder / f"fault-{phase.name.replace(' ', '-')}-{row['ends']}", dirs_exist_ok=True)
    row["faults"] = faults
    print(json.dumps(row), flush=True)
    return row


def page(rows: list[dict[str, object]], command: str) -> str:
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], capture_output=True, text=True, check=False
    ).stdout.strip()
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "",
    )
    lines = [
        "# Kills",
        "",
        "SIGKILL at random moments of each phase, up to five in a row; then the same command runs to its end. *Same*: weights,",
        "histories, scores but for times, predictions, tables and the names of all files as an undisturbed twin's, a report, and",
        "nothing left behind by the killed processes (but sources that TensorFlow writes to the temporary folder). A moment",
        "after the phase's end does not count as a kill.",
        "",
        "| phase | seconds of it, undisturbed | kills | moments too late | ends | same as the twin |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r['phase']} | {r['seconds']:.1f} | {r['kills']} | {r['late']} | {r['ends']} | {r['same']} of {r['ends']} |"
            for r in rows
        ),
        "",
        f"{os.cpu_count()} cores, {cpu}, {platform.system()}, other work beside it, {time.strftime('%Y-%m-%d')};"
        f" commit {commit}.",
        f"`{command}`",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--phases", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Imported once, used by every fork.
    from kerascnn import compare, evaluate, fit, training, tune  # noqa: F401
    from kerascnn.artefacts import exporting  # noqa: F401
    from kerascnn.comparison import finished, publish  # noqa: F401
    from kerascnn.evaluation import evaluating  # noqa: F401
    from kerascnn.search import results  # noqa: F401

    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="kills-"))).resolve()
    bench = folder / "bench"
    made_bench(bench, asked.phases)
    rng = random.Random(asked.seed)
    rows = []
    for phase in phases(bench):
        if not asked.phases or phase.name in asked.phases:
            rows.append(killed(phase, asked.kills, folder, rng))
            if asked.out:
                asked.out.write_text(page(rows, f"python -m experiments.kills.kills --kills {asked.kills}"))
    sys.exit(any(row["same"] != row["ends"] for row in rows))


if __name__ == "__main__":
    main()
