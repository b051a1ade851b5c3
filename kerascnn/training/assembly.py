"""Turns a config into a compiled model: settings that depend on the data, the schedule, the network and its optimizer."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from kerascnn import models
from kerascnn.architectures import own, tables
from kerascnn.architectures.shape import Shape
from kerascnn.compat import keras as compat
from kerascnn.compat import keras_workers
from kerascnn.config import Config, Model, Optim
from kerascnn.config.defaults import with_lr, with_optimizer
from kerascnn.config.resolved import ResolvedConfig, ResolvedFit
from kerascnn.data import Splits, augment
from kerascnn.devices.plan import Plan, host_values
from kerascnn.errors import UserError
from kerascnn.layers import shared_statistics
from kerascnn.models import auxiliary, functions
from kerascnn.runs import Run
from kerascnn.training import (
    depth,
    finetune,
    guided,
    keras_metrics,
    losses,
    optim,
    remat,
    sharpness,
    teachers,
    whitening,
)
from kerascnn.training.run_schedule import RunSchedule
from kerascnn.training.teachers import Teacher

# Above this ratio of the largest to the smallest class, accuracy hides rare classes: val then chooses by macro F1.
IMBALANCE = 3
# It costs six times as much as resnet20 per image and needs fewer epochs: both take minutes on the embedded images.
EPOCHS = {"inception_small": 6}
DEFAULT_EPOCHS = 12
# Share of these that Muon needs, and share of its epochs on small images (experiments/results/first_command.md).
MUON_EPOCHS, SMALL_SHARE = 1 / 2, 2 / 3


def resolve(config: Config, splits: Splits) -> ResolvedConfig:
    """Returns the config with all data-dependent `auto`s replaced: image size, arch, resize, augmentation, monitor.

    Raises:
        UserError: An unknown arch, or an option that does not fit it.
    """
    size = splits.image_size
    chosen = augment.chosen(config.augment, size)
    task, smoothing = splits.task, config.optim.label_smoothing
    arch = tables.resolve(own.pinned(config.model.arch), size)
    stem = config.model.stem
    config = with_lr(with_optimizer(config, size), size)
    optim.check(config.optim, has_val=len(splits.val) > 0)
    epochs, low_res_epochs = length(config, arch, size)
    function = own.parse(arch)
    if function:
        _check_function(function, config, splits, low_res_epochs)
    if low_res_epochs and small(splits).image_size <= tables.SMALL_IMAGE < size and stem == "auto" and not function:
        stem = "large"  # the stem for the full image size, as small images would choose another one
    resolved = ResolvedConfig.of(
        config,
        data={"image_size": size, "resize": splits.resize, "task": task.name},
        optim={
            "label_smoothing": task.label_smoothing if smoothing is None else smoothing,
            "loss": losses.resolve(config.optim, task),
        },
        augment={"augment": chosen or ("none",)},
        model={"arch": arch, "stem": stem},
        fit={"monitor": _monitor(config, splits), "epochs": epochs, "low_res_epochs": low_res_epochs},
    )
    return teachers.resolve(finetune.resolve(resolved, size), splits)


def _monitor(config: Config, splits: Splits) -> str:
    """Returns the column that chooses the best epoch.

    Raises:
        UserError: The column that was asked for is one of the other task.
    """
    asked, task = config.fit.monitor, splits.task
    if asked != "auto":
        task.score(asked.removeprefix("val_"), "--monitor")
        return asked
    if task.several:
        return task.headline.column
    # All folds choose by the same score, whatever the classes of one of them.
    parts = splits.parts() if config.data.folds else (splits.train,)
    labels = np.concatenate([part.labels for part in parts])
    counts = np.bincount(labels, minlength=len(splits.class_names))
    return "val_macro_f1" if counts.max() > IMBALANCE * counts.min() else "val_accuracy"


def _check_function(function: own.OwnArch, config: Config, splits: Splits, low_res_epochs: int) -> None:
    """Checks the network of a function before a run begins."""
    own.check_options(function, config.model)
    find_network(config)
    size, classes, options = splits.image_size, len(splits.class_names), own.options(config.model)
    shapes = functions.check(function, size, classes, options)
    if low_res_epochs and functions.check(function, small_size(size), classes, options) != shapes:
        raise UserError(
            f"--low-res-epochs {low_res_epochs}: the weights of {function.name} have other shapes for"
            f" {small_size(size)} px than for {size} px"
        )


def find_network(config: Config) -> None:
    """Makes the function of a resolved arch known from the copy of a run, if its own file has changed or is gone."""
    function = own.parse(config.model.arch)
    if function and function.pin:
        copies = config.logging.runs_dir.glob(f"*/{Run('').network_file.name}")
        functions.find(function, itertools.chain(finetune.copies(config.model), copies))


def length(config: Config, arch: str, image_size: int) -> tuple[int, int]:
    """Returns the epochs, and those on small images, of a config with a resolved optimizer.

    A config without either gets both: the default number, fewer if Muon trains small images from scratch. A config with one
    of the two has no other epochs on small images than it sets, nor has one of a function, whose weights may have another
    shape for them.
    """
    fit = config.fit
    whole = EPOCHS.get(arch, DEFAULT_EPOCHS)
    short = config.optim.optimizer == "muon" and image_size <= tables.SMALL_IMAGE and config.model.weights is None
    both = fit.epochs is None and fit.low_res_epochs is None and own.parse(arch) is None
    if both and short and small_size(image_size) < image_size:
        epochs = round(whole * MUON_EPOCHS)
        return epochs, round(epochs * SMALL_SHARE)
    return fit.epochs or (round(whole * MUON_EPOCHS) if short else whole), fit.low_res_epochs or 0


def small(splits: Splits) -> Splits:
    """Returns the same splits at three quarters of the image size, a multiple of 8 if possible, for `--low-res-epochs`."""
    return replace(splits, image_size=small_size(splits.image_size))


def small_size(image_size: int) -> int:
    """Returns three quarters of a size in pixels, a multiple of 8 if possible."""
    side = image_size * 3 // 4
    return side - side % 8 or side


def network_of(model: keras.Model) -> keras.Model:
    """Returns the single-output network of a model of `build_and_compile`."""
    return getattr(model, "network", model)


def build_and_compile(
    config: ResolvedConfig, splits: Splits, plan: Plan, teacher: Teacher | None = None
) -> keras.Model:
    """Returns the compiled and built network of a resolved config, in the plan's scope; seeds all generators of Keras.

    Args:
        config: A resolved config.
        splits: Its data.
        plan: The devices.
        teacher: The config's teacher, if the caller has found it.
    """
    if config.optim.teacher is not None and teacher is None:
        teacher = teachers.find(config, splits, plan)
    schedule = RunSchedule.of(config.fit, len(splits.train), None)
    if config.fit.accumulate > schedule.steps_per_epoch:
        raise UserError(
            f"--accumulate {config.fit.accumulate}: an epoch has {schedule.steps_per_epoch} batches of"
            f" {config.fit.batch_size}; give fewer, or a smaller --batch-size"
        )
    keras.utils.set_random_seed(config.draw_seed)
    with plan.scope():
        form = guided.form_of(config, splits.task.several, teacher) or _with_heads_only
        model = with_heads(config.model, splits.image_size, len(splits.class_names), form)
        if plan.replicas > 1 and config.devices.sync_bn:
            shared_statistics.over_replicas(model)
        if plan.replicas > 1 and own.parse(config.model.arch):
            _check_shared(model, plan.replicas)
    compile_for(model, config, splits, plan)
    return model


def _check_shared(model: keras.Model, replicas: int) -> None:
    """Raises UserError for statistics of which each replica would keep its own: files would have those of the first one.

    Normalizations of Keras are replaced by ours, which share theirs (`models.adapting`).
    """
    apart = [
        variable.path
        for layer in compat.nested_layers(model)
        for variable in compat.state_of(layer)
        if not isinstance(layer, keras.layers.Normalization)  # whose statistics are given
        and keras.backend.is_float_dtype(variable.dtype)
        and variable.aggregation != "mean"
    ]
    if apart:
        raise UserError(
            f"{replicas} replicas would each keep their own {apart[0]}: --devices cpu:1 or gpu:1, or"
            ' aggregation="mean" in its add_weight'
        )


def compile_for(
    model: keras.Model, config: ResolvedConfig, splits: Splits, plan: Plan, *, head_alone: bool = False
) -> None:
    """Compiles and builds `model` with a fresh optimizer for the layers that are trained now.

    Args:
        model: A model of `build_and_compile`.
        config: A resolved config.
        splits: The config's data.
        plan: The devices.
        head_alone: Whether only the head is trained.
    """
    head = finetune.heads(model)
    finetune.choose(model, network_of(model), config.model.freeze_stages, head if head_alone else None)
    if config.model.whiten:
        whitening.stem(network_of(model)).trainable = False
    schedule = RunSchedule.of(config.fit, len(splits.train), None)
    # The head alone trains at the peak rate: the schedule is for the epochs of all layers.
    alone = {"schedule": "constant", "cooldown": 0.0}
    section = config.optim.model_copy(update=alone) if head_alone else config.optim
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
            head=[variable for variable in trainable if id(variable) in kept],
            accumulate=config.fit.accumulate,
        )
        if section.layer_decay < 1:
            for variables, factor in depth.factors(network_of(model), head, section.layer_decay):
                optimizer.scale(variables, factor)
        model.train_step = _step(model, section, config.fit)
        if plan.workers > 1:
            model.train_step = shared_statistics.in_one_sum(model.train_step)
        model.compile(
            optimizer,
            losses.build(config.optim, splits.task),
            weighted_metrics=keras_metrics.build(len(splits.class_names), splits.task),
            jit_compile=plan.jit,
        )
        model.optimizer.build(trainable)
        # Keras would build the metrics in the first step, which is too late for a checkpoint.
        size, classes = splits.image_size, len(splits.class_names)
        blank = np.zeros((2, size, size, 3), "uint8"), np.zeros((2, classes), "float32"), np.ones(2, "float32")
        compat.build_metrics(model, blank)
        if plan.workers > 1:
            assert plan.strategy is not None
            keras_workers.mend(model, plan.strategy)


def _step(model: keras.Model, section: Optim, fit: ResolvedFit) -> Callable[[Any], Any]:
    """Returns the training step of a model: Keras' own, with what the config adds."""
    step: Callable[[Any], Any] = type(model).train_step.__get__(model)
    if section.sam_rho:
        step = sharpness.train_step(model, section.sam_rho, adaptive=section.sam_adaptive)
    if isinstance(model, guided.Guided):
        step = model.train_step_of(step)
    return remat.train_step(network_of(model), step) if fit.remat else step


def network(section: Model, image_size: int, classes: int) -> keras.Model:
    """Returns a fresh single-output network of a resolved section."""
    return models.build(
        section.arch,
        (image_size, image_size, 3),
        classes,
        Shape.of(section),
        zero_init_residual=section.zero_init_residual,
        drop_path=section.drop_path,
        dropout=section.dropout,
        drop_block=section.drop_block,
        drop_block_size=section.drop_block_size,
    )


def _with_heads_only(single: keras.Model, heads: dict[str, models.AuxiliaryOutput]) -> keras.Model:
    return auxiliary.WithAuxiliaryHeads(single, heads) if heads else single


def with_heads(
    section: Model,
    image_size: int,
    classes: int,
    form: Callable[[keras.Model, dict[str, models.AuxiliaryOutput]], keras.Model] = _with_heads_only,
) -> keras.Model:
    """Returns a fresh network of a resolved section for training.

    Args:
        section: The section.
        image_size: Side of the images in pixels.
        classes: Number of classes.
        form: From the single-output network and its auxiliary heads, none if their weight is 0, to the model that is trained.
    """
    single = network(section, image_size, classes)
    if section.aux_weight == 0:
        return form(single, {})
    heads = models.auxiliary_heads(section.arch, single, classes, Shape.of(section))
    if section.aux_weight is not None:
        heads = {name: head._replace(weight=section.aux_weight) for name, head in heads.items()}
    return form(single, heads)


def averaged(model: keras.Model) -> list[np.ndarray]:
    """Returns the weights that val judged, on the host, in the order of `get_weights`: averaged ones with EMA."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    weights = network_of(model).weights
    values = host_values(weights)
    if optimizer.use_ema:
        place = {id(variable): i for i, variable in enumerate(weights)}
        variables, averages = zip(*compat.moving_averages(optimizer), strict=True)
        for variable, mean in zip(variables, host_values(list(averages)), strict=True):
            if id(variable) in place:  # not of an auxiliary head
                values[place[id(variable)]] = mean
    return values
