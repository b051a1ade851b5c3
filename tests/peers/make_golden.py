"""Writes `golden.npz` and the small files of `torch.save` and safetensors beside it. Runs where torch and timm are: README.md.

    python make_golden.py [NAME ...]

For each network of our tables that torchvision or timm has: fills the peer with `peer_weights.tensor`, prepares images as its
own published weights want them (the library's metadata), and keeps the logits, the state dict's names and shapes, and where
they come from.
"""

import json
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import safetensors.torch
import timm
import torch
import torchvision

from tests.peers import peer_weights

HERE = Path(__file__).parent
CLASSES = 50
# ours: (library, the peer's name, gain of the kernels, an even and an odd image size)
RESNET, INCEPTION = (1.0, (96, 97)), (2.0, (128, 139))
PEERS = {
    **{name: ("torchvision", name, *RESNET) for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")},
    **{name: ("torchvision", name, *RESNET) for name in ("resnext50_32x4d", "resnext101_32x8d")},
    **{name: ("torchvision", name, *RESNET) for name in ("wide_resnet50_2", "wide_resnet101_2")},
    "googlenet_tv": ("torchvision", "googlenet", 2.0, (96, 97)),
    "inception_v3": ("torchvision", "inception_v3", *INCEPTION),
    **{name: ("timm", name, *RESNET) for name in ("resnet18d", "resnet34d", "resnet50d", "resnet101d", "resnet152d")},
    **{name: ("timm", name, *RESNET) for name in ("resnetv2_50", "resnetv2_101", "resnetv2_152")},
    **{name: ("timm", name, *RESNET) for name in ("seresnet50", "resnetrs50")},
    "resnest50": ("timm", "resnest50d", *RESNET),
    "inception_v4": ("timm", "inception_v4", *INCEPTION),
    "inception_resnet_v2": ("timm", "inception_resnet_v2", *INCEPTION),
    "xception": ("timm", "legacy_xception", 1.0, (128, 139)),
}


def peer(library: str, name: str) -> tuple[torch.nn.Module, tuple, tuple]:
    """The network as its published weights come, with fresh weights; mean and std that its images get."""
    if library == "timm":
        model = timm.create_model(name, num_classes=CLASSES)
        return model, model.default_cfg["mean"], model.default_cfg["std"]
    # What `weights=` switches on in these two: the transform that undoes the ImageNet constants.
    options = {"init_weights": False, "transform_input": True} if name in ("googlenet", "inception_v3") else {}
    model = torchvision.models.get_model(name, weights=None, num_classes=CLASSES, **options)
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return model, transforms.mean, transforms.std


@torch.no_grad()
def logits(model: torch.nn.Module, mean: tuple, std: tuple, side: int) -> np.ndarray:
    pixels = torch.from_numpy(peer_weights.image(side)).permute(2, 0, 1)[None] / 255
    return model((pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)).numpy()


def golden(ours: str) -> dict[str, np.ndarray]:
    library, name, gain, sizes = PEERS[ours]
    model, mean, std = peer(library, name)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    model.load_state_dict({key: torch.from_numpy(peer_weights.tensor(key, s, gain)) for key, s in shapes.items()})
    model.eval()
    values = np.concatenate([logits(model, mean, std, side) for side in sizes])
    print(
        f"{ours:22} {library:11} std {values.std():9.3g}  images correlate {np.corrcoef(values)[0, 1]:.3f}", flush=True
    )
    about = {"library": library, "peer": name, "gain": gain, "sizes": sizes, "classes": CLASSES, "state": shapes}
    return {f"{ours}/logits": values, f"{ours}/about": np.frombuffer(json.dumps(about).encode(), np.uint8)}


def small_state() -> OrderedDict[str, torch.Tensor]:
    """Every kind of number and of view that a state dict may hold."""
    float32 = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8
    kinds = {name: float32.to(getattr(torch, name)) for name in ("float64", "float16", "bfloat16", "int64", "uint8")}
    views = {"transposed": float32.permute(2, 0, 1), "slice": float32[1, 1:, ::2], "expanded": torch.ones(1).expand(3)}
    return OrderedDict({"float32": float32, **kinds, **views, "scalar": torch.tensor(7), "empty": torch.zeros(0, 3)})


def write_small_files() -> None:
    state = small_state()
    parameter = {
        "state_dict": {f"module.{key}": torch.nn.Parameter(value, False) for key, value in state.items()},
        "epoch": 3,
    }
    torch.save(state, HERE / "small.pth")
    torch.save(parameter, HERE / "small_wrapped.pth")
    torch.save(state, HERE / "small_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 2), HERE / "small_module.pth")
    safetensors.torch.save_file({k: v.contiguous().clone() for k, v in state.items()}, HERE / "small.safetensors")


def main(chosen: list[str]) -> None:
    print(f"torch {torch.__version__}, torchvision {torchvision.__version__}, timm {timm.__version__}")
    path = HERE / "golden.npz"
    arrays = dict(np.load(path)) if chosen and path.exists() else {}
    for ours in chosen or PEERS:
        arrays.update(golden(ours))
    np.savez_compressed(path, **arrays)
    write_small_files()


if __name__ == "__main__":
    main(sys.argv[1:])
