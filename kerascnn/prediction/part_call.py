"""Predicts parts in a process of its own, on this machine or on one of a cluster. No TensorFlow before the call."""

from __future__ import annotations

import os
import sys

from kerascnn.cli.parsing import parse
from kerascnn.cli.screen import quiet
from kerascnn.errors import UserError
from kerascnn.prediction.part_tally import Tally
from kerascnn.prediction.parts_job import PartsJob
from kerascnn.prediction.predict_flags import Predict


def work(argv: list[str], artefact: str, worker: int, workers: int) -> Tally:
    """Predicts the parts that no other worker does; returns what was done.

    Args:
        argv: The words of the command line.
        artefact: Path of the network.
        worker, workers: The number of this worker, and how many there are.

    Raises:
        UserError: The folder is not on this machine, or the network is another one here.
        Stopped: The disk or the network share fails.
    """
    asked = parse(Predict, argv, prog="kerascnn predict", description="").model_copy(update={"artefact": artefact})
    assert asked.many.output is not None
    job = PartsJob(asked.many.output)
    if not job.pinned:
        raise UserError(
            f"{job.path} is not on {os.uname().nodename}: the machines of a cluster must share the folders of images and"
            " predictions"
        )
    done = set(job.done())
    index, shards = asked.many.share
    if done.issuperset(range(index, job.count, shards)):
        return Tally()
    with quiet():
        from kerascnn.prediction import network, part_work
        from kerascnn.prediction.model_digest import terms_of

        predictor, rule, _ = network.opened(asked)
        job.check_terms(terms_of(asked, predictor, rule))
        parts = part_work.PartWork(job, predictor, rule, asked)
        parts.warm()
    order = part_work.order_of(job.count, index, shards, worker, workers)
    return parts.work(order, lambda line: print(line, file=sys.stderr))
