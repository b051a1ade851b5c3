"""Trainings as tasks of Ray, on one machine or on a cluster whose machines share their folders. No TensorFlow."""

import contextlib
import os
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kerascnn.devices.joining import versions
from kerascnn.errors import Stopped, UserError
from kerascnn.runs import Run
from kerascnn.studies import calls, far_calls, far_training
from kerascnn.studies.executor import ChildLost, Found, Row, Slot
from kerascnn.studies.executors.local import LOOK, LocalExecutor

RETRIES = 5  # of a training whose worker or node was lost
_ANSWERS = 5.0  # seconds in which a cluster's address must answer
_CHECKS = 180.0  # seconds in which every node must start a worker
_SAVES = 60.0  # seconds in which a training that was asked to end saves its state


class RayExecutor:
    """An `Executor` whose trainings are tasks of Ray, and whose calls run on this machine.

    A task whose worker or node is lost is started again elsewhere, and continues the run once its lease is free. Where this
    process is killed, Ray kills the workers, and the runs continue from their last checkpoint at the next start.

    Args:
        address: Address of a cluster, or empty for Ray's workers on this machine.
        workers: Trainings at the same time.
        cpus: Cores of each; None for as many as this machine has.
        gpus: GPUs of each.
        local: Executes calls, and is closed with this executor.

    Raises:
        UserError: Ray is not installed, nobody answers at the address, a node has other versions, or none is large enough.
    """

    forks = False

    def __init__(self, address: str, workers: int, cpus: int | None, gpus: int, local: LocalExecutor) -> None:
        self.slots = (Slot(),) * workers
        self._local, self._cpus, self._gpus = local, cpus or len(os.sched_getaffinity(0)), gpus
        self._shared: set[Path] = set()
        self._turn = threading.Lock()
        self._ray = _connected(address, local)
        try:
            with local.phases.phase("asking the nodes of the cluster"):
                self._check_nodes()
        except BaseException:
            self._ray.shutdown()
            raise
        self._train = self._ray.remote(
            num_cpus=self._cpus, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=False, max_calls=1
        )(far_training.train)
        self._answered = self._ray.remote(
            num_cpus=self._cpus, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=False, max_calls=1
        )(far_calls.answered)

    def train(
        self,
        run_dir: str | os.PathLike[str],
        until: int | None,
        slot: Slot,
        *,
        candidate: bool,
        stop: threading.Event,
        label: str = "",
    ) -> Iterator[Row]:
        """Trains a run; see `Executor.train`."""
        run = Run(run_dir)
        run.path.mkdir(parents=True, exist_ok=True)
        self._check_shared(run.path.parent.absolute())
        task = self._train.remote(far_training.order_of(run, until, candidate, self._cpus, self._gpus))
        try:
            yield from far_training.rows(run, lambda: self._ended(task), stop)
            error = self._ray.get(task)
        except self._ray.exceptions.RayError as trouble:
            raise far_training.lost(run, f"was lost by Ray: {_first_line(trouble)}") from None
        finally:
            self._end(task, run)
        if error is not None:
            raise error

    def call(self, function: Callable[..., Found], *args: Any, slot: Slot, alone: bool = False) -> Found:
        """Returns the result of `function` in a new process of this machine; see `Executor.call`."""
        return self._local.call(function, *args, slot=slot, alone=alone)

    def spread(self, function: Callable[..., Found], *args: Any, slot: Slot, stop: threading.Event) -> Found:
        """Returns the result of `function` as a task; see `Executor.spread`."""
        task = self._answered.remote(far_calls.order_of(function, args, self._cpus, self._gpus))
        try:
            while not self._ended(task):
                if stop.is_set():
                    raise Stopped("stopped")
            found: Found = calls.result(function, self._ray.get(task))
        except self._ray.exceptions.RayError as trouble:
            raise ChildLost(f"{function.__name__} was lost by Ray: {_first_line(trouble)}", killed=True) from None
        finally:
            if not self._ended(task):
                self._ray.cancel(task)
                with contextlib.suppress(self._ray.exceptions.RayError):
                    self._ray.get(task, timeout=_SAVES)
        return found

    def close(self) -> None:
        """Leaves the cluster, which ends what is left of this executor's tasks."""
        self._ray.shutdown()
        self._local.close()

    def _ended(self, task: Any) -> bool:
        return bool(self._ray.wait([task], timeout=LOOK)[0])

    def _end(self, task: Any, run: Run) -> None:
        """Interrupts a task that still runs, and waits until the run is saved."""
        if self._ended(task):
            return
        self._ray.cancel(task)
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.get(task, timeout=_SAVES)
        far_training.wait_for_end(run, _SAVES)

    def _check_nodes(self) -> None:
        """Raises UserError unless every node has the versions of this machine, and one is large enough for a training."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        if not any(self._large(node["Resources"]) for node in nodes):
            most = ", ".join(f"{node['Resources'].get('CPU', 0):g}" for node in nodes)
            raise UserError(
                f"--worker-cpus {self._cpus} --worker-gpus {self._gpus}: no node of the cluster is so large (cores: {most})"
            )
        own = versions()
        for node, found in self._on_every_node(versions, nodes):
            differ = [
                f"{name} {found.get(name)} there, {mine} here" for name, mine in own.items() if found.get(name) != mine
            ]
            if differ:
                raise UserError(f"node {node} has other versions, which train other networks: {'; '.join(differ)}")

    def _large(self, resources: dict[str, float]) -> bool:
        return resources.get("CPU", 0) >= self._cpus and resources.get("GPU", 0) >= self._gpus

    def _check_shared(self, folder: Path) -> None:
        """Raises UserError unless every node sees what is written in the folder."""
        with self._turn:
            if folder in self._shared:
                return
            probe = folder / f".probe-{secrets.token_hex(8)}"
            probe.touch()
            try:
                nodes = [node for node in self._ray.nodes() if node["Alive"]]
                for node, seen in self._on_every_node(os.path.exists, nodes, str(probe)):
                    if not seen:
                        raise UserError(
                            f"node {node} does not see {folder}: the nodes of a cluster must share the folders of runs and data"
                        )
            finally:
                probe.unlink(missing_ok=True)
            self._shared.add(folder)

    def _on_every_node(
        self, function: Callable[..., Any], nodes: list[dict[str, Any]], *args: Any
    ) -> Iterator[tuple[str, Any]]:
        """Yields name and result for each node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = []
        for node in nodes:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            remote = self._ray.remote(num_cpus=0, scheduling_strategy=there)(function)
            asked.append((node["NodeManagerAddress"], remote.remote(*args)))
        for name, reply in asked:
            try:
                yield name, self._ray.get(reply, timeout=_CHECKS)
            except self._ray.exceptions.TaskUnschedulableError:  # a node that died lately is still listed
                continue
            except self._ray.exceptions.RayError as error:
                raise UserError(
                    f"node {name} cannot run kerascnn, which must be installed on every node: {_first_line(error)}"
                ) from None


def _connected(address: str, local: LocalExecutor) -> Any:
    """Returns Ray, connected to a cluster or with workers of its own."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    if address and address != "auto":
        _check_address(address)
    try:
        import ray
    except ImportError:
        raise UserError("--executor ray needs Ray: pip install 'kerascnn[ray]'") from None
    try:
        with local.phases.phase(f"connecting to Ray at {address}" if address else "starting Ray"):
            further: dict[str, Any] = (
                {} if address else {"num_cpus": len(os.sched_getaffinity(0)), "include_dashboard": False}
            )
            # Without an address Ray might join a cluster that happens to run here.
            ray.init(address=address or "local", log_to_driver=False, logging_level="error", **further)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(f"--executor ray{f':{address}' if address else ''}: {_first_line(error)}") from None
    finally:
        for number, handler in handlers.items():  # Ray's own would end this process without saving
            if handler is not None and threading.current_thread() is threading.main_thread():
                signal.signal(number, handler)
    return ray


def _check_address(address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError(f"--executor ray:{address}: expected ray:HOST:PORT, such as ray:10.0.0.1:6379, or ray:auto")
    try:
        socket.create_connection((host, int(port)), _ANSWERS).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--executor ray:{address}: nobody answers there ({error}); `ray start --head` prints a cluster's address"
        ) from None


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
