"""The flags of a training on several hosts, and its frame: workers meet, train, and end together. No TensorFlow."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping

from pydantic import Field

from kerascnn.config.section import Section
from kerascnn.devices.cluster import Cluster, here
from kerascnn.devices.joining import join
from kerascnn.devices.team import AGAIN, ALONE, Team, code_of
from kerascnn.devices.wire import SILENCE
from kerascnn.errors import Stopped

# TensorFlow's errors of a sum over workers that cannot be finished.
_LOST = {"UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError", "InternalError"}
_LOST |= {"FailedPreconditionError"}


class WorkerFlags(Section):
    """The hosts that train one network together; results do not depend on them, but for rounding."""

    workers_at: str | None = Field(
        None,
        description="addresses of all hosts that train together, the chief first; alone: this one by itself"
        " (default: as TF_CONFIG or srun say)",
        json_schema_extra={"metavar": "HOST:PORT,..."},
    )
    worker_index: int | None = Field(None, ge=0, description="place of this host in --workers-at, from 0")
    workers_wait: float = Field(300.0, gt=0, description="seconds to wait for all of them at the start")

    def cluster(self, variables: Mapping[str, str]) -> Cluster | None:
        """Returns the workers of this training, or None for one host; see `cluster.here`."""
        return here(self.workers_at, self.worker_index, variables)


@contextlib.contextmanager
def together(cluster: Cluster | None, seconds: float, say: Callable[[str], None]) -> Iterator[Team]:
    """Yields the team of all workers, which have met; they end together, and all the same way.

    Args:
        cluster: The workers, or None for one host.
        seconds: Longest wait at the start.
        say: Takes a line about what is waited for.

    Raises:
        Stopped: Another worker was lost, or was stopped.
        UserError, TrainingFailed: What ended another worker.
    """
    if cluster is None:
        yield ALONE
        return
    team = join(cluster, seconds, say)
    say(f"workers {team.count}, the chief at {cluster.workers[0]}; this is worker {team.index}, by {cluster.source}")
    try:
        yield team
        team.end()
    except BaseException as error:
        _blame_others(team, error)
        team.leave(error, code_of(error))
        raise


def _blame_others(team: Team, error: BaseException) -> None:
    """Raises what has ended another worker where `error` is only its consequence here."""
    names = {kind.__name__ for kind in type(error).__mro__ if kind.__module__.startswith("tensorflow")}
    if not names & _LOST:
        return
    until = time.monotonic() + SILENCE + 2
    while time.monotonic() < until:  # TensorFlow may know before the connection does
        try:
            team.check()
        except BaseException as cause:
            team.leave(cause, code_of(cause))
            raise
        time.sleep(0.1)
    raise Stopped(
        f"a sum over all workers could not be finished ({str(error).splitlines()[0][:200]}); {AGAIN}"
    ) from error
