"""Images per second of the training step of airbench94 (Jordan, arXiv 2404.00498) in PyTorch on the CPU.

    TORCH_PYTHON -m experiments.peers.airbench_step [--batch 1024] [--steps 4] [--rounds 3]

Also what its 9.9 epochs of 50,000 images take at that rate: experiments/results/time_to_accuracy.md. The network and its step
only, written from the paper, on random images: nothing is learned here. bfloat16 autocast, float32 weights, channels_last.
"""

from __future__ import annotations

import argparse
import os
import time
from statistics import median

import torch
from torch import nn
from torch.nn import functional

EPOCHS, IMAGES = 9.9, 50_000


def block(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions, a 2x2 maximum after the first, normalizations without a scale (section 3.1)."""

    def norm() -> nn.BatchNorm2d:
        layer = nn.BatchNorm2d(outputs, momentum=0.4, eps=1e-12)
        layer.weight.requires_grad = False
        return layer

    first, second = (
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
    )
    return nn.Sequential(first, nn.MaxPool2d(2), norm(), nn.GELU(), second, norm(), nn.GELU())


def network() -> nn.Sequential:
    whitening = nn.Conv2d(3, 24, 2, bias=True)
    whitening.weight.requires_grad = False
    stages = [block(24, 64), block(64, 256), block(256, 256)]
    return nn.Sequential(whitening, nn.GELU(), *stages, nn.MaxPool2d(3), nn.Flatten(), nn.Linear(256, 10, bias=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = network().to(memory_format=torch.channels_last).train()
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learned, 0.01, momentum=0.85, nesterov=True)
    images = torch.rand(args.batch, 3, 32, 32).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (args.batch,))

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images) / 9
        loss = functional.cross_entropy(logits.float(), labels, label_smoothing=0.2)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    rates = []
    step()
    for _ in range(args.rounds):
        start = time.perf_counter()
        for _ in range(args.steps):
            step()
        rates.append(args.batch * args.steps / (time.perf_counter() - start))
    rate = median(rates)
    print(f"airbench94 bf16: {rate:.0f} images/s [{min(rates):.0f}, {max(rates):.0f}], {args.rounds} rounds; ", end="")
    print(f"{EPOCHS} epochs of {IMAGES:,} images: {EPOCHS * IMAGES / rate:.0f} s")


if __name__ == "__main__":
    main()
