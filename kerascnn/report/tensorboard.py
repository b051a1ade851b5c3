"""What TensorBoard shows of a run beside its curves: graph, config, pictures, PR curves, hyperparameters, the layout of a tab.

Each lies in an event file of its own, which is replaced when it is written again.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kerascnn.compat.tensorboard import api_pb2, custom_scalar, hparams, layout_pb2, pr_curve, session_end_pb
from kerascnn.report.event_files import FOLDERS, HPARAMS, TRAIN, VALIDATION, only, suffix
from kerascnn.scoring import metrics

PICTURES = "pictures"  # the group of their tags: below it they stand after the curves


def write_graph(log_dir: str | os.PathLike[str], model: keras.Model, graph: tf.Graph) -> None:
    """The layers (TensorBoard's conceptual graph) and the operations of inference, in train/.

    Args:
        log_dir: The run's `tensorboard` directory.
        model: The functional network itself: TensorBoard cannot draw a subclass around it.
        graph: Its inference, traced (`cost.inference_graph`).
    """
    kind = tf.compat.v1.SummaryMetadata()
    kind.plugin_data.plugin_name, kind.plugin_data.content = "graph_keras_model", b"1"
    with only(Path(log_dir) / TRAIN, "graph"):
        tf.summary.write("keras", model.to_json(), step=0, metadata=kind)
        tf.summary.graph(graph)


def write_config(log_dir: str | os.PathLike[str], markdown: str) -> None:
    """The run's config as text, in train/."""
    with only(Path(log_dir) / TRAIN, "config"):
        tf.summary.text("config", markdown, step=0)


def write_images(log_dir: str | os.PathLike[str], split: str, pictures: Mapping[str, bytes], step: int = 0) -> None:
    """PNG pictures by name, in the split's folder; a picture of the same name is replaced.

    Args:
        log_dir: The run's `tensorboard` directory.
        split: train, val or test: whose images they show.
        pictures: Name to PNG bytes; the tag is the name below PICTURES.
        step: Optimizer step or epoch that they belong to.
    """
    _drop_misfiled(log_dir, split, [f"image-{name}" for name in pictures])
    for name, png in pictures.items():
        with only(Path(log_dir) / FOLDERS[split], f"image-{name}"):
            tf.summary.image(f"{PICTURES}/{name}", tf.io.decode_png(png, channels=3)[None], step=step)


def _drop_misfiled(log_dir: str | os.PathLike[str], split: str, names: Sequence[str]) -> None:
    """Remove what earlier versions filed under validation/ although it was of another split."""
    if split != "val":
        for name in names:
            for old in (Path(log_dir) / VALIDATION).glob(f"events.out.tfevents.*{suffix(name)}"):
                old.unlink()


def write_hparams(
    log_dir: str | os.PathLike[str], name: str, values: Mapping[str, Any], scores: Mapping[str, float] | None = None
) -> None:
    """One row of the HParams table: the run's session, in hparams/; with `scores` the session has ended.

    Never an experiment's explicit list of columns: TensorBoard takes the first that it finds among all runs, and hides
    what that one does not list. It makes columns of all scalars beside and below a session, hence a directory apart: the
    final scores, and not every `step_*` tag.

    Args:
        log_dir: The run's `tensorboard` directory.
        name: The run's name: sessions of equal values stay rows of their own.
        values: Flat names to values; None is left out, rows are joined, what else TensorBoard does not know becomes text.
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
    """Precision-recall curves for the PR CURVES tab, one per class, in the split's folder.

    Args:
        log_dir: The run's `tensorboard` directory.
        split: train, val or test: whose images they are of.
        labels: True classes, [n].
        probabilities: [n, C].
        class_names: C names.
    """
    # Until they had a split of their own in the name, curves of test lay under validation/.
    for old in (Path(log_dir) / VALIDATION).glob(f"events.out.tfevents.*{suffix('pr-curves')}"):
        old.unlink()
    with only(Path(log_dir) / FOLDERS[split], f"pr-curves-{split}"):
        for c, name in enumerate(class_names):
            curve = pr_curve.pb(f"pr/{name}", labels == c, probabilities[:, c], display_name=name)
            tf.summary.experimental.write_raw_pb(curve.SerializeToString(), step=0)


def write_layout(log_dir: str | os.PathLike[str]) -> None:
    """What the CUSTOM SCALARS tab shows: losses and scores of train and validation beside each other, speed."""

    def chart(title: str, *tags: str) -> layout_pb2.Chart:
        return layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=list(tags)))

    first, *further = metrics.counted()
    layout = layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title="training and validation",
                chart=[chart("loss", "^epoch_loss$", "^epoch_aux_loss$"), chart(first.title, f"^epoch_{first.name}$")],
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
    """The columns of a search's HParams table: written once, at its root, never for a single run.

    Args:
        log_dir: The search's `tensorboard` directory.
        spans: What varies, by name: the list of its choices, or the two ends of its range.
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
