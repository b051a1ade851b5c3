"""Locations of published weights: keras.applications' downloader, and timm's repositories on the Hugging Face hub."""

import contextlib
import importlib
import json
import os
from pathlib import Path
from typing import Any

import keras

from kerascnn.architectures import own
from kerascnn.architectures.tables import ARCHS, PIXELS
from kerascnn.cli.escaping import expanded
from kerascnn.errors import UserError
from kerascnn.weights import by_order, names

HUB = "hf://"
NETWORK = "model.keras"  # what `kerascnn push` sends
# The default weights of timm for these networks.
TIMM = {
    "resnet18": "resnet18.a1_in1k",
    "resnet34": "resnet34.a1_in1k",
    "resnet50": "resnet50.a1_in1k",
    "resnet101": "resnet101.a1h_in1k",
    "resnet152": "resnet152.a1h_in1k",
    "resnetv2_50": "resnetv2_50.a1h_in1k",
    "resnetv2_101": "resnetv2_101.a1h_in1k",
    "resnet18d": "resnet18d.ra2_in1k",
    "resnet34d": "resnet34d.ra2_in1k",
    "resnet50d": "resnet50d.ra2_in1k",
    "resnet101d": "resnet101d.ra2_in1k",
    "resnet152d": "resnet152d.ra2_in1k",
    "resnext50_32x4d": "resnext50_32x4d.a1h_in1k",
    "resnext101_32x8d": "resnext101_32x8d.tv_in1k",
    "seresnet50": "seresnet50.a1_in1k",
    "wide_resnet50_2": "wide_resnet50_2.racm_in1k",
    "wide_resnet101_2": "wide_resnet101_2.tv_in1k",
    "resnetrs50": "resnetrs50.tf_in1k",
    "inception_v3": "inception_v3.tv_in1k",
    "inception_v4": "inception_v4.tf_in1k",
    "inception_resnet_v2": "inception_resnet_v2.tf_in1k",
}


def has_published(arch: str) -> bool:
    """Returns whether `--weights imagenet` exists for `arch`."""
    return arch in names.KERAS or arch in TIMM or arch.startswith(own.KERAS)


def published(arch: str) -> Path:
    """Returns the file of `arch`'s published ImageNet weights, downloaded once and cached by the library that publishes them.

    Raises UserError if there are no published weights for this network, without network access, and if huggingface_hub is
    needed but not installed.
    """
    if function := own.parse(arch):
        return by_order.published(function)
    if arch in names.KERAS:
        return _from_keras(arch)
    if arch in TIMM:
        return from_hub(f"timm/{TIMM[arch]}", arch)
    if names.torch(arch):
        raise UserError(
            f"--weights imagenet: {arch} has no weights that this program can download; download the file that "
            "torchvision or timm names for it and give its path: --weights FILE"
        )
    raise UserError(
        f"--weights imagenet: there are no published weights for {arch}; archs with weights: {', '.join([*TIMM, *names.KERAS])}"
    )


def locate(source: str | Path, arch: str) -> Path:
    """Returns the file of `--weights`: "imagenet", "hf://OWNER/NAME" or a path. Raises UserError if there is none."""
    if str(source) == "imagenet":
        return published(arch)
    if isinstance(source, str) and source.startswith(HUB):
        return from_hub(source.removeprefix(HUB), arch)
    path = expanded(source)
    if not path.is_file():
        raise UserError(
            f"--weights: expected imagenet, {HUB}timm/NAME, {HUB}USER/NAME or a file of weights; there is no file {path}"
        )
    return path


def _from_keras(arch: str) -> Path:
    peer, file = names.KERAS[arch]
    try:
        getattr(keras.applications, peer)(weights="imagenet")
    except Exception as error:  # a downloader without network access may raise anything
        raise UserError(
            f"--weights imagenet: {file} could not be downloaded by keras.applications.{peer} ({_first_line(error)}); "
            "without a network give a file that you have: --weights FILE"
        ) from error
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    path = Path(home) / "models" / file
    if not path.is_file():
        raise UserError(f"--weights imagenet: keras.applications wrote no file {path}; give its path: --weights FILE")
    return path


def from_hub(repository: str, arch: str) -> Path:
    """Returns the weights of a repository on the Hugging Face hub.

    They are `model.keras` of what `kerascnn push` has sent, or timm's `model.safetensors`, if its images are prepared as those
    of `arch`.
    """
    try:
        hub: Any = importlib.import_module("huggingface_hub")
        errors: Any = importlib.import_module("huggingface_hub.errors")
    except ImportError as error:
        raise UserError(
            f"--weights {HUB}{repository} needs huggingface_hub: pip install 'kerascnn[hub]'; or download the "
            "repository's model.safetensors yourself and give its path: --weights FILE"
        ) from error
    try:
        if not repository.startswith("timm/"):
            with contextlib.suppress(errors.EntryNotFoundError):
                return Path(hub.hf_hub_download(repository, NETWORK))
        config, path = (Path(hub.hf_hub_download(repository, name)) for name in ("config.json", "model.safetensors"))
    except Exception as error:  # as in `_from_keras`
        raise UserError(
            f"--weights {HUB}{repository}: the hub could not be reached, or has no such file ({_first_line(error)}); "
            "without a network give a file that you have: --weights FILE"
        ) from error
    check_pixels(json.loads(config.read_text(encoding="utf-8")), arch, repository)
    return path


def check_pixels(config: dict[str, Any], arch: str, repository: str) -> None:
    """Raises UserError if mean and std of a timm config differ from those of `arch`'s layer `preprocess`."""
    mean, std, _ = PIXELS[ARCHS[arch].pixels]
    settings = config.get("pretrained_cfg", config)
    for word, ours in (("mean", mean), ("std", std)):
        theirs = [255 * value for value in settings.get(word, ())]
        if theirs and any(abs(a - b) > 0.01 for a, b in zip(ours, theirs, strict=True)):
            raise UserError(
                f"--weights {HUB}{repository}: these weights were trained on images of {word} {theirs}, the network "
                f"{arch} prepares its images with {list(ours)}: its outputs would differ. Use other weights of "
                f"{arch}, such as {HUB}timm/{TIMM.get(arch, 'NAME')}"
            )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
