"""The numbers of steps and epochs of a run."""

from dataclasses import dataclass

from kerascnn.config.resolved import ResolvedFit
from kerascnn.data import pipeline


@dataclass(frozen=True)
class RunSchedule:
    """The numbers of steps and epochs of a run: steps per epoch, all epochs, first epochs of the head alone or on small
    images, and the epoch at which this start ends.
    """

    steps_per_epoch: int
    epochs: int
    head_epochs: int
    low_res_epochs: int
    until: int

    @classmethod
    def of(cls, fit: ResolvedFit, images: int, until: int | None) -> "RunSchedule":
        """Returns the schedule for `images` training images; `until` or `--stop-epoch` only end it early."""
        ends = [epoch for epoch in (until, fit.stop_epoch, fit.epochs) if epoch is not None]
        return cls(
            pipeline.steps_per_epoch(images, fit.batch_size), fit.epochs, fit.head_epochs, fit.low_res_epochs, min(ends)
        )

    @property
    def head_steps(self) -> int:
        """Steps of the head alone."""
        return self.steps_per_epoch * self.head_epochs

    @property
    def small_steps(self) -> int:
        """Steps on small images."""
        return self.steps_per_epoch * self.low_res_epochs
