"""Metadata of a LiteRT file: what its tensors mean, and its labels, where Android Studio and MediaPipe look for them.

A file has a table `ModelMetadata` in a buffer named TFLITE_METADATA (schema: mediapipe/tasks/metadata/metadata_schema.fbs,
whose fields are numbered in their order), and a ZIP archive with `labels.txt` behind its end.
"""

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.tools import flatbuffer_utils as files

BUFFER, IDENTIFIER, LABELS, FACTS = "TFLITE_METADATA", b"M001", "labels.txt", "kerascnn.json"
PARSER = "1.0.0"  # the oldest parser of metadata that knows all of these fields
ALIGNMENT = 16  # of weights: the kernels read them where they lie in the file
RGB, AXIS_LABELS = 1, 2  # of ColorSpaceType and AssociatedFileType
FEATURES, IMAGE, NORMALIZATION = 1, 2, 1  # of the unions ContentProperties and ProcessUnitOptions


class _Aligned(flatbuffers.Builder):
    """A builder that aligns arrays as the schema of LiteRT demands, which the Python code made from it does not."""

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802 - the name of the base class
        self.Prep(ALIGNMENT, x.nbytes)
        return super().CreateNumpyVector(x)


class _Tables:
    """A builder of tables whose fields are offsets, numbers and vectors, by their number in the schema."""

    def __init__(self) -> None:
        self.builder = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return self.builder.CreateString(value)

    def several(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        return self.builder.EndVector()

    def numbers(self, values: Sequence[float]) -> int:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return self.builder.EndVector()

    def table(
        self,
        fields: int,
        offsets: Mapping[int, int],
        bytes_: Mapping[int, int] | None = None,
        sizes: Mapping[int, int] | None = None,
    ) -> int:
        """Returns the table with `fields` fields: offsets of strings, vectors and tables; enumerations; unsigned numbers."""
        self.builder.StartObject(fields)
        for slot, offset in offsets.items():
            self.builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        for slot, number in (sizes or {}).items():
            self.builder.PrependUint32Slot(slot, number, 0)
        for slot, number in (bytes_ or {}).items():
            self.builder.PrependUint8Slot(slot, number, 0)
        return self.builder.EndObject()


def metadata(name: str, description: str, size: int, outputs: Sequence[str]) -> bytes:
    """Returns `ModelMetadata` of a network.

    Args:
        name: Name of the model.
        description: What it answers.
        size: Height and width of the image, in pixels.
        outputs: Names of the outputs in the order of the file; the labels belong to `probabilities`.
    """
    made = _Tables()
    properties = made.table(2, {1: made.table(2, {}, sizes={0: size, 1: size})}, {0: RGB})
    # Pixels are given as they are: the network itself normalizes them.
    plain = made.table(2, {0: made.numbers([0.0]), 1: made.numbers([1.0])})
    image = made.table(
        7,
        {
            0: made.text("image"),
            1: made.text("RGB pixels, 0 to 255, resized as in training"),
            3: made.table(3, {1: properties}, {0: IMAGE}),
            4: made.several([made.table(2, {1: plain}, {0: NORMALIZATION})]),
            5: made.table(2, {0: made.numbers([255.0]), 1: made.numbers([0.0])}),
        },
    )
    answers = []
    for output in outputs:
        fields = {0: made.text(output), 3: made.table(3, {1: made.table(0, {})}, {0: FEATURES})}
        if output == "probabilities":
            labels = {0: made.text(LABELS), 1: made.text("the class of each probability")}
            fields[6] = made.several([made.table(5, labels, {2: AXIS_LABELS})])
        answers.append(made.table(7, fields))
    graph = made.table(10, {2: made.several([image]), 3: made.several(answers)})
    root = {0: made.text(name), 1: made.text(description), 3: made.several([graph]), 7: made.text(PARSER)}
    made.builder.Finish(made.table(8, root), IDENTIFIER)
    return bytes(made.builder.Output())


def add(path: Path, name: str, known: Mapping[str, Any], facts: bytes) -> None:
    """Puts metadata into a LiteRT file, and behind it an archive with `labels.txt` and `kerascnn.json`.

    `probabilities` becomes the first output; the others keep their order.

    Args:
        path: The file.
        name: Name of the model.
        known: Its `class_names` and `image_size`.
        facts: Content of `kerascnn.json`.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = files.read_model(str(path))
    outputs = [(each.name.decode(), each.tensorIndex) for each in model.signatureDefs[0].outputs]
    # The converter sorts outputs by name; MediaPipe's classifier takes the first one for the scores.
    first = dict(outputs)["probabilities"]
    order = sorted(map(int, model.subgraphs[0].outputs), key=lambda tensor: tensor != first)
    model.subgraphs[0].outputs = np.array(order, np.int32)
    names = [found for found, _ in sorted(outputs, key=lambda each: order.index(each[1]))]
    buffer, entry = schema.BufferT(), schema.MetadataT()
    classes = f"{len(known['class_names'])} classes"
    content = metadata(name, f"An image classifier with {classes}, exported by kerascnn.", known["image_size"], names)
    buffer.data = np.frombuffer(content, np.uint8)
    model.buffers.append(buffer)
    entry.name, entry.buffer = BUFFER, len(model.buffers) - 1
    model.metadata = [*(model.metadata or []), entry]
    path.write_bytes(packed(model, path.stat().st_size))
    labels = "".join(" ".join(each.splitlines()) + "\n" for each in known["class_names"])
    with zipfile.ZipFile(path, "a") as archive:  # not compressed, with a fixed date: the same export is the same file
        for file, text in ((LABELS, labels.encode()), (FACTS, facts)):
            archive.writestr(zipfile.ZipInfo(file), text)


def packed(model: Any, size: int) -> bytes:
    """Returns the content of a LiteRT file from its object of `flatbuffer_utils`; `size` is about its number of bytes."""
    builder = _Aligned(size)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def facts_of(path: Path) -> bytes | None:
    """Returns `kerascnn.json` of a file, or None if it has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(FACTS)
    except (OSError, zipfile.BadZipFile, KeyError):
        return None
