"""The sections of the config about training: the loss, the optimizer and its schedule, and the length of a training."""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, model_validator

from kerascnn.config.section import VOLATILE, Section
from kerascnn.scoring import task as tasks

OptimizerName = Literal["auto", "sgd", "adamw", "muon", "lamb", "lion", "rmsprop", "rmsprop_torch", "adafactor"]
ScheduleName = Literal[
    "auto", "cosine", "linear", "step", "constant", "restarts", "polynomial", "exponential", "one_cycle", "plateau"
]
LossName = Literal["auto", "softmax", "bce", "focal", "asymmetric"]
SamplingName = Literal["shuffle", "balanced", "sqrt"]
DistillName = Literal["soft", "hard", "feature"]
if TYPE_CHECKING:
    MonitorName = str
else:  # a type checker knows no Literal of values
    MonitorName = Literal[("auto", *tasks.MONITORS)]


class Optim(Section):
    """The optimizer and its schedule."""

    optimizer: OptimizerName = Field(
        "auto",
        description="sgd: Nesterov momentum; muon: Muon (Jordan et al., 2024) for convolutions, AdamW for the rest;"
        " rmsprop: TensorFlow's, with epsilon inside the root; rmsprop_torch: outside;"
        " auto: muon up to 64 px from scratch, else sgd",
    )
    lr: float | None = Field(
        None,
        gt=0,
        description="peak learning rate for the global batch; `fit --lr find` finds one"
        " (default: adamw and rmsprop 0.001, muon 0.1, lamb 0.002,"
        " lion 0.0002, adafactor 0.01, sgd 0.1 * batch / 64 at 32 px, falling to 0.1 * batch / 256 at 224 px)",
    )
    lr_base_batch: int | None = Field(
        None, ge=1, description="--lr is for N images per update, and grows in proportion (default: for the batch)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd, muon and rmsprop")
    rms_decay: float = Field(0.9, ge=0, lt=1, description="rmsprop: decay of the mean square of gradients")
    epsilon: float | None = Field(
        None, gt=0, le=1, description="added to the divisor of adamw, lamb and rmsprop (default: 1e-7)"
    )
    weight_decay: float | None = Field(
        None,
        ge=0,
        description="decoupled decay of all but normalizations and biases (default: sgd and adafactor 0.005,"
        " lion 0.25, others 0.05)",
    )
    schedule: ScheduleName = Field(
        "auto",
        description="learning rate after warm-up; linear: down to 0; restarts: a cosine again and again; one_cycle: up and"
        " down, momentum the other way; plateau: by the score of val; auto: linear with muon, else cosine",
    )
    warmup: float = Field(1.0, ge=0, description="epochs of linear warm-up, not of one_cycle")
    lr_min: float = Field(0.0, ge=0, description="lowest learning rate after warm-up")
    cooldown: float = Field(0.0, ge=0, description="last epochs, at --lr-min")
    step_epochs: tuple[float, ...] = Field(
        (0.5, 0.75), description="step: shares of the epochs after which the rate falls"
    )
    step_factor: float = Field(0.1, gt=0, lt=1, description="step: factor of the rate at each of --step-epochs")
    restart_epochs: float = Field(10.0, ge=0.1, description="restarts: epochs of the first cosine")
    restart_factor: float = Field(1.0, ge=1, le=10, description="restarts: length of a cosine / the one before")
    restart_decay: float = Field(1.0, gt=0, le=1, description="restarts: peak of a cosine / the one before")
    poly_power: float = Field(2.0, gt=0, le=10, description="polynomial: power of the remaining share of the steps")
    decay_rate: float = Field(0.94, gt=0, lt=1, description="exponential: factor of the rate in --decay-epochs")
    decay_epochs: float = Field(2.0, gt=0, description="exponential: epochs in which the rate falls by --decay-rate")
    decay_staircase: bool = Field(False, description="exponential: fall at once at the end of these epochs")
    cycle_peak: float = Field(0.3, gt=0, lt=1, description="one_cycle: share of the steps before the peak")
    cycle_momentum: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.85, 0.95), description="one_cycle: momentum at the peak and at both ends; beta 1 of Adam's relatives"
    )
    plateau_patience: int = Field(
        3, ge=1, description="plateau: epochs without a better --monitor before the rate falls"
    )
    plateau_factor: float = Field(0.1, gt=0, lt=1, description="plateau: factor of the rate")
    loss: LossName = Field(
        "auto",
        description="softmax: cross-entropy of one class; bce: binary cross-entropy of each class; focal, asymmetric: with less"
        " weight where the network is sure; auto: softmax, or bce with several labels per image",
    )
    bce_threshold: float | None = Field(
        None, ge=0, lt=1, description="bce: targets above this are 1, others 0 (default: as mixed and smoothed)"
    )
    bce_sum: bool = Field(False, description="bce: sum over classes instead of their mean")
    focal_gamma: float = Field(2.0, ge=0, le=10, description="focal: power of what the network gets wrong")
    focal_alpha: float = Field(
        0.25, gt=0, lt=1, description="focal: weight of present labels; the rest is that of absent ones"
    )
    asymmetric_gamma: tuple[Annotated[float, Field(ge=0, le=10)], Annotated[float, Field(ge=0, le=10)]] = Field(
        (4.0, 1.0), description="asymmetric: powers for absent and for present labels"
    )
    asymmetric_clip: float = Field(
        0.05, ge=0, lt=1, description="asymmetric, several labels: absent labels below this probability do not count"
    )
    label_smoothing: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="share of a label's weight that is spread over all classes, or over yes and no"
        " (default: 0.1; 0 with several labels per image)",
    )
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: rare classes weigh more in the loss; with several labels per image, their positives do",
    )
    teacher: str | None = Field(
        None,
        min_length=1,
        description="also learn from a trained network: a run, an artefact, or imagenet[:ARCH]; #sha256=... pins it",
        json_schema_extra={"metavar": "RUN"},
    )
    distill: DistillName = Field(
        "soft",
        description="what is learned from --teacher: soft: its probabilities; hard: the class that it predicts; feature: its"
        " pooled features, through a trained linear map",
    )
    distill_temperature: float = Field(
        4.0, gt=0, le=100, description="soft: logits of both networks are divided by this"
    )
    distill_weight: float = Field(0.5, gt=0, le=1, description="--teacher: share of the loss; the rest is the labels'")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of averaged weights, used for val, test and exports; 0: off")
    ema_warmup: bool = Field(False, description="--ema of the first updates at most (1 + n) / (10 + n)")
    lookahead: int = Field(
        0, ge=0, le=1000, description="every N updates go back part of the way to the weights N updates ago; 0: off"
    )
    lookahead_share: float = Field(0.5, gt=0, lt=1, description="--lookahead: part of the way that is kept")
    sam_rho: float = Field(
        0.0,
        ge=0,
        le=10,
        description="take each gradient at the worst weights at this distance (SAM), in two passes; 0: off",
    )
    sam_adaptive: bool = Field(False, description="--sam-rho relative to the size of each weight (ASAM)")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="factor of the learning rate of each block / that of the next one towards the head"
    )
    backbone_lr_scale: float = Field(
        1.0, gt=0, le=1, description="with --weights: factor of the learning rate for all but the head"
    )
    bias_lr_scale: float = Field(
        1.0, gt=0, le=1000, description="factor of the learning rate for all biases, also of normalizations"
    )
    clip_norm: float | None = Field(None, gt=0, description="largest global norm of the gradient (default: no limit)")
    clip_value: float | None = Field(None, gt=0, description="largest value of the gradient (default: no limit)")
    clip_agc: float | None = Field(
        None,
        gt=0,
        description="largest norm of a filter's gradient / its weights', but for the head (default: no limit)",
    )

    @model_validator(mode="after")
    def _together(self) -> "Optim":
        given = [name for name in ("clip_norm", "clip_value", "clip_agc") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given).replace('_', '-')}: give one of them")
        if self.cooldown and not self.lr_min:
            raise ValueError("cooldown: needs an lr-min above 0, at which it trains")
        if self.lr is not None and self.lr_base_batch is None and self.lr_min > self.lr:
            raise ValueError(f"lr-min ({self.lr_min:g}) must not exceed lr ({self.lr:g})")
        alone = {"distill": "soft", "distill_temperature": 4.0, "distill_weight": 0.5}
        set_ = [name.replace("_", "-") for name, default in alone.items() if getattr(self, name) != default]
        if set_ and self.teacher is None:
            raise ValueError(f"{set_[0]}: there is nothing to learn from without a --teacher")
        if "distill-temperature" in set_ and self.distill != "soft":
            raise ValueError(f"distill-temperature: only soft has one, and distill is {self.distill}")
        return self


class Fit(Section):
    """The length of the training, its batches, and the choice of the best epoch."""

    epochs: int | None = Field(
        None,
        ge=1,
        description="length of the whole schedule; auto with `fit --budget`"
        " (default: 12; up to 64 px 6, of which 4 are --low-res-epochs;"
        " half of that for inception_small)",
    )
    batch_size: int = Field(
        64, ge=1, description="global batch size, shared by all replicas; `fit --batch-size auto` finds one"
    )
    accumulate: int = Field(1, ge=1, description="average the gradients of N batches before an update")
    sampling: SamplingName = Field(
        "shuffle",
        description="shuffle: each image once an epoch; balanced: all classes equally often; sqrt: by the root of their size",
    )
    repeats: int = Field(
        1,
        ge=1,
        le=16,
        description="show each image N times in a batch, augmented anew; an epoch keeps its number of images",
    )
    seed: int = Field(
        0, ge=0, le=2**32 - 1, description="seed of initial weights, order and augmentation, not of the split"
    )
    monitor: MonitorName = Field(
        "auto",
        description="score that chooses the best epoch; auto: val_accuracy, or val_macro_f1 if class sizes differ"
        " by more than 3 to 1; val_mean_average_precision with several labels per image",
    )
    patience: int | None = Field(None, ge=1, description="stop after N epochs without a better score (default: never)")
    head_epochs: int = Field(0, ge=0, description="with --weights: train the head alone in the first N epochs")
    low_res_epochs: int | None = Field(
        None,
        ge=0,
        description="train and validate the first N epochs at three quarters of the image size"
        " (default: 0, or as the default of --epochs says)",
    )
    remat: bool = Field(
        False,
        description="keep only the inputs of blocks and compute the rest again: less memory, longer steps",
        json_schema_extra=VOLATILE,
    )
    average_last: int = Field(
        0, ge=0, description="keep the mean of the weights after the last N epochs, not the best epoch; 0: off"
    )
    checkpoint_every: int | None = Field(
        None, ge=1, description="also write a checkpoint every N steps", json_schema_extra=VOLATILE
    )
    stop_epoch: int | None = Field(
        None, ge=1, description="end after epoch N; the schedule stays that of --epochs", json_schema_extra=VOLATILE
    )
    max_hours: float | None = Field(
        None, gt=0, description="stop with a checkpoint after X hours (exit code 75)", json_schema_extra=VOLATILE
    )
