"""From a config to a compiled model: what the data decides, the schedule, the network with its optimizer."""

from dataclasses import dataclass, replace

import keras
import numpy as np

from kerascnn import models
from kerascnn.architectures import tables
from kerascnn.architectures.shape import Shape
from kerascnn.compat import keras as compat
from kerascnn.config import Config, Model
from kerascnn.config.defaults import with_lr, with_optimizer
from kerascnn.config.resolved import ResolvedConfig, ResolvedFit
from kerascnn.data import Splits, augment, pipeline
from kerascnn.devices.plan import Plan, host_values
from kerascnn.errors import UserError
from kerascnn.models import auxiliary
from kerascnn.training import finetune, keras_metrics, optim, whitening

# Beyond this ratio of the largest to the smallest class accuracy hides the rare ones: val then chooses by macro F1.
IMBALANCE = 3
# It costs six times as much as resnet20 for an image and learns in fewer epochs: both take minutes on the embedded images.
EPOCHS = {"inception_small": 6}
DEFAULT_EPOCHS = 12
# What Muon needs of these, and how many of its epochs see small images (experiments/results/first_command.md).
MUON_EPOCHS, SMALL_SHARE = 1 / 2, 2 / 3


def resolve(config: Config, splits: Splits) -> ResolvedConfig:
    """The config with every `auto` that the data decides replaced: image size, arch, resize, augmentation, monitor.

    Raises:
        UserError: An unknown arch, or an option that does not fit it.
    """
    size = splits.image_size
    chosen = augment.chosen(config.augment, size)
    monitor = config.fit.monitor
    if monitor == "auto":
        counts = np.bincount(splits.train.labels, minlength=len(splits.class_names))
        monitor = "val_macro_f1" if counts.max() > IMBALANCE * counts.min() else "val_accuracy"
    arch = tables.resolve(config.model.arch, size)
    stem = config.model.stem
    config = with_optimizer(config, size)
    epochs, low_res_epochs = length(config, arch, size)
    if low_res_epochs and small(splits).image_size <= tables.SMALL_IMAGE < size and stem == "auto":
        stem = "large"  # that of the whole images, where the small ones would choose another
    resolved = ResolvedConfig.of(
        with_lr(config, size),
        data={"image_size": size, "resize": splits.resize},
        augment={"augment": chosen or ("none",)},
        model={"arch": arch, "stem": stem},
        fit={"monitor": monitor, "epochs": epochs, "low_res_epochs": low_res_epochs},
    )
    return finetune.resolve(resolved, size)


def length(config: Config, arch: str, image_size: int) -> tuple[int, int]:
    """Epochs, and those of small images, of a config with a resolved optimizer.

    Who gives neither gets both: the default number, shorter where Muon trains small images from scratch. Whoever gives one
    of the two decides: no small images but those that are asked for.
    """
    fit = config.fit
    whole = EPOCHS.get(arch, DEFAULT_EPOCHS)
    short = config.optim.optimizer == "muon" and image_size <= tables.SMALL_IMAGE and config.model.weights is None
    if fit.epochs is None and fit.low_res_epochs is None and short and small_size(image_size) < image_size:
        epochs = round(whole * MUON_EPOCHS)
        return epochs, round(epochs * SMALL_SHARE)
    return fit.epochs or (round(whole * MUON_EPOCHS) if short else whole), fit.low_res_epochs or 0


@dataclass(frozen=True)
class Schedule:
    """Steps of an epoch, the run's epochs, those at its beginning of the head alone or of small images, and the epoch at
    which this start ends."""

    steps_per_epoch: int
    epochs: int
    head_epochs: int
    low_res_epochs: int
    until: int

    @classmethod
    def of(cls, fit: ResolvedFit, images: int, until: int | None) -> "Schedule":
        """The schedule of `images` training images; `until` or `--stop-epoch` only end it early."""
        ends = [epoch for epoch in (until, fit.stop_epoch, fit.epochs) if epoch is not None]
        return cls(
            pipeline.steps_per_epoch(images, fit.batch_size), fit.epochs, fit.head_epochs, fit.low_res_epochs, min(ends)
        )

    @property
    def head_steps(self) -> int:
        """Steps of the head alone."""
        return self.steps_per_epoch * self.head_epochs

    @property
    def small_steps(self) -> int:
        """Steps on small images."""
        return self.steps_per_epoch * self.low_res_epochs


def small(splits: Splits) -> Splits:
    """The same images at three quarters of their size, as `--low-res-epochs` trains on them, a multiple of 8 where it can be."""
    return replace(splits, image_size=small_size(splits.image_size))


def small_size(image_size: int) -> int:
    """Three quarters of a size in pixels, a multiple of 8 where it can be."""
    side = image_size * 3 // 4
    return side - side % 8 or side


def network_of(model: keras.Model) -> keras.Model:
    """The single-output network of a model that `build_and_compile` made."""
    return getattr(model, "network", model)


def build_and_compile(config: ResolvedConfig, splits: Splits, plan: Plan) -> keras.Model:
    """The network of a config, compiled and built, inside the plan's scope; seeds every generator of Keras."""
    if config.fit.accumulate > 1 and plan.replicas > 1:
        raise UserError(
            f"--accumulate {config.fit.accumulate} runs on one device only (Keras cannot under a strategy):"
            f" --devices {plan.kind}:1, or a larger --batch-size"
        )
    schedule = Schedule.of(config.fit, len(splits.train), None)
    if config.fit.accumulate > schedule.steps_per_epoch:
        raise UserError(
            f"--accumulate {config.fit.accumulate}: an epoch has {schedule.steps_per_epoch} batches of"
            f" {config.fit.batch_size}; give fewer, or a smaller --batch-size"
        )
    keras.utils.set_random_seed(config.fit.seed)
    with plan.scope():
        model = with_heads(config.model, splits.image_size, len(splits.class_names))
    compile_for(model, config, splits, plan)
    return model


def compile_for(
    model: keras.Model, config: ResolvedConfig, splits: Splits, plan: Plan, *, head_alone: bool = False
) -> None:
    """Compile and build `model` with a fresh optimizer for the layers that are trained now.

    Args:
        model: What `build_and_compile` made.
        config: Of the run.
        splits: The config's data.
        plan: Where it runs.
        head_alone: Whether the head is the only layer that is trained.
    """
    head = finetune.heads(model)
    finetune.choose(model, network_of(model), config.model.freeze_stages, head if head_alone else None)
    if config.model.whiten:
        whitening.stem(network_of(model)).trainable = False
    schedule = Schedule.of(config.fit, len(splits.train), None)
    # Alone the head keeps its peak: the schedule is that of everything.
    section = config.optim.model_copy(update={"schedule": "constant"}) if head_alone else config.optim
    epochs = schedule.head_epochs if head_alone else schedule.epochs - schedule.head_epochs
    with plan.scope():
        trainable = model.trainable_variables
        kept = {id(variable) for layer in head for variable in layer.weights}
        optimizer = optim.build(
            section,
            total_steps=epochs * schedule.steps_per_epoch,
            steps_per_epoch=schedule.steps_per_epoch,
            trainable=trainable,
            body=[variable for variable in trainable if id(variable) not in kept],
            accumulate=config.fit.accumulate,
        )
        model.compile(
            optimizer,
            # Labels come one-hot, smoothed and mixed by the pipeline: the loss stays plain, and val_loss unsmoothed.
            keras.losses.CategoricalCrossentropy(from_logits=True),
            weighted_metrics=keras_metrics.build(len(splits.class_names)),
            jit_compile=plan.jit,
        )
        model.optimizer.build(trainable)
        # Keras would build the metrics in the first step, too late for what a checkpoint puts back.
        size, classes = splits.image_size, len(splits.class_names)
        blank = np.zeros((2, size, size, 3), "uint8"), np.zeros((2, classes), "float32"), np.ones(2, "float32")
        compat.build_metrics(model, blank)


def network(section: Model, image_size: int, classes: int) -> keras.Model:
    """The single-output network that a resolved section means, fresh."""
    return models.build(
        section.arch,
        (image_size, image_size, 3),
        classes,
        Shape.of(section),
        zero_init_residual=section.zero_init_residual,
        drop_path=section.drop_path,
        dropout=section.dropout,
    )


def with_heads(section: Model, image_size: int, classes: int) -> keras.Model:
    """The network that a resolved section means, fresh, with its auxiliary heads where it has some and they count."""
    single = network(section, image_size, classes)
    if section.aux_weight == 0:
        return single
    heads = models.auxiliary_heads(section.arch, single, classes, Shape.of(section))
    if section.aux_weight is not None:
        heads = {name: head._replace(weight=section.aux_weight) for name, head in heads.items()}
    return auxiliary.WithAuxiliaryHeads(single, heads) if heads else single


def averaged(model: keras.Model) -> list[np.ndarray]:
    """The network's weights that val judged, on the host, in the order of `get_weights`: averaged ones where EMA is on."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    weights = network_of(model).weights
    values = host_values(weights)
    if optimizer.use_ema:
        place = {id(variable): i for i, variable in enumerate(weights)}
        variables, averages = zip(*compat.moving_averages(optimizer), strict=True)
        for variable, mean in zip(variables, host_values(list(averages)), strict=True):
            if id(variable) in place:  # not an auxiliary head's
                values[place[id(variable)]] = mean
    return values
