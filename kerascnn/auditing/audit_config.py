"""The flags of `kerascnn audit`. No TensorFlow."""

from pathlib import Path
from typing import Annotated

import tyro
from pydantic import Field

from kerascnn.cli.parsing import NamesData
from kerascnn.config import Config, Data


class AuditData(Data):
    """The images. An audit takes all of them: `--folds` names predictions here."""

    folds: Annotated[int | None, tyro.conf.Suppress] = None
    fold: Annotated[int | None, tyro.conf.Suppress] = None


class Audit(NamesData):
    """The flags of `kerascnn audit`: those of the data, as for fit, and its own."""

    data: AuditData = AuditData()
    run: str | None = Field(
        None,
        description="a finished run on these images: neighbors in its feature space, and suspect labels of its val and test",
    )
    folds: str | None = Field(
        None,
        description="the folder of `fit --folds N` on these images: suspect labels of all of them",
        json_schema_extra={"metavar": "DIR"},
    )
    output: str | None = Field(
        None,
        description="folder of the results (default: <data set>-<fingerprint> in the folder of the audits)",
        json_schema_extra={"metavar": "DIR"},
    )
    audits_dir: Path = Field(
        Path("experiments/audits"), description="folder of the audits", json_schema_extra={"metavar": "DIR"}
    )
    runs_dir: Path = Field(
        Config().logging.runs_dir,
        description="folder of the runs, beside which copies are remembered for fit and evaluate",
        json_schema_extra={"metavar": "DIR"},
    )
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = Field(False, description="print audit.json and nothing else")
