"""Prepares the run of a config: a new directory, or the existing one with the same identity. No TensorFlow."""

import shlex
from collections.abc import Callable
from typing import Any

from kerascnn.cli.escaping import as_output, within
from kerascnn.config import IDENTITY_SECTIONS, Config
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.errors import UserError
from kerascnn.runs import earlier
from kerascnn.runs.directory import Run
from kerascnn.runs.files import clear_leftovers, names_in, remove
from kerascnn.runs.identity import default_name, identity

# Files that may be in a directory before its run has begun.
_NEW = {"log.txt", "child.log", "latency.json"}


def prepare(
    config: ResolvedConfig,
    fingerprint: str,
    dataset: str,
    former: tuple[str, float] | None = None,
    say: Callable[[str], None] = print,
) -> Run:
    """Returns the run of `config`: a new directory with its config, or the existing one with the same identity.

    Args:
        config: A resolved config.
        fingerprint: Fingerprint of its data.
        dataset: Short name of its data set.
        former: The fingerprint of the same images in earlier versions, and their last change (`runs.earlier`).
        say: Called with a note if a run of an earlier version is taken over, or is not.

    Raises:
        UserError: `--run NAME` has been trained with another identity (the message lists the keys that differ), or would be
            outside of the runs.
    """
    run = _meant(config, fingerprint, dataset, former, say)
    clear_leftovers(run.path)
    strangers = not run.config_file.exists() and names_in(run.path) - _NEW
    if strangers or (run.path.exists() and not run.path.is_dir()):
        raise UserError(f"{run.path} exists and is not a run: choose another --run")
    if config.logging.overwrite and run.path.exists():
        with run.lock():
            remove(run.path)
    elif run.config_file.exists() and run.data_file.exists() and (differ := _differing(run, config, fingerprint)):
        _give_way(run, differ)
    return run


def _meant(
    config: ResolvedConfig,
    fingerprint: str,
    dataset: str,
    former: tuple[str, float] | None,
    say: Callable[[str], None],
) -> Run:
    """Returns the directory by its name, or the one that an earlier version gave to this run."""
    named = within(config.logging.runs_dir, config.logging.run or default_name(config, fingerprint, dataset))
    run = Run(as_output(named))
    if former is None or config.logging.overwrite:
        return run
    if config.logging.run is None and not run.config_file.exists():
        old = Run(within(config.logging.runs_dir, default_name(config, former[0], dataset)))
        return old if earlier.taken_over(old, fingerprint, former, say) else run
    earlier.taken_over(run, fingerprint, former, say)
    return run


def _give_way(run: Run, differ: list[str]) -> None:
    """Frees the name of a run that has not trained anything: a start that ended with a typo, or out of memory."""
    if not run.trained:
        with run.lock():
            if not run.trained:  # still not trained
                remove(run.path)
                return
    raise UserError(
        f"run {run.name} exists with another config:\n"
        + "\n".join(differ)
        + f"\nuse another --run, --overwrite to start it anew, or"
        f" --config {shlex.quote(str(run.config_file))} to continue it"
    )


def _differing(run: Run, config: ResolvedConfig, fingerprint: str) -> list[str]:
    mine = identity(run.config(), run.data()["fingerprint"])
    asked = identity(config, fingerprint)
    defaults = {f"{name}.{key}": value for name in IDENTITY_SECTIONS for key, value in _defaults(name).items()}
    return [
        f"  {key}: {mine.get(key, defaults.get(key))!r} there, {asked.get(key, defaults.get(key))!r} asked for"
        for key in sorted(mine.keys() | asked.keys())
        if mine.get(key, defaults.get(key)) != asked.get(key, defaults.get(key))
    ]


def _defaults(section: str) -> dict[str, Any]:
    return getattr(Config(), section).model_dump(mode="json")
