"""The flags of `kerascnn verify`: those of fit and its own. No TensorFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from kerascnn.cli.parsing import parse_config, told
from kerascnn.config import Config
from kerascnn.config.section import Section
from kerascnn.errors import UserError

_DECIDED = {
    "--run": "verify trains in a scratch folder, under its own names",
    "--overwrite": "verify trains in a scratch folder; nothing is there to overwrite",
    "--stop-epoch": "verify trains to the end: --epochs",
    "--folds": "verify trains one run: give --folds with --fold",
}


class Verify(Section):
    """How a training is disturbed."""

    kills: Annotated[int, Field(ge=1, le=100)] = Field(3, description="times that the disturbed training is killed")
    kill_seed: int = Field(0, ge=0, description="seed of the steps at which it is killed")
    certificate: Path | None = Field(
        None, description="file for the result as JSON", json_schema_extra={"metavar": "FILE"}
    )


class VerifyConfig(Config):
    """All sections of a config, and that of the verification."""

    target: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN|ARTEFACT]")] = Field(
        "",
        description="a run to train again, or an exported version to check; without it, the flags of fit say what to train",
    )
    verify: Verify = Verify()

    @property
    def config(self) -> Config:
        """The sections that a run keeps."""
        return Config(**{name: getattr(self, name) for name in Config.model_fields})


def parse(argv: Sequence[str], *, prog: str, description: str) -> VerifyConfig:
    """Returns the request.

    Raises:
        UserError: An unknown flag or value, or a training flag beside a run, which has its own config.
    """
    decided = {flag: why for flag, why in _DECIDED.items() if flag != "--folds"}
    asked = parse_config(argv, prog=prog, description=description, schema=VerifyConfig, decided=decided)
    beside = told(argv, VerifyConfig) - {"target", *Verify.model_fields, "runs_dir", "verbose"}
    if asked.target and beside:
        flag = f"--{min(beside).replace('_', '-')}"
        raise UserError(
            f"{flag} beside {asked.target}: a run is trained again with its own config; leave out one of the two"
        )
    if asked.data.folds is not None and asked.data.fold is None:
        raise UserError(f"--folds: {_DECIDED['--folds']}")
    return asked
