"""Runs training steps of PyTorch when asked: a line with a number in, the seconds of a step out.

    TORCH_PYTHON experiments/speed/torch_step.py resnet20 32 128 [--compile]

A worker of machines.py, in an environment of its own: pip install torch==2.14.1 torchvision==0.29.1. float32, channels_last,
SGD with momentum. `resnet20` is the CIFAR network of He et al. with 1x1 projections; every other name is torchvision's.
"""

import argparse
import os
import sys
import time
from statistics import median

import torch
import torchvision
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


def resnet20():
    """The network of He et al. (2015), section 4.2."""
    layers, width = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for stage, outputs in enumerate((16, 32, 64)):
        for block in range(3):
            layers.append(Block(width, outputs, 2 if stage and not block else 1))
            width = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def training_step(arch, size, batch, compiled):
    """One step on one batch."""
    # inception_v3 without its auxiliary head, as the other side of the comparison.
    options = {"aux_logits": False, "init_weights": False} if arch == "inception_v3" else {}
    model = resnet20() if arch == "resnet20" else getattr(torchvision.models, arch)(num_classes=10, **options)
    model = model.to(memory_format=torch.channels_last).train()
    if compiled:
        model = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images = torch.rand(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, 10, (batch,))

    def step():
        loss = functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arch")
    parser.add_argument("size", type=int)
    parser.add_argument("batch", type=int)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    step = None
    for line in sys.stdin:
        if step is None:
            step = training_step(args.arch, args.size, args.batch, args.compile)
            step()
        seconds = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - start)
        print(f"seconds {median(seconds)}", flush=True)


if __name__ == "__main__":
    main()
