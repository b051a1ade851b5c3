"""Shards as other programs write them: tar files of WebDataset, TFRecord files of tf.train.Example."""

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf
from PIL import Image

Row = tuple[str, bytes, Any]  # name, encoded image, label: a number, a name, or a list of them


def rows_of(folder: Path) -> list[Row]:
    """The images of a folder of class folders: path below it, content, class."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(str(path.relative_to(folder)), path.read_bytes(), path.parent.name) for path in paths]


def jpeg(color: int, size: tuple[int, int] = (12, 10)) -> bytes:
    """A JPEG of one color."""
    out = io.BytesIO()
    Image.new("RGB", size, (color % 256, 80, 160)).save(out, "JPEG")
    return out.getvalue()


def some(count: int, labels: Iterable[Any] = ("ant", "bee"), start: int = 0) -> list[Row]:
    """Rows of images of one color each, with the labels in turn."""
    each = list(labels)
    return [(f"{i:04d}.jpg", jpeg(i), each[i % len(each)]) for i in range(start, start + count)]


def tar(path: Path, rows: Iterable[Row], kind: str = "cls", mode: str = "w", form: int = tarfile.PAX_FORMAT) -> Path:
    """A tar file of images, each before its label in a file `.cls`, `.txt` or `.json`."""
    with tarfile.open(path, mode, format=form) as archive:
        for name, content, label in rows:
            said = json.dumps({"label": label}) if kind == "json" else str(label)
            stem = name[: name.index(".", name.rindex("/") + 1 if "/" in name else 0)]
            for member, data in ((name, content), (f"{stem}.{kind}", said.encode())):
                info = tarfile.TarInfo(member)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return path


def example(name: str, content: bytes, label: Any, **features: Any) -> bytes:
    """A serialized tf.train.Example; a label may be a number, a name, a (number, name), or a list of numbers."""

    def of(value: Any) -> tf.train.Feature:
        values = value if isinstance(value, list) else [value]
        if values and isinstance(values[0], int):
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
        values = [value.encode() if isinstance(value, str) else value for value in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    told = {"image/encoded": content, "image/filename": name}
    number, text = label if isinstance(label, tuple) else (None, label) if isinstance(label, str) else (label, None)
    told |= {"image/class/label": number} if number is not None else {}
    told |= {"image/class/text": text} if text is not None else {}
    told = {key: value for key, value in {**told, **features}.items() if value is not None}
    return tf.train.Example(
        features=tf.train.Features(feature={key: of(value) for key, value in told.items()})
    ).SerializeToString()


def tfrecord(path: Path, rows: Iterable[Row], compression: str = "", **features: Any) -> Path:
    """A TFRecord file."""
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type=compression)) as writer:
        for row in rows:
            writer.write(example(*row, **features))
    return path
