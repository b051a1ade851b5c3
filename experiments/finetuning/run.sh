#!/bin/sh
# Fine-tuning against training from scratch: photos of ants and bees, starting from a run on other photos, five seeds each.
#   sh experiments/finetuning/run.sh IMAGENETTE HYMENOPTERA RUNS
# Two folders of images and one for the runs. Run again after a kill, it goes on. Then:
#   python -m experiments.finetuning.finetune_table RUNS > experiments/results/finetune.md
set -eu
imagenette=$1 hymenoptera=$2 runs=$3
fit() { python -m kerascnn.fit --arch resnet18 --image-size 128 --runs-dir "$runs" --no-export "$@"; }

fit --dataset "$imagenette" --epochs 70 --lr 0.05 --warmup 3 --zero-init-residual --augment resized_crop flip color --crop-area 0.25 1.0 \
  --run imagenette_resnet18
for seed in 11 12 13 14 15; do
  # No val: 21 images would choose the epoch at random. Equal epochs, batches and augmentation.
  set -- --dataset "$hymenoptera" --val-fraction 0 --epochs 20 --batch-size 32 --seed $seed
  fit "$@" --config finetune --weights "$runs/imagenette_resnet18" --optimizer sgd --lr 0.02 --backbone-lr-scale 0.5 --run finetuned_s$seed
  fit "$@" --lr 0.05 --run scratch_s$seed
done
