#!/bin/sh
# Fine-tuning against training from scratch: photos of ants and bees, starting from a run on other photos, three seeds each.
#   sh experiments/finetuning/run.sh IMAGENETTE HYMENOPTERA RUNS
# Two folders of images and one for the runs. Run again after a kill, it goes on. Then:
#   python experiments/finetuning/table.py RUNS > experiments/results/finetune.md
set -eu
imagenette=$1 hymenoptera=$2 runs=$3
fit() { python -m kerascnn.fit --arch resnet18 --image-size 128 --runs-dir "$runs" --no-export "$@"; }

fit --dataset "$imagenette" --epochs 30 --lr 0.05 --warmup 3 --zero-gamma --run imagenette_resnet18
for seed in 0 1 2; do
  fit --dataset "$hymenoptera" --config finetune --weights "$runs/imagenette_resnet18" --seed $seed --run finetuned_s$seed
  # Equal epochs, batches, augmentation and rate of the head; nothing to start from.
  fit --dataset "$hymenoptera" --epochs 20 --batch-size 32 --lr 0.05 --seed $seed --run scratch_s$seed
done
