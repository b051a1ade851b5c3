"""A teacher's answers for training images that nothing changes: asked once, and kept for all runs of a folder."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from kerascnn.cli.progress import Phases
from kerascnn.config.resolved import ResolvedConfig
from kerascnn.data import Splits
from kerascnn.runs.files import write_file
from kerascnn.training.teachers import Teacher

FOLDER = ".teachers"  # below that of the runs
# Largest number of bytes. Free memory does not decide: a run that resumes would then have other last bits.
MOST = 2**30


def file_of(config: ResolvedConfig, splits: Splits) -> Path:
    """Returns the file of the answers of a resolved config's teacher: its name is a digest of all that decides them."""
    assert config.optim.teacher is not None
    decides = (
        config.optim.teacher.rpartition("#")[2],
        "features" if config.optim.distill == "feature" else "logits",
        splits.fingerprint,
        hashlib.sha256(splits.train.indices.tobytes()).hexdigest(),
        splits.image_size,
        splits.resize,
        splits.class_names,
    )
    name = hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:24]
    return config.logging.runs_dir / FOLDER / f"{name}.npy"


def read(file: Path, shape: tuple[int, int]) -> np.ndarray | None:
    """Returns the answers of a file, float32 `shape`, or None where they are missing or damaged."""
    try:
        with file.open("rb") as opened:
            found = np.load(opened, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == np.float32 else None


def ask(teacher: Teacher, batches: tf.data.Dataset, count: int, file: Path, phases: Phases) -> np.ndarray:
    """Returns the answers for the first `count` images of batches, float32 [count, width], which are kept in a file."""
    function = tf.function(teacher, reduce_retracing=True, autograph=False)
    with phases.phase("asking the teacher", int(batches.cardinality())) as phase:
        found = tf.concat([function(images) for images, *_ in phase.over(batches)], axis=0)[:count].numpy()
    buffer = io.BytesIO()
    np.save(buffer, found, allow_pickle=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, buffer.getvalue())
    return found
