"""What makes a run this run, and its name."""

import hashlib
import json
import re
from typing import Any

from kerascnn.config import IDENTITY_SECTIONS, Config
from kerascnn.config.resolved import ResolvedConfig

# Behind the place of weights in a resolved config: what they are, which alone belongs to the identity.
WEIGHTS_PIN = "#sha256="

# What these were by default when they had no `auto`, left out of an identity as then: runs of those days keep their names.
_FORMER = {"optim.optimizer": "sgd", "optim.schedule": "cosine", "fit.low_res_epochs": 0}


def identity(config: Config, fingerprint: str) -> dict[str, Any]:
    """What makes a run this run: flat `section.field` keys of all that differs from the defaults, and the data's fingerprint.

    Fields at their defaults are left out, so that a field added later does not orphan old runs. Weights count by content,
    not by place.
    """
    flat: dict[str, Any] = {"data.fingerprint": fingerprint}
    for name in IDENTITY_SECTIONS:
        section = getattr(config, name)
        values = section.model_dump(mode="json", exclude_defaults=True)
        flat |= {f"{name}.{key}": value for key, value in values.items() if key not in section.volatile_fields()}
    flat = {key: value for key, value in flat.items() if key not in _FORMER or value != _FORMER[key]}
    if "model.weights" in flat:
        flat["model.weights"] = flat["model.weights"].rpartition(WEIGHTS_PIN)[2]
    return flat


def digest(identity: dict[str, Any]) -> str:
    """Six hex digits of an identity."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:6]


def default_name(config: ResolvedConfig, fingerprint: str, dataset: str) -> str:
    """`<arch>_<dataset>_s<seed>-<6 hex of the identity>`."""
    plain = re.sub(r"[^\w.-]+", "-", dataset).strip("-.") or "data"
    return f"{config.model.arch}_{plain}_s{config.fit.seed}-{digest(identity(config, fingerprint))}"
