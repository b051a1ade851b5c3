"""The identity of a run, and its name."""

import hashlib
import json
import re
from typing import Any

from kerascnn.architectures import own
from kerascnn.config import IDENTITY_SECTIONS, Config
from kerascnn.config.resolved import ResolvedConfig

# Follows the path of weights or of a teacher in a resolved config: the digest of their content, which is part of the identity.
WEIGHTS_PIN = "#sha256="

# Defaults of earlier versions, which had no `auto`: they are left out of the identity, so that such runs keep their names.
_FORMER = {
    "optim.optimizer": "sgd",
    "optim.schedule": "cosine",
    "optim.label_smoothing": 0.1,
    "data.task": "single",
    "fit.low_res_epochs": 0,
}


def identity(config: Config, fingerprint: str) -> dict[str, Any]:
    """Returns the identity of a run: `section.field` of all values that are not defaults, and the data's fingerprint.

    Fields at their defaults are left out, so that a new field does not change the identity of old runs. Weights, teachers and
    files of networks count by content, not by path.
    """
    flat: dict[str, Any] = {"data.fingerprint": fingerprint}
    for name in IDENTITY_SECTIONS:
        section = getattr(config, name)
        values = section.model_dump(mode="json", exclude_defaults=True)
        flat |= {f"{name}.{key}": value for key, value in values.items() if key not in section.volatile_fields()}
    flat = {key: value for key, value in flat.items() if key not in _FORMER or value != _FORMER[key]}
    for name in ("model.weights", "optim.teacher"):
        if name in flat:
            flat[name] = flat[name].rpartition(WEIGHTS_PIN)[2]
    if "model.arch" in flat:
        flat["model.arch"] = own.content(flat["model.arch"])
    return flat


def digest(identity: dict[str, Any]) -> str:
    """Returns six hex digits of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:6]


def default_name(config: ResolvedConfig, fingerprint: str, dataset: str) -> str:
    """Returns `<arch>_<dataset>_s<seed>-<6 hex of the identity>`."""
    plain = re.sub(r"[^\w.-]+", "-", dataset).strip("-.") or "data"
    arch = re.sub(r"[^\w.-]+", "-", own.shown(config.model.arch)).strip("-.")
    return f"{arch}_{plain}_s{config.fit.seed}-{digest(identity(config, fingerprint))}"
