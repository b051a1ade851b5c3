"""SIGKILL at random moments of each phase of fit, evaluate, compare and tune: does the same command end as an undisturbed one?

    python -m experiments.kills.kills [--kills 20] [--phases scoring report ...] [--folder DIR] [--out FILE.md]

Each phase is entered by a sign that anybody can see (a file, a line) and killed after a random part of the time that an
undisturbed twin spends in it; after a few kills in a row the command runs to its end, and everything that it keeps is held
against the twin's. A kill that came after the phase had ended does not count. Processes are forked from one that has imported
TensorFlow and has done nothing with it, which saves the import at each start; children of compare and tune are fresh ones.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from experiments.kills.phases import Phase, made_bench, phases
from experiments.kills.started import Started
from kerascnn.runs import files

IN_A_ROW = 5


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
