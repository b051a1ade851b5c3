"""Turns a request into runs: variants, widths that meet the budget, costs, finished runs."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from kerascnn.architectures import own, tables
from kerascnn.cli.escaping import as_file_name
from kerascnn.cli.screen import Screen
from kerascnn.comparison import compare_config, network_costs
from kerascnn.comparison.cell import Cell
from kerascnn.comparison.compare_config import Compare, CompareConfig, judged, seconds
from kerascnn.comparison.comparison_directory import ComparisonDirectory
from kerascnn.config import Config
from kerascnn.data import default_image_size
from kerascnn.errors import UserError
from kerascnn.runs import Run, identity
from kerascnn.studies.budget import Match
from kerascnn.studies.executor import Executor
from kerascnn.studies.measured_cost import Cost
from kerascnn.studies.targets import Target, targets

# First seed of the runs that choose among variants: for any --seeds, none of them judges.
FIRST_CHOOSING = 1000


@dataclass(frozen=True)
class ComparisonPlan:
    """A comparison before its first step.

    Args:
        compare: The flags.
        request: The terms of its runs, flat.
        cells: Cells by variant, then in the order of the archs.
        directory: Directory of the comparison.
        candidates: Cells among which val chooses; empty for `cells`.
        judges: Whether runs that judge belong to it: not before --tune-each has chosen.
    """

    compare: Compare
    request: dict[str, Any]
    cells: tuple[Cell, ...]
    directory: ComparisonDirectory
    candidates: tuple[Cell, ...] = ()
    judges: bool = True

    def runs(self) -> Iterator[tuple[int, Cell, Run]]:
        """Yields the runs seed by seed, or fold by fold, so that a comparison that stops early is balanced."""
        if not self.judges:
            return
        first = 1 if self.by_folds else 0
        for seed in range(first, first + self.compare.seeds):
            for cell in self.cells:
                yield seed, cell, cell.run(seed)

    def choosing(self) -> Iterator[tuple[int, Cell, Run]]:
        """Yields the runs that choose among variants, seed by seed, which are in the comparison's directory."""
        if not self.compare.chooses:
            return
        for seed in range(FIRST_CHOOSING, FIRST_CHOOSING + self.compare.choose_seeds):
            for cell in self.candidates or self.cells:
                yield seed, cell, Run(self.directory.choosing / cell.run(seed).name)

    def every(self) -> Iterator[tuple[int, Cell, Run]]:
        """Yields all runs in the order of training: first those that choose."""
        yield from self.choosing()
        yield from self.runs()

    @property
    def by_folds(self) -> bool:
        """Whether its runs are those of folds, paired by fold."""
        return self.cells[0].by_folds

    @property
    def archs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.arch for cell in self.cells))

    @property
    def variants(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(cell.variant for cell in self.cells))

    def keep(self, command: str) -> None:
        """Writes comparison.toml."""
        cells = {cell.key: _kept(cell) for cell in self.cells}
        self.directory.keep(command, self.request, cells, [run.name for _, _, run in self.runs()])


def make(
    request: CompareConfig,
    configs: list[Config],
    executor: Executor,
    screen: Screen,
    hold: Callable[[ComparisonDirectory], object] = lambda directory: None,
) -> ComparisonPlan:
    """Returns the plan; what an earlier start solved comes from comparison.toml.

    Args:
        request: The flags.
        configs: A config for each variant.
        executor: Executes the measurements.
        screen: Takes lines.
        hold: Called with the comparison's directory before anything in it is read or measured.

    Raises:
        UserError: A budget that cannot be met, weights that do not fit a scaled width, an unknown arch, or no data.
    """
    compare = request.compare
    cells = [replace(cell, by_folds=compare_config.by_folds(request)) for cell in _cells(compare, configs, executor)]
    compare = judged(compare, cells[0].subject.task, len(cells[0].subject.class_names))
    asked = _request(compare, cells)
    directory = ComparisonDirectory(compare.comparisons_dir / (compare.name or _name(compare, cells, asked)))
    hold(directory)
    solved = directory.solved(asked)
    if all(cell.key in solved for cell in cells):
        screen.say(f"solved  earlier, in {directory.terms_file}")
        restored = tuple(_restored(cell, solved[cell.key]) for cell in cells)
        return ComparisonPlan(compare, asked, restored, directory, judges=not compare.tune_each)
    cells = _widths(compare, cells, executor, screen)
    cells = _costs(cells, executor, screen)
    if compare.match == "train-time":
        cells = [_in_time(cell, compare) for cell in cells]
    return ComparisonPlan(compare, asked, tuple(cells), directory, judges=not compare.tune_each)


def variants(compare: Compare, configs: list[Config]) -> list[tuple[str, Config]]:
    """Returns the variants: a name and a config each."""
    first = configs[0]
    if compare.recipes:
        return list(zip(compare.recipes, configs, strict=True))
    if compare.lr_grid:
        return [(f"lr {lr:g}", first.replace(optim={"lr": lr})) for lr in compare.lr_grid]
    if compare.fractions:
        return [(f"fraction {share:g}", first.replace(data={"fraction": share})) for share in compare.fractions]
    if compare.image_sizes:
        return [(f"{size} px", first.replace(data={"image_size": size})) for size in compare.image_sizes]
    return [("", first)]


def _cells(compare: Compare, configs: list[Config], executor: Executor) -> list[Cell]:
    """Returns every arch in every variant, with its data and the first arch's number of epochs."""
    pairs = [
        (name, config.replace(model={"arch": arch}))
        for name, config in variants(compare, configs)
        for arch in compare.archs
    ]
    if compare.native:
        pairs = [(name, _native(config)) for name, config in pairs]
    found = executor.call(targets, [config for _, config in pairs], slot=executor.slots[0])
    archs = [own.shown(subject.config.model.arch) for subject in found[: len(compare.archs)]]
    if len(set(archs)) < len(archs):
        raise UserError(f"--archs {' '.join(compare.archs)}: these are {' and '.join(archs)}: give each once")
    cells = []
    for i, ((name, config), subject) in enumerate(zip(pairs, found, strict=True)):
        epochs = config.fit.epochs or found[i - i % len(archs)].config.fit.epochs
        resolved = subject.config.replace(fit={"epochs": epochs})
        cells.append(Cell(own.shown(resolved.model.arch), name, replace(subject, config=resolved)))
    return _settings(cells, compare.tune_each) if compare.tune_each else cells


def _settings(cells: list[Cell], count: int) -> list[Cell]:
    """Returns each arch in each setting of --tune-each, setting by setting."""
    from kerascnn.comparison import tuning_space

    by_arch = [tuning_space.settings(cell.subject.config, count) for cell in cells]
    return [
        replace(cell, variant=name, subject=replace(cell.subject, config=config))
        for each in zip(*by_arch, strict=True)
        for cell, (name, config) in zip(cells, each, strict=True)
    ]


def _native(config: Config) -> Config:
    """Sets each arch to its published size; a family's name means its member for the data set's own size."""
    arch = tables.resolve(config.model.arch, default_image_size(config.data.dataset))
    if function := own.parse(arch):
        raise UserError(f"--image-size native: {function.name} names no image size; give --image-sizes")
    return config.replace(model={"arch": arch}, data={"image_size": tables.row(arch).image_size})


def _request(compare: Compare, cells: list[Cell]) -> dict[str, Any]:
    """Returns the terms of the runs, flat, without their number and the score of the verdict."""
    asked = {"archs": list(compare.archs), "match": compare.match, "budget": compare.budget or ""}
    for cell in cells:
        differs = identity(cell.subject.config, cell.subject.fingerprint)
        differs = {key: value for key, value in differs.items() if key != "fit.seed"}
        asked[cell.key] = hashlib.sha256(json.dumps(differs, sort_keys=True).encode()).hexdigest()[:12]
    return asked


def _name(compare: Compare, cells: list[Cell], asked: dict[str, Any]) -> str:
    archs = as_file_name("_".join(dict.fromkeys(cell.arch for cell in cells)).replace(":", "-"))
    terms = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:6]
    return f"{archs}_{cells[0].subject.dataset}_{compare.match}-{terms}"


def _widths(compare: Compare, cells: list[Cell], executor: Executor, screen: Screen) -> list[Cell]:
    """Sets every arch but the first to the width that meets the first one's budget; each match is solved once."""
    if compare.match in ("none", "train-time"):
        return cells
    archs = len(compare.archs)
    asked: list[tuple[Cell, Target, Target, str]] = []
    for i, cell in enumerate(cells):
        # The same network at all sizes, so that the curve is that of one network.
        base = i % archs if compare.image_sizes else i
        first, other = cells[base - base % archs].subject, cells[base].subject
        sizes = first.config.data.image_size, other.config.data.image_size
        question = f"{first.config.model.model_dump_json()} {other.config.model.model_dump_json()} {sizes}"
        asked.append((cell, first, other, question if i % archs else ""))
    pairs = {question: (first, other) for _, first, other, question in asked if question}
    found = _matched(compare, pairs, executor, screen)
    return [_at_width(cell, found[question]) if question else cell for cell, _, _, question in asked]


def _matched(
    compare: Compare, pairs: dict[str, tuple[Target, Target]], executor: Executor, screen: Screen
) -> dict[str, Match]:
    """Returns for each pair the width at which the second has the cost of the first; one process solves all."""
    classes = len(next(iter(pairs.values()))[0].class_names)
    configs = [(first.config, other.config) for first, other in pairs.values()]
    matches = executor.call(network_costs.scaled, configs, classes, compare.match, slot=executor.slots[0])
    for match, (first, other) in zip(matches, pairs.values(), strict=True):
        screen.say(f"match   {_met(match, first, other, compare)}")
    return dict(zip(pairs, matches, strict=True))


def _met(found: Match, first: Target, other: Target, compare: Compare) -> str:
    return (
        f"{own.shown(other.config.model.arch)} at width {found.width:g}, counts rounded to {found.width_divisor}:"
        f" {found.off:+.2%} of {own.shown(first.config.model.arch)}'s {compare.match}"
    )


def _at_width(cell: Cell, found: Match) -> Cell:
    config = cell.subject.config
    if config.model.weights and found.width != 1:
        raise UserError(
            f"--weights {config.model.weights} fits the published width alone, and {cell.arch} would be scaled to"
            f" {found.width:g}: --match train-time --budget TIME, or --match none"
        )
    width = {"width": found.width, "width_divisor": found.width_divisor}
    return replace(cell, match=found, subject=replace(cell.subject, config=config.replace(model=width)))


def _costs(cells: list[Cell], executor: Executor, screen: Screen) -> list[Cell]:
    """Returns every cell with its cost; a network is measured once for each image size."""
    subjects = {_network(cell): cell.subject for cell in reversed(cells)}
    known = {}
    for network, subject in reversed(subjects.items()):
        screen.say(
            f"measure {own.shown(subject.config.model.arch)} at {subject.config.data.image_size} px: a few warm steps"
        )
        start = time.monotonic()
        trained = executor.call(network_costs.trained, subject, slot=executor.slots[0], alone=True)
        # All but the warm steps is the start-up of a run: process, TensorFlow unless it is forked, images, compilation.
        start_up = time.monotonic() - start - trained.warm_seconds
        start_up -= trained.import_seconds if executor.forks else 0.0
        known[network] = trained, start_up
    screen.say(f"measure inference of {len(subjects)} networks in turn, latency in {network_costs.PROCESSES} processes")
    networks = [(subject.config, subject.class_names) for subject in subjects.values()]
    facts = network_costs.inference(networks, executor)
    costs = {
        network: Cost(
            images_per_second=known[network][0].images_per_second,
            memory=known[network][0].memory,
            start_up=known[network][1],
            **one,
        )
        for network, one in zip(subjects, facts, strict=True)
    }
    return [replace(cell, measured=costs[_network(cell)]) for cell in cells]


def _network(cell: Cell) -> str:
    """Returns the settings that determine its cost."""
    config = cell.subject.config
    return f"{config.model.model_dump_json()} {config.data.image_size} {config.fit.batch_size}"


def _in_time(cell: Cell, compare: Compare) -> Cell:
    """Returns the cell with as many epochs as fit the budget, as a full schedule."""
    budget, epoch = seconds(compare.budget or ""), cell.epoch_seconds
    if epoch > budget:
        raise UserError(
            f"--budget {compare.budget} cannot be met: one epoch of {cell.arch} takes {epoch:.0f} s here;"
            f" nearest is --budget {epoch:.0f}s, or a smaller --fraction"
        )
    config = cell.subject.config.replace(fit={"epochs": int(budget / epoch)})
    return replace(cell, subject=replace(cell.subject, config=config))


def _kept(cell: Cell) -> dict[str, Any]:
    model = cell.subject.config.model
    solved = {"width": model.width, "width_divisor": model.width_divisor, "epochs": cell.epochs}
    met = {"off": round(cell.match.off, 5), "matched": cell.match.cost} if cell.match else {}
    return {"arch": cell.arch, "variant": cell.variant, **solved, **met, "cost": cell.cost.kept()}


def _restored(cell: Cell, kept: dict[str, Any]) -> Cell:
    """Returns the cell with its solution from comparison.toml."""
    model, fit = {key: kept[key] for key in ("width", "width_divisor")}, {"epochs": kept["epochs"]}
    subject = replace(cell.subject, config=cell.subject.config.replace(model=model, fit=fit))
    match = Match(kept["width"], kept["width_divisor"], kept["matched"], kept["off"]) if "matched" in kept else None
    return replace(cell, subject=subject, match=match, measured=Cost.read(kept))
