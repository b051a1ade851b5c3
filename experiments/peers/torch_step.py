"""PyTorch's training step on the CPU: its speed in one go, or step by step in turns with other processes.

    TORCH_PYTHON -m experiments.peers.torch_step resnet50 --size 224 --batch 32 --steps 3 [--dtype fp32] [--compile]
    TORCH_PYTHON -m experiments.peers.torch_step resnet20 --size 32 --batch 128 --dtype fp32 --turns     a worker of machines.py

The first form prints images per second. The second reads a number of steps from each line of standard input and answers with
the median seconds of a step. channels_last, SGD with Nesterov momentum and weight decay, random images that are kept ready.
Networks are torchvision's, and `resnet20` for CIFAR, which torchvision lacks.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

import torch
import torchvision
from torch import nn
from torch.nn import functional

CLASSES = 10
WARM = 3  # steps before the first that counts


def conv_norm(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """A convolution without a bias and its normalization."""
    convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Residual(nn.Module):
    """A basic block of He et al. (2015); a 1x1 convolution projects the shortcut where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            conv_norm(inputs, outputs, 3, stride), nn.ReLU(inplace=True), conv_norm(outputs, outputs, 3)
        )
        self.outer = nn.Identity() if inputs == outputs else conv_norm(inputs, outputs, 1, stride)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.inner(images) + self.outer(images))


def cifar_resnet(blocks: int) -> nn.Sequential:
    """The CIFAR network of He et al. (2015), section 4.2, of depth 6 * blocks + 2, with projections."""
    widths = [16] * (blocks + 1) + [32] * blocks + [64] * blocks
    residuals = [Residual(a, b, 1 if a == b else 2) for a, b in pairwise(widths)]
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))
    return nn.Sequential(conv_norm(3, 16, 3), nn.ReLU(inplace=True), *residuals, *head)


def network(arch: str) -> nn.Module:
    """A fresh network. Inception v3 has no auxiliary head, as in `kerascnn benchmark --aux-weight 0`."""
    if arch == "resnet20":
        return cifar_resnet(3)
    options = {"aux_logits": False, "init_weights": False} if arch == "inception_v3" else {}
    return torchvision.models.get_model(arch, num_classes=CLASSES, **options)


def training_step(args: argparse.Namespace) -> Callable[[], None]:
    """One update of the network on one batch."""
    model = network(args.arch).to(memory_format=torch.channels_last).train()
    run = torch.compile(model) if args.compile else model
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.rand(args.batch, 3, args.size, args.size).to(memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (args.batch,))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=args.dtype == "bf16"):
            logits = run(images)
        functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()

    return step


def seconds(step: Callable[[], None], count: int) -> list[float]:
    """The time of each of `count` steps."""
    found = []
    for _ in range(count):
        start = time.perf_counter()
        step()
        found.append(time.perf_counter() - start)
    return found


def take_turns(args: argparse.Namespace) -> None:
    """Answer each line of standard input; the network is made at the first one, so that others can start meanwhile."""
    step: Callable[[], None] | None = None
    for line in sys.stdin:
        if step is None:
            step = training_step(args)
            step()
        print(f"seconds {median(seconds(step, int(line)))}", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arch")
    parser.add_argument("--size", type=int, required=True, help="height and width of the images")
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--dtype", choices=("bf16", "fp32"), default="bf16", help="bf16: autocast, float32 weights")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile, which takes a minute before the first step"
    )
    parser.add_argument("--steps", type=int, default=10, help="that are timed, after three that are not")
    parser.add_argument("--turns", action="store_true", help="take turns with other processes")
    args = parser.parse_args(argv)
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if args.turns:
        take_turns(args)
        return
    step = training_step(args)
    seconds(step, WARM)
    rate = args.batch * args.steps / sum(seconds(step, args.steps))
    print(f"torch {args.arch} {args.dtype}{' compiled' * args.compile}: {rate:.1f} images/s")


if __name__ == "__main__":
    main()
