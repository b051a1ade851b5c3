"""A training step of kerascnn, stock Keras and PyTorch, in processes that stay alive and take turns: speed.md's second machine.

    python -m experiments.speed.machines resnet20 32 128 --torch TORCH_PYTHON [--rounds 5] [--steps 20]
    python -m experiments.speed.machines --table      writes the table of what is kept into experiments/results/speed.md

Every way has a process of its own, warmed once; in a round each runs some steps while the others wait, so that all meet the
same machine. float32. "stock Keras" is the same network with the fast paths off; oneDNN is on, or as TensorFlow chooses. The
rows are added to experiments/results/speed_machines.jsonl. Alone on the machine.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
PEER = HERE.parent / "peers" / "torch_step.py"
KEPT = HERE.parent / "results" / "speed_machines.jsonl"
PAGE = KEPT.with_name("speed.md")
MARKS = "<!-- machines -->", "<!-- /machines -->"
OURS = "kerascnn"
WAYS = (OURS, "stock Keras, oneDNN on", "stock Keras as TensorFlow chooses", "PyTorch eager", "PyTorch compiled")


class Worker:
    """A process that runs steps when asked.

    Args:
        way: Of WAYS.
        command: Starts it.
        variables: Its environment.
    """

    def __init__(self, way: str, command: list[str], variables: dict[str, str]) -> None:
        self.way = way
        pipe = subprocess.PIPE
        self.child = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, env=variables
        )

    def seconds(self, steps: int) -> float:
        """Seconds of one of `steps` steps."""
        with contextlib.suppress(BrokenPipeError):  # said below
            print(steps, file=self.child.stdin, flush=True)
        for line in self.child.stdout or ():
            if line.startswith("seconds "):
                return float(line.split()[1])
        self.close()
        raise RuntimeError(f"{self.way}: the process ended with code {self.child.returncode}")

    def close(self) -> None:
        """Let the process end."""
        with contextlib.suppress(BrokenPipeError):
            self.child.communicate()


def workers(arch: str, size: int, batch: int, torch: str | None, ways: list[str]) -> list[Worker]:
    """The ways' processes, none of them warm."""
    bare = {name: value for name, value in os.environ.items() if name != "TF_ENABLE_ONEDNN_OPTS"}
    root = str(HERE.parents[1])
    bare["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    shape = [arch, str(size), str(batch)]
    found = []
    for way in ways:
        if way.startswith("PyTorch"):
            if torch:
                flags = ["--size", str(size), "--batch", str(batch), "--dtype", "fp32", "--turns"]
                flags += ["--compile"] if way.endswith("compiled") else []
                found.append(Worker(way, [torch, str(PEER), arch, *flags], bare))
            continue
        form = [] if way == OURS else ["--stock"]
        first = ["--tensorflow-first"] if way.endswith("chooses") else []
        variables = bare | ({"TF_ENABLE_ONEDNN_OPTS": "1"} if way.endswith("on") else {})
        found.append(Worker(way, [sys.executable, str(HERE / "keras_step.py"), *shape, *form, *first], variables))
    return found


def table(rows: list[dict]) -> str:
    """Markdown: a row for each network and way, ratios round by round."""
    lines = [
        "| network | way | images/s: median [least, most], n rounds | kerascnn over it: median of pairs [least, most] |",
        "|---|---|--:|--:|",
    ]
    for row in rows:
        ours = row["seconds"][OURS]
        for way, seconds in row["seconds"].items():
            rates = [row["batch"] / one for one in seconds]
            pairs = [one / mine for one, mine in zip(seconds, ours, strict=True)]
            spread = f"{median(rates):.3g} [{min(rates):.3g}, {max(rates):.3g}], n = {len(rates)}"
            ratio = f"{median(pairs):.2f} x [{min(pairs):.2f}, {max(pairs):.2f}]"
            lines.append(f"| {row['arch']}, {row['size']} px, batch {row['batch']} | {way} | {spread} | {ratio} |")
    return "\n".join(lines)


def write_table(rows: list[dict], page: Path = PAGE) -> None:
    """Put the table of `rows` between the page's marks."""
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    text = f"{before}{MARKS[0]}\n{table(rows)}\n{MARKS[1]}{rest.partition(MARKS[1])[2]}"
    page.write_text(text, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arch", nargs="?")
    parser.add_argument("size", type=int, nargs="?")
    parser.add_argument("batch", type=int, nargs="?")
    parser.add_argument("--torch", help="the interpreter of an environment with torch and torchvision")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1, help="of each way in a round")
    parser.add_argument("--kept", type=Path, default=KEPT)
    parser.add_argument("--wait", action="store_true", help="once all are warm, wait for Enter: for a quiet machine")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    if args.table:
        write_table([json.loads(line) for line in args.kept.read_text(encoding="utf-8").splitlines()])
        return 0
    if args.batch is None:
        parser.error("expected ARCH SIZE BATCH, such as resnet20 32 128, or --table")
    present = workers(args.arch, args.size, args.batch, args.torch, args.ways)
    for worker in present:
        worker.seconds(2)  # one after the other: warming beside others would take longer
    if args.wait:
        input(f"{args.arch}: warm; Enter starts the rounds ")
    seconds: dict[str, list[float]] = {worker.way: [] for worker in present}
    for _ in range(args.rounds):
        for worker in present:
            seconds[worker.way].append(worker.seconds(args.steps))
    for worker in present:
        worker.close()
    cpu = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")), "")
    row = {
        "arch": args.arch,
        "size": args.size,
        "batch": args.batch,
        "cpu": cpu.partition(":")[2].strip(),
        "cpus": len(os.sched_getaffinity(0)),
        "steps": args.steps,
        "seconds": seconds,
    }
    with args.kept.open("a") as file:
        file.write(json.dumps(row) + "\n")
    print(table([row]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
