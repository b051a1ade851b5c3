"""TensorBoard's records besides curves: graph, config, pictures, PR curves, hyperparameters, the layout of a tab.

Each one is in its own event file, which is replaced when it is written again.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.compat.tensorboard import api_pb2, custom_scalar, hparams, layout_pb2, pr_curve, session_end_pb
from kerascnn.models.auxiliary import PARTS
from kerascnn.report.event_files import FOLDERS, HPARAMS, TRAIN, VALIDATION, only, suffix
from kerascnn.scoring.task import SINGLE, Task

PICTURES = "pictures"  # group of their tags, which follows the curves


def write_graph(log_dir: str | os.PathLike[str], model: keras.Model, graph: tf.Graph) -> None:
    """Writes the layers (TensorBoard's conceptual graph) and the operations of inference to train/.

    Args:
        log_dir: The run's `tensorboard` directory.
        model: The functional network itself: TensorBoard cannot draw a subclass around it.
        graph: Its traced inference (`cost.inference_graph`).
    """
    kind = tf.compat.v1.SummaryMetadata()
    kind.plugin_data.plugin_name, kind.plugin_data.content = "graph_keras_model", b"1"
    with only(Path(log_dir) / TRAIN, "graph"):
        tf.summary.write("keras", model.to_json(), step=0, metadata=kind)
        tf.summary.graph(graph)


def write_config(log_dir: str | os.PathLike[str], markdown: str) -> None:
    """Writes the run's config as text to train/."""
    with only(Path(log_dir) / TRAIN, "config"):
        tf.summary.text("config", markdown, step=0)


def write_images(log_dir: str | os.PathLike[str], split: str, pictures: Mapping[str, bytes], step: int = 0) -> None:
    """Writes PNG pictures by name to the split's folder; a picture with the same name is replaced.

    Args:
        log_dir: The run's `tensorboard` directory.
        split: Split of the images: train, val or test.
        pictures: Name to PNG bytes; the tag is the name below PICTURES.
        step: Optimizer step or epoch of the pictures.
    """
    _drop_misfiled(log_dir, split, [f"image-{name}" for name in pictures])
    for name, png in pictures.items():
        with only(Path(log_dir) / FOLDERS[split], f"image-{name}"):
            tf.summary.image(f"{PICTURES}/{name}", tf.io.decode_png(png, channels=3)[None], step=step)


def _drop_misfiled(log_dir: str | os.PathLike[str], split: str, names: Sequence[str]) -> None:
    """Removes records of another split that earlier versions wrote to validation/."""
    if split != "val":
        for name in names:
            for old in (Path(log_dir) / VALIDATION).glob(f"events.out.tfevents.*{suffix(name)}"):
                old.unlink()


def write_hparams(
    log_dir: str | os.PathLike[str], name: str, values: Mapping[str, Any], scores: Mapping[str, float] | None = None
) -> None:
    """Writes one row of the HParams table: the run's session, in hparams/; with `scores` the session has ended.

    It never writes an experiment's explicit list of columns: TensorBoard takes the first one of all runs, and hides all
    others. All scalars beside and below a session become columns, hence its own directory: only the final scores, not every
    `step_*` tag.

    Args:
        log_dir: The run's `tensorboard` directory.
        name: Name of the run, so that sessions with equal values stay separate rows.
        values: Flat names to values; None is left out, sequences are joined, other types become text.
        scores: Final scores by name.
    """
    plain = {key: _plain(value) for key, value in values.items() if value is not None}
    with only(Path(log_dir) / HPARAMS, "hparams"):
        tf.summary.experimental.write_raw_pb(hparams.hparams_pb(plain, trial_id=name).SerializeToString(), step=0)
        for tag, value in (scores or {}).items():
            tf.summary.scalar(tag, value, step=0)
        if scores is not None:
            tf.summary.experimental.write_raw_pb(session_end_pb(api_pb2.STATUS_SUCCESS).SerializeToString(), step=0)


def write_pr_curves(
    log_dir: str | os.PathLike[str],
    split: str,
    labels: np.ndarray,
    probabilities: np.ndarray,
    class_names: Sequence[str],
) -> None:
    """Writes precision-recall curves for the PR CURVES tab, one per class, to the split's folder.

    Args:
        log_dir: The run's `tensorboard` directory.
        split: Split of the images: train, val or test.
        labels: True classes, [n], or several labels, bool [n, C].
        probabilities: [n, C].
        class_names: C names.
    """
    # Earlier versions wrote curves of test to validation/.
    for old in (Path(log_dir) / VALIDATION).glob(f"events.out.tfevents.*{suffix('pr-curves')}"):
        old.unlink()
    with only(Path(log_dir) / FOLDERS[split], f"pr-curves-{split}"):
        for c, name in enumerate(class_names):
            truth = labels[:, c] if labels.ndim == 2 else labels == c
            curve = pr_curve.pb(f"pr/{name}", truth, probabilities[:, c], display_name=name)
            tf.summary.experimental.write_raw_pb(curve.SerializeToString(), step=0)


def write_layout(log_dir: str | os.PathLike[str], task: Task = SINGLE) -> None:
    """Writes the layout of the CUSTOM SCALARS tab: losses and scores of train and validation side by side, speed."""

    def chart(title: str, *tags: str) -> layout_pb2.Chart:
        return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=list(tags)))

    first, *further = task.counted()
    losses = ["^epoch_loss$", *(f"^epoch_{part}$" for part in PARTS)]
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title="training and validation",
                chart=[chart("loss", *losses), chart(first.title, f"^epoch_{first.name}$")],
            ),
            layout_pb2.Category(
                title="further scores",
                chart=[chart(", ".join(s.title for s in further), *(f"^epoch_{s.name}$" for s in further))],
            ),
            layout_pb2.Category(
                title="speed",
                chart=[
                    chart("images per second", "^step_images_per_second$"),
                    chart("share of the time waiting for input", "^step_input_wait$"),
                ],
            ),
        ]
    )
    with only(Path(log_dir) / TRAIN, "layout"):
        tf.summary.experimental.write_raw_pb(custom_scalar.pb(layout).SerializeToString(), step=0)


def write_experiment(
    log_dir: str | os.PathLike[str], spans: Mapping[str, list[Any] | tuple[float, float]], metrics: Sequence[str]
) -> None:
    """Writes the columns of a search's HParams table once, at its root, never for a single run.

    Args:
        log_dir: The search's `tensorboard` directory.
        spans: Varied names -> the list of choices, or the two ends of the range.
        metrics: Tags that every session below has.
    """
    columns = [hparams.HParam(name, _domain(span)) for name, span in spans.items()]
    config = hparams.hparams_config_pb(columns, [hparams.Metric(tag) for tag in metrics])
    with only(Path(log_dir), "experiment"):
        tf.summary.experimental.write_raw_pb(config.SerializeToString(), step=0)


def _domain(span: list[Any] | tuple[float, float]) -> Any:
    if isinstance(span, list):
        return hparams.Discrete(span)
    whole = all(isinstance(end, int) for end in span)
    return hparams.IntInterval(*span) if whole else hparams.RealInterval(*map(float, span))


def _plain(value: Any) -> bool | int | float | str:
    if isinstance(value, bool | int | float | str):
        return value
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
