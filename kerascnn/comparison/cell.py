"""An arch in one variant before its runs: what a plan trains."""

from dataclasses import dataclass

from kerascnn.comparison import network_costs
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.runs import Run, default_name, prepare
from kerascnn.studies.budget import Match
from kerascnn.studies.measured_cost import Cost
from kerascnn.studies.targets import Target


@dataclass(frozen=True)
class Cell:
    """An arch in one variant: all settings of its runs except the seed.

    Args:
        arch: Name of the arch.
        variant: Recipe, learning rate, fraction or image size, such as "lr 0.1"; empty without variants.
        subject: Config and data.
        match: The match of its width, or None.
        measured: The cost of its network, or None before it is measured.
        by_folds: Whether its runs are those of folds: their numbers are folds, not seeds.
    """

    arch: str
    variant: str
    subject: Target
    match: Match | None = None
    measured: Cost | None = None
    by_folds: bool = False

    @property
    def key(self) -> str:
        """Its name in comparison.toml."""
        return f"{self.arch}, {self.variant}" if self.variant else self.arch

    @property
    def epochs(self) -> int:
        """Epochs of a whole run."""
        return self.subject.config.fit.epochs

    @property
    def cost(self) -> Cost:
        """The measured cost of its network."""
        if self.measured is None:
            raise ValueError(f"{self.key} has not been measured")
        return self.measured

    @property
    def epoch_seconds(self) -> float:
        """Seconds of an epoch."""
        return network_costs.seconds_per_epoch(self.subject, self.cost)

    @property
    def seconds(self) -> float:
        """Seconds of the epochs of a run."""
        return self.epochs * self.epoch_seconds

    @property
    def around_seconds(self) -> float:
        """Seconds of a run before and after its epochs."""
        return network_costs.seconds_around(self.subject, self.cost)

    def config(self, seed: int) -> ResolvedConfig:
        """Returns the config of a run by its seed, or by its fold."""
        if self.by_folds:
            return self.subject.config.replace(data={"fold": seed})
        return self.subject.config.replace(fit={"seed": seed})

    def run(self, seed: int) -> Run:
        """Returns the run that `fit` would create for this cell and seed, or fold."""
        return prepare(self.config(seed), self.subject.fingerprint, self.subject.dataset)

    def earlier(self, seed: int) -> bool:
        """Returns whether an earlier version trained this cell and seed, with splits by another rule."""
        config = self.config(seed)
        name = default_name(config, self.subject.former, self.subject.dataset)
        return bool(self.subject.former) and Run(config.logging.runs_dir / name).trained
