"""The workers of one training on several hosts: from flags, from TF_CONFIG, or from Slurm's variables. No TensorFlow."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kerascnn.errors import UserError

TF_CONFIG = "TF_CONFIG"
ALONE = "alone"  # the value of --workers-at for a training of its own, whatever the variables say
MOST = 1024  # workers
# Ports of workers under Slurm: one per task of a node, from a number that follows from the job and step.
FIRST_PORT, PORTS, STEP_PORTS = 20_000, 10_000, 64
# Slurm's variables in a step, as `srun` sets them.
_TASKS, _TASK, _NODES = "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST"
_PER_NODE, _JOB, _STEP, _NODE = "SLURM_STEP_TASKS_PER_NODE", "SLURM_JOB_ID", "SLURM_STEP_ID", "SLURM_NODEID"


@dataclass(frozen=True)
class Cluster:
    """The workers of one training, and which of them this process is.

    Attributes:
        workers: Their addresses, HOST:PORT, in order; the first one is the chief, which alone writes.
        index: The place of this process among them, from 0.
        source: Where this was read, as text.
    """

    workers: tuple[str, ...]
    index: int
    source: str

    def __post_init__(self) -> None:
        for address in self.workers:
            _check_address(address, self.source)
        twice = [address for address in self.workers if self.workers.count(address) > 1]
        if twice:
            raise UserError(f"{self.source}: each worker has an address of its own, and {twice[0]} is there twice")
        if len(self.workers) > MOST:
            raise UserError(f"{self.source}: {len(self.workers)} workers, and {MOST} at most can train together")
        if not 0 <= self.index < len(self.workers):
            raise UserError(
                f"{self.source}: this is worker {self.index} of {len(self.workers)}: expected 0 to {len(self.workers) - 1}"
            )

    @property
    def chief(self) -> bool:
        """Whether this process is the first worker."""
        return self.index == 0

    def named(self, index: int) -> str:
        """Returns a worker as messages name it."""
        return f"worker {index} ({self.workers[index]})"


def _check_address(address: str, source: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or any(c.isspace() for c in host) or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UserError(f"{source}: expected HOST:PORT of each worker, got {address!r}")


def here(workers_at: str | None, worker_index: int | None, variables: Mapping[str, str]) -> Cluster | None:
    """Returns the cluster that this process belongs to, or None where it trains alone.

    Flags come before TF_CONFIG, and TF_CONFIG before Slurm's variables.

    Args:
        workers_at: The value of --workers-at, or None.
        worker_index: The value of --worker-index, or None.
        variables: Environment variables.

    Raises:
        UserError: One of them does not describe a cluster.
    """
    if workers_at == ALONE:
        if worker_index is not None:
            raise UserError(f"--worker-index {worker_index}: --workers-at {ALONE} has one worker")
        return None
    found: Cluster | None
    if workers_at is not None or worker_index is not None:
        found = of_flags(workers_at, worker_index)
    elif variables.get(TF_CONFIG, "").strip():
        found = of_tf_config(variables[TF_CONFIG])
    else:
        found = of_slurm(variables)
    return found if found is not None and len(found.workers) > 1 else None


def of_flags(workers_at: str | None, worker_index: int | None) -> Cluster:
    """Returns the cluster of --workers-at and --worker-index.

    Raises:
        UserError: One of them is missing or not valid.
    """
    if workers_at is None:
        raise UserError(f"--worker-index {worker_index}: of which workers? give --workers-at HOST:PORT,HOST:PORT too")
    if worker_index is None:
        raise UserError("--workers-at: which of them is this one? give --worker-index too, 0 on the first host")
    return Cluster(tuple(address.strip() for address in workers_at.split(",")), worker_index, "--workers-at")


def of_tf_config(text: str) -> Cluster:
    """Returns the cluster of TensorFlow's variable TF_CONFIG; a chief is the first worker.

    Raises:
        UserError: It is not valid, or has parameter servers or evaluators, which this training does not use.
    """
    try:
        found = json.loads(text)
        jobs, task = found["cluster"], found["task"]
        kind, index = task["type"], int(task["index"])
        addresses = {job: [str(address) for address in _listed(jobs[job])] for job in jobs}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f'{TF_CONFIG}: expected {{"cluster": {{"worker": ["HOST:PORT", ...]}}, "task": {{"type": "worker", "index": 0}}}},'
            f" got {text[:200]!r} ({type(error).__name__}: {error})"
        ) from None
    strangers = sorted({*addresses, kind} - {"chief", "worker"})
    if strangers:
        raise UserError(f"{TF_CONFIG}: the jobs of this training are chief and worker, got {', '.join(strangers)}")
    chiefs, workers = addresses.get("chief", []), addresses.get("worker", [])
    if len(chiefs) > 1:
        raise UserError(f"{TF_CONFIG}: expected one chief, got {len(chiefs)}")
    if kind not in addresses or not 0 <= index < len(addresses[kind]):
        raise UserError(f"{TF_CONFIG}: its task is {kind} {index}, which its cluster does not have")
    return Cluster((*chiefs, *workers), index + (len(chiefs) if kind == "worker" else 0), TF_CONFIG)


def _listed(addresses: Any) -> list[Any]:
    if not isinstance(addresses, list):
        raise TypeError(f"expected a list of addresses, got {addresses!r}")
    return addresses


def of_slurm(variables: Mapping[str, str]) -> Cluster | None:
    """Returns the cluster of the tasks of a step, as `srun` describes it; None outside of a step, and for a single task.

    Raises:
        UserError: The variables contradict each other, or tasks are not placed in blocks or cyclically.
    """
    tasks = variables.get(_TASKS, "")
    if not tasks.isdecimal() or int(tasks) < 2 or _TASK not in variables or _NODES not in variables:
        return None
    hosts = hosts_of(variables[_NODES])
    counts = tasks_per_node(variables.get(_PER_NODE, ""), len(hosts), int(tasks))
    distribution = variables.get("SLURM_DISTRIBUTION", "block").split(",")[0].split(":")[0]
    placed = _placed(counts, distribution)
    index = int(variables[_TASK])
    if _NODE in variables and index < len(placed) and placed[index][0] != int(variables[_NODE]):
        raise UserError(
            f"srun: task {index} was expected on {hosts[placed[index][0]]} and runs on {hosts[int(variables[_NODE])]}:"
            " give srun --distribution=block"
        )
    job, step = (int(variables.get(name, "0") or 0) for name in (_JOB, _STEP))
    port = FIRST_PORT + (job * 7919 + step * STEP_PORTS) % PORTS
    workers = tuple(f"{hosts[node]}:{port + local}" for node, local in placed)
    return Cluster(workers, index, "srun's variables")


def _placed(counts: list[int], distribution: str) -> list[tuple[int, int]]:
    """Returns node and place on it of each task in order."""
    if distribution in ("block", "pack", ""):
        return [(node, local) for node, count in enumerate(counts) for local in range(count)]
    if distribution == "cyclic":
        rounds = range(max(counts))
        return [(node, local) for local in rounds for node, count in enumerate(counts) if local < count]
    raise UserError(f"srun --distribution={distribution}: expected block or cyclic")


def tasks_per_node(text: str, nodes: int, tasks: int) -> list[int]:
    """Returns the tasks on each node from Slurm's notation: `2(x3),1` is [2, 2, 2, 1].

    Raises:
        UserError: It does not fit to the number of nodes and tasks.
    """
    counts: list[int] = []
    for part in text.split(",") if text else [f"{tasks // nodes}(x{nodes})"]:
        found = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part.strip())
        if found is None:
            raise UserError(f"{_PER_NODE}: expected counts such as 2(x3),1, got {text!r}")
        counts += [int(found[1])] * int(found[2] or 1)
    if len(counts) != nodes or sum(counts) != tasks:
        raise UserError(
            f"{_PER_NODE}={text}: expected {tasks} tasks on {nodes} nodes, got {sum(counts)} on {len(counts)}"
        )
    return counts


def hosts_of(text: str) -> list[str]:
    """Returns the hosts of Slurm's notation, in its order: `node[1-2,07],gpu01` is node1, node2, node07, gpu01.

    Numbers keep their leading zeros, and a name may have several ranges: `rack[0-1]n[1-2]`.

    Raises:
        UserError: It is not a list of hosts.
    """
    parts = re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", text)
    if not parts or ",".join(parts) != text:
        raise UserError(f"{_NODES}: expected hosts such as node[1-3,7],gpu01, got {text!r}")
    return [host for part in parts for host in _expanded(part, text)]


def _expanded(part: str, text: str) -> Iterator[str]:
    before, bracket, rest = part.partition("[")
    if not bracket:
        yield before
        return
    numbers, _, after = rest.partition("]")
    for piece in numbers.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", piece)
        if found is None or int(found[2] or found[1]) < int(found[1]) or int(found[2] or 0) - int(found[1]) > 65536:
            raise UserError(f"{_NODES}: expected numbers such as 1-3,7 in brackets, got {text!r}")
        for number in range(int(found[1]), int(found[2] or found[1]) + 1):
            for end in _expanded(after, text):
                yield f"{before}{number:0{len(found[1])}}{end}"
