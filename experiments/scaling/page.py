"""Writes experiments/results/scaling.md from what `series` has measured. No TensorFlow."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from experiments.scaling.rings import ETHERNET, LINKS, NVLINK, Link, efficiency, ring, step
from experiments.scaling.volume import volume
from experiments.speed import units
from kerascnn.architectures import tables

# Hosts, and the batch of each: strong where they share the batch of one host, weak where each has as many images as it.
HOSTS = (("strong", 4, 32), ("strong", 4, 128), ("weak", 2, 128), ("weak", 4, 128), ("weak", 8, 128))
STEPS = Path(__file__).resolve().parents[1] / "results" / "growth.jsonl"  # of experiments.speed.growth
# Candidates, trainings at the same time, seconds of each, and whether system calls are counted, which makes all slower.
SEARCHES = (
    (100, 8, 0, False),
    (300, 8, 0, False),
    (1000, 16, 0, False),
    (50, 8, 0, True),
    (100, 8, 0, True),
    (16, 8, 20, True),
)
NVLINK_V100 = Link("NVLink (V100)", 8 * 150e9, 10e-6)


class Published(NamedTuple):
    """Images per second of ResNet-50 v1.5 on one GPU, on eight, and on four hosts of eight, as published.

    Args:
        what: Software, GPU and precision.
        batch: Images of each GPU.
        one: On one GPU.
        eight: On one host.
        hosts: On four hosts, or None.
        link: Between the GPUs of a host.
    """

    what: str
    batch: int
    one: float
    eight: float
    hosts: float | None
    link: Link


# DLPerf: github.com/Oneflow-Inc/DLPerf, TensorFlow/resnet50v1.5/README.md, medians; 100 Gbit/s InfiniBand between hosts.
# DLE: NVIDIA DeepLearningExamples, TensorFlow/Classification/ConvNets/resnet50v1.5.
PUBLISHED = (
    Published("TF 2.3, V100, fp32 (DLPerf)", 128, 321.80, 2458.74, 9418.44, NVLINK_V100),
    Published("TF 2.3, V100, fp16 (DLPerf)", 128, 938.09, 5734.83, 16250.19, NVLINK_V100),
    Published("TF 2.3, V100, fp16 (DLPerf)", 256, 1075.27, 6898.00, 19314.31, NVLINK_V100),
    Published("TF 1.15 with XLA, A100, TF32 (DLE)", 256, 909, 7000, None, NVLINK),
    Published("TF 1.15 with XLA, A100, fp16 (DLE)", 256, 2375, 17400, None, NVLINK),
)


def text(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the page.

    Args:
        rows: What was measured, as `units.read` gives it.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if "failed" not in row:
            found.setdefault(row["unit"], []).append(row)
    parts = (
        HEAD,
        *volumes(),
        "",
        *collectives(found),
        "",
        *hosts(),
        "",
        *gpus(),
        "",
        *searches(found),
        "",
        MISSING,
    )
    left = [what for kind, what in SERIES.items() if not any(unit.startswith(f"{kind} ") for unit in found)]
    return (
        "\n".join([*parts, *(f"- {what}: `series` would measure it, and has not been run for it." for what in left)])
        + "\n"
    )


# What a kind of measurement is about, for those that are missing.
SERIES = {
    "reduce": "All-reduces of two and three processes on loopback",
    "train": "One training by one, two and three processes of this machine",
}


HEAD = """# Several machines: counted, predicted, simulated

`python -m experiments.scaling.series`. Nothing here was measured on more than one machine, or on a GPU:
what each table rests on stands above it, and what was not measured stands at the end.

## What a training on several machines says in a step

Counted from the rows of the networks (1,000 classes, or 10 up to 64 px). Gradients and statistics are
float32 with every `--dtype`. *Plain* is a gradient and the moving statistics, which are averaged; *synchronized* adds
the sums of each normalization, packed, forward and backward. The milliseconds are those of a ring of four hosts (of
eight GPUs for NVLink) that moves nothing else: 2 (n - 1) / n of the volume by the bandwidth, and 2 (n - 1) latencies
of 50 us (10 us for NVLink), which are assumed. Synchronized normalization waits for two reductions per layer, one
after the other; its milliseconds are those of 10 Gbit/s."""


def volumes() -> Iterator[str]:
    """Yields the table of all networks."""
    links = " | ".join(f"{link.name}, ms" for link in LINKS)
    yield f"| network | weights | plain, MB | synchronized, MB | normalizations | {links} | synchronized, 10 Gbit/s, ms |"
    yield "|---|--:|--:|--:|--:|" + "--:|" * (len(LINKS) + 1)
    for arch in tables.ARCHS:
        said = volume(arch)
        times = [ring(said.plain, 8 if link is NVLINK else 4, link) for link in LINKS]
        times.append(ring(said.synchronized, 4, ETHERNET[1], said.rounds))
        cells = [f"{said.trainable:,}", f"{said.plain / 1e6:.2f}", f"{said.synchronized / 1e6:.2f}", str(said.norms)]
        yield f"| {arch} | {' | '.join(cells + [_ms(seconds) for seconds in times])} |"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.{1 if seconds < 0.1 else 0}f}"


def collectives(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yields the measured all-reduces."""
    if not any(unit.startswith("reduce ") for unit in found):
        return
    yield "## All-reduces of TensorFlow on loopback, measured"
    yield ""
    yield "Processes of this machine with two cores, which it shared with other work; gRPC, no NCCL; median and least of ten, ms."
    yield "The first row is the fixed cost: what a reduction costs before it has moved anything."
    yield ""
    runs = {unit.split()[1]: turns[-1] for unit, turns in found.items() if unit.startswith("reduce ")}
    yield "| numbers | " + " | ".join(f"{count} processes" for count in runs) + " |"
    yield "|--:|" + "--:|" * len(runs)
    sizes = [name.split(".")[1] for name in next(iter(runs.values()), {}) if name.startswith("median.")]
    for size in sizes:
        cells = [f"{_ms(run[f'median.{size}'])} ({_ms(run[f'least.{size}'])})" for run in runs.values()]
        yield f"| {int(size):,} | {' | '.join(cells)} |"


def processes(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yields the training of one network by several processes of this machine."""
    rates = {int(unit.split()[1]): turns for unit, turns in found.items() if unit.startswith("train ")}
    if 1 not in rates:
        return
    best = {count: max(turn["images_per_second"] for turn in turns) for count, turns in rates.items()}
    yield OF_PROCESSES
    yield ""
    yield "| processes | rounds | images per second of each round | speed-up |"
    yield "|--:|--:|---|--:|"
    for count, turns in sorted(rates.items()):
        each = ", ".join(f"{turn['images_per_second']:.0f}" for turn in turns)
        yield f"| {count} | {len(turns)} | {each} | {best[count] / best[1]:.2f} x |"


def hosts() -> Iterator[str]:
    """Yields what hosts like the one of experiments/results/growth.md would do."""
    yield "## Hosts of two cores, predicted from measured steps"
    yield ""
    yield OF_HOSTS
    yield ""
    yield f"| scaling | hosts | images of each | own step, ms | {' | '.join(link.name for link in ETHERNET)} |"
    yield "|---|--:|--:|--:|" + "--:|" * len(ETHERNET)
    rates: dict[str, list[float]] = {}
    for row in units.read(STEPS):
        if row["unit"].startswith("batch "):
            rates.setdefault(row["unit"], []).append(row["kerascnn.train"])
    for kind, count, batch in HOSTS:
        whole = batch * count if kind == "strong" else batch
        alone, own = (images / median(rates[f"batch {images}"]) for images in (whole, batch))
        times = count if kind == "weak" else 1  # as many images in each step
        cells = []
        for link in ETHERNET:
            found = step(own, ring(volume("resnet20").plain, count, link))
            cells.append(_range(times * alone / found.bare, times * alone / found.hidden))
        yield f"| {kind} | {count} | {batch} | {1000 * own:.0f} | {' | '.join(cells)} |"


def _range(least: float, most: float) -> str:
    return f"{most:.2f} x" if f"{least:.2f}" == f"{most:.2f}" else f"{least:.2f} to {most:.2f} x"


def gpus() -> Iterator[str]:
    """Yields eight GPUs and four hosts of them, from published steps, beside published speeds."""
    yield "## Eight GPUs, and four hosts of them, predicted from a published step"
    yield ""
    yield OF_GPUS
    yield ""
    titles = ["what, images per GPU", "own step, ms", "8 GPUs", "published", "32 GPUs, 100 Gbit/s", "published"]
    yield f"| {' | '.join([*titles, '32 GPUs, 25 Gbit/s', '32 GPUs, 10 Gbit/s'])} |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    size = volume("resnet50").plain
    for one in PUBLISHED:
        own = one.batch / one.one
        cells = [f"{1000 * own:.0f}", _speedup(own, size, 8, one.link), f"{one.eight / one.one:.2f} x"]
        cells.append(_speedup(own, size, 32, ETHERNET[3]))
        cells.append("-" if one.hosts is None else f"{one.hosts / one.one:.2f} x")
        cells += [_speedup(own, size, 32, link) for link in (ETHERNET[2], ETHERNET[1])]
        yield f"| {one.what}, {one.batch} | {' | '.join(cells)} |"


def _speedup(own: float, size: int, count: int, link: Link) -> str:
    least, most = efficiency(own, step(own, ring(size, count, link)))
    return _range(count * least, count * most)


def searches(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yields what the driver of a search has cost."""
    yield "## The driver of a search, with trainings that only write"
    yield ""
    yield OF_SEARCHES
    yield ""
    yield "| candidates | at once | CPU per candidate, ms | of the last tenth, ms | memory, MB | tables at the end, CPU |"
    yield "|--:|--:|--:|--:|--:|--:|"
    runs = {unit: turns[-1] for unit, turns in found.items() if "search" in unit.split()}
    for unit, run in runs.items():
        if "calls" not in run:
            yield _driver(unit, run)
    yield ""
    yield "| candidates | at once | seconds of each | calls per candidate | syncs | opens | stat, mkdir, rename |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for unit, run in runs.items():
        if "calls" in run:
            yield _called(unit, run)
    yield ""
    yield from saturation(runs)


def _named(unit: str) -> tuple[str, str, str]:
    """Returns candidates, trainings at once and seconds of each, by the name of a measurement."""
    words = unit.split()
    before = f"{words[0]}: " if words[0] != "search" else ""
    candidates, workers, seconds = words[words.index("search") + 1 :][:3]
    return f"{before}{int(candidates):,}", workers, seconds


def _driver(unit: str, run: dict[str, Any]) -> str:
    candidates, workers, _ = _named(unit)
    count = run["trainings"]
    last = 1000 * run["cpu.last_tenth"] / max(1, count // 10)
    memory = f"{run['megabytes.begin']:.0f} to {run['megabytes.end']:.0f}"
    cpu = 1000 * run["cpu"] / count
    return f"| {candidates} | {workers} | {cpu:.0f} | {last:.0f} | {memory} | {run['conclusion.cpu']:.0f} s |"


def _called(unit: str, run: dict[str, Any]) -> str:
    count = run["trainings"]
    opens, syncs = run.get("calls.openat", 0), run.get("calls.fsync", 0)
    figures = (run["calls"], syncs, opens, run["calls"] - opens - syncs)
    return f"| {' | '.join(_named(unit))} | {' | '.join(f'{figure / count:.0f}' for figure in figures)} |"


def saturation(runs: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yields where one driver, or the file server behind it, has no more to give."""
    sizes = {
        int(unit.split()[1]): run for unit, run in runs.items() if unit.startswith("search ") and "calls" not in run
    }
    calls, waiting = runs.get("search 100 8 0 calls"), runs.get("search 16 8 20 calls")
    if not sizes or calls is None:
        return
    most = max(sizes)
    last = sizes[most]["cpu.last_tenth"] / max(1, sizes[most]["trainings"] // 10)
    each = calls["calls"] / calls["trainings"]
    yield f"Where it saturates, from these figures: at {most:,} candidates the driver needs {1000 * last:.0f} ms of one core per"
    yield f"candidate, so that it keeps {60 / last:,.0f} trainings of a minute busy at once, or {600 / last:,.0f} of ten minutes."
    if waiting is not None:
        looks = max(0.0, waiting["calls"] - each * waiting["trainings"]) / (20 * waiting["trainings"])
        minute, ten = (f"{1000 / (looks + each / seconds):,.0f}" for seconds in (60, 600))
        yield f"A candidate costs about {each:.0f} calls on files, and one that trains {looks:.1f} a second: a file server that"
        yield f"answers 1,000 such calls a second has its fill at {minute} trainings of a minute at once, {ten} of ten minutes."
    if most < 1000:
        yield f"**No search of more than {most:,} candidates was run**: what grows with their number shows in the last tenth."
    yield "The files of the trainings themselves (checkpoints, logs, data) come on top, and were not counted here."


OF_PROCESSES = """## One training by several processes of this machine, measured

`kerascnn fit` under TF_CONFIG on loopback: resnet20, 32 images for each process in a batch, float32, the second of two
epochs, each process with one thread on a core of its own; of the three, two share a core. The machine was shared with
other work, which takes cores away from all of them: the ratios say little more than that it works. The best of the
rounds is compared."""
OF_HOSTS = """From resnet20's training steps in [growth.md](growth.md), which were measured alone on a machine of two
cores (AMD EPYC with avx512_bf16, mixed_bfloat16; medians of three rounds), and rings as above; the speed-up over one
such host. Each range is without any overlap of reduction and backward pass, and with all that fits. Strong: hosts
share the batch of one, and small batches are slower per image; weak: each host has a batch of its own."""
RESNET50 = round(volume("resnet50").plain / 1e6)
OF_GPUS = f"""**No step was measured on a GPU.** ResNet-50 v1.5 at 224 px with other programs' published speed of one
GPU, and a ring of its {RESNET50} MB: inside a host over NVLink, between hosts over the slowest link. Speed-up over one
GPU, predicted and published. What is published lies below even the lower end: the model knows no input, no launching
of kernels, and nobody who waits for the slowest."""
OF_SEARCHES = """`kerascnn tune`'s search (random, resnet_filters, a budget of MACs) with an executor whose
trainings are processes of their own that take the run's lease and write three epochs: the driver waits for files of
others, as with Ray and Slurm. CPU and memory are the driver's alone; system calls (those that name a file, and syncs,
below the search's folder) were counted by strace in other runs. *Before* is the program of commit 87c2739, which read
the files of all candidates after each one."""
MISSING = """## What was not measured

- Anything on a GPU, with NCCL, on two machines, or over a real network: bandwidths and latencies are from data sheets
  and assumed.
- Hosts of different speed, and other users of the network: a step waits for the slowest.
- How a ring shares a link with the reading of images.
- A search with a thousand real trainings; a file server: calls were counted on a local disk, and one call may be
  several on NFS.
- Other tuners than random search: `bayesian` fits a process to all candidates before it proposes one.
- Convergence: a batch that grows with the hosts needs another learning rate, and at some size more epochs."""
