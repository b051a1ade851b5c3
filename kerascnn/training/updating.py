"""What all optimizers share: learning rates that differ by variable, decoupled decay, clipping, averages of the weights."""

import contextlib
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

from keras import ops

from kerascnn.compat import keras as compat
from kerascnn.config import Optim
from kerascnn.training.schedules import Schedule

AGC_SMALLEST = 1e-3  # norm of weights below which AGC does not follow them, so that zeros can move (Brock et al., 2021)


class Updating(compat.DecayInStep, compat.SumFirst):
    """Part of an optimizer: updates each variable at its own learning rate, weight decay included.

    Keras has one learning rate for all variables. Scaling gradients is not equivalent: Adam divides by their size.

    Attributes:
        CYCLED: The attribute that `one_cycle` moves against the rate, or None.
    """

    CYCLED: ClassVar[str | None] = "momentum"
    _section: Optim = Optim()
    _free: frozenset[str] = frozenset()

    def adopt(self, section: Optim, *, free: Sequence = ()) -> None:
        """Takes over what all optimizers do by `section`; before `build`.

        Args:
            section: The config's optim section.
            free: Variables that adaptive clipping leaves alone.
        """
        self._section = section
        self._free = frozenset(self.key(variable) for variable in free)

    def scale(self, variables: Sequence, factor: float) -> None:
        """Multiplies the learning rate of `variables` by `factor`, in addition to earlier calls."""
        more = {self.key(variable): factor * self._factor(variable) for variable in variables}
        self._factors = {**getattr(self, "_factors", {}), **more}

    def _factor(self, variable) -> float:
        return getattr(self, "_factors", {}).get(self.key(variable), 1.0)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        if self._section.lookahead:
            slow = self.add_optimizer_variables(variables, "slow")
            self._slow = {self.key(variable): value for variable, value in zip(variables, slow, strict=True)}
        if self._section.schedule == "plateau":
            self.schedule.factor = self.add_variable(
                (), initializer="ones", dtype="float32", aggregation="only_first_replica", name="plateau_factor"
            )

    def update_step(self, gradient, variable, learning_rate):
        rate = learning_rate * self._factor(variable)
        if self._section.clip_agc is not None and self.key(variable) not in self._free:
            gradient = adaptively_clipped(gradient, variable, self._section.clip_agc)
        if self._section.lookahead:
            slow = self._slow[self.key(variable)]
            self.assign(slow, ops.where(self.iterations == 0, variable, slow))
        if self.weight_decay and self.decays(variable):
            dtype = variable.dtype
            self.assign_sub(variable, variable * ops.cast(self.weight_decay * rate, dtype))
        with self._cycled_momentum():
            super().update_step(gradient, variable, rate)
        if self._section.lookahead:
            self._look_ahead(variable, slow)

    def _look_ahead(self, variable, slow) -> None:
        """Goes part of the way from the weights N updates ago to the present ones, every N updates (Zhang et al., 2019)."""
        share, due = self._section.lookahead_share, (self.iterations + 1) % self._section.lookahead == 0
        self.assign(slow, ops.where(due, slow + share * (variable - slow), slow))
        self.assign(variable, ops.where(due, slow, variable))

    @contextlib.contextmanager
    def _cycled_momentum(self) -> Iterator[None]:
        """The momentum of this step, where the schedule has one of its own."""
        before = getattr(self, self.CYCLED) if self.CYCLED and self._section.schedule == "one_cycle" else 0.0
        if not before:  # an optimizer without momentum keeps none
            yield
            return
        assert self.CYCLED is not None
        setattr(self, self.CYCLED, self.schedule.momentum(self.steps_done()))
        try:
            yield
        finally:
            setattr(self, self.CYCLED, before)

    def averaging(self, momentum):
        """Returns the decay of the averaged weights at this update: with warm-up, small while there are few to average."""
        if not self._section.ema_warmup:
            return momentum
        # Where several batches make an update, `ema_momentum` is a root of the decay, and those that wait belong to the last one.
        batches = self.gradient_accumulation_steps or 1
        update = ops.cast(ops.maximum((self.steps_done() + 1) // batches - 1, 0), "float32")
        return ops.minimum(momentum, ((1 + update) / (10 + update)) ** (1 / batches))

    @property
    def schedule(self) -> Schedule:
        """The schedule of the learning rate."""
        found = self.given_rate()
        assert isinstance(found, Schedule)
        return found


def adaptively_clipped(gradient, variable, largest: float):
    """Returns `gradient` with the norm of each filter's part at most `largest` times that of its weights (Brock et al., 2021)."""
    axes = filter_axes(variable.shape)

    def norm(values):
        return ops.sqrt(ops.sum(ops.square(values), axis=axes, keepdims=True))

    allowed = largest * ops.maximum(norm(ops.convert_to_tensor(variable)), AGC_SMALLEST)
    return gradient * ops.minimum(1.0, allowed / ops.maximum(norm(gradient), 1e-6))


def filter_axes(shape: Collection[int]) -> tuple[int, ...]:
    """Returns the axes of a variable that make up one filter: all of a vector, all but the output channels of a kernel."""
    depthwise = len(shape) == 4 and tuple(shape)[-1] == 1  # its channels are the third axis
    return tuple(range(len(shape)))[: 2 if depthwise else max(len(shape) - 1, 1)]
