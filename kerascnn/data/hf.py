"""hf:NAME_OR_FOLDER: data sets of Hugging Face's library: saved to disk, folders of images or Parquet, or from the hub."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from kerascnn.cli.escaping import expanded, one_line, resolved
from kerascnn.config import Data
from kerascnn.config.section import nearest
from kerascnn.data import raw_labels, short_name, split_file
from kerascnn.data.contents import GROUP, THREADS, ContentTable, contents, learned, status_key
from kerascnn.data.decode import Mode
from kerascnn.data.listing import Listing, fingerprint
from kerascnn.data.record_index import ImageFacts, RecordIndex
from kerascnn.data.room import Missing, Room
from kerascnn.data.sources import Records
from kerascnn.data.splits import SPLIT_NAMES
from kerascnn.data.trouble import without_damaged
from kerascnn.data.walking import composed
from kerascnn.errors import UserError

NAMES = (
    "file_name",
    "filename",
    "image_path",
    "id",
)  # columns of names; the library cuts folders off the images' own paths
LABELS = ("label", "labels", "class", "fine_label", "target")  # usual names


class Part(NamedTuple):
    """One split: its name, the column of images (struct of bytes and path), its labels and names, and its files."""

    name: str
    images: pa.ChunkedArray
    labels: list[Any]
    names: list[str]
    files: tuple[str, ...]


def listing(section: Data, image_size: int, resize: Mode, room: Room) -> Listing:
    """Returns the images of a data set of the library `datasets` in its own splits.

    Raises:
        UserError: The library or the data set is missing, or it has no column of images or of labels.
    """
    root = resolved(expanded(section.dataset.removeprefix("hf:")))
    notes: list[str] = []
    parts, names = _parts(section, _opened(section), notes)
    given = np.repeat([SPLIT_NAMES.get(part.name.lower(), "") for part in parts], [len(part.labels) for part in parts])
    ids = _ids(parts, root)
    labels = [label for part in parts for label in part.labels]
    facts = _facts(parts, ids, root, room)
    _, skipped = facts.valid(ids)
    notes += without_damaged(room.counted(skipped), len(ids) - len(skipped), section.dataset)
    missing = [label is None or (isinstance(label, int) and label < 0) for label in labels]
    if any(missing):
        notes.append(f"not used: {sum(missing)} images without a label")
    used = [i for i in range(len(ids)) if i not in facts.problems and not missing[i]]
    if not used:
        raise Missing(f"{section.dataset} has no images with a label")
    order = np.array(sorted(used, key=ids.__getitem__), np.int64)
    told = tuple(section.class_names) or names
    numbers, class_names = raw_labels.arranged([labels[i] for i in order], told, notes=notes)
    columns = ArrowColumns([part.images for part in parts])
    facts = facts.taken(order)
    source = Records(
        lambda index: columns.get(int(order[index])),
        facts.kept,
        ids=[ids[i] for i in order],
        labels=numbers,
        class_names=class_names,
        size=image_size,
        mode=resize,
    )
    source.counted(room.counted(skipped), section.dataset)
    digests = fingerprint(source, given[order], facts.hexadecimal())
    name = short_name(section.dataset)
    found = Listing(source, given[order], digests, name, tuple(notes), tuple(sorted(skipped)))
    return split_file.applied(found, section)


class ArrowColumns:
    """The bytes of images in columns of Arrow, by one index over all columns."""

    def __init__(self, columns: Sequence[pa.ChunkedArray]) -> None:
        chunks = [chunk for column in columns for chunk in column.chunks if len(chunk)]
        self.bytes, self.paths = [chunk.field("bytes") for chunk in chunks], [chunk.field("path") for chunk in chunks]
        self.ends = np.cumsum([len(chunk) for chunk in chunks])

    def get(self, index: int) -> bytes:
        """Returns the bytes of an image.

        Raises:
            OSError: Its file cannot be read.
        """
        chunk = int(np.searchsorted(self.ends, index, side="right"))
        row = index - (int(self.ends[chunk - 1]) if chunk else 0)
        content = self.bytes[chunk][row].as_py()
        return Path(self.paths[chunk][row].as_py() or "").read_bytes() if content is None else content


def _library() -> Any:
    try:
        import datasets
    except ImportError:
        raise UserError("hf: needs Hugging Face's library: pip install 'kerascnn[datasets]'") from None
    return datasets


@contextlib.contextmanager
def _offline(library: Any, offline: bool) -> Iterator[None]:
    """Keeps the library from the network, and from showing bars of its own."""
    from huggingface_hub import constants

    places = (library.config, constants)
    before = [place.HF_HUB_OFFLINE for place in places]
    bars = library.are_progress_bars_disabled()
    library.disable_progress_bars()
    try:
        for place, own in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = own or offline
        yield
    finally:
        for place, own in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = own
        if not bars:
            library.enable_progress_bars()


def _opened(section: Data) -> dict[str, Any]:
    """Returns the data set's splits by name.

    Raises:
        UserError: It does not exist, or only on the hub and --download is not given.
    """
    name = section.dataset.removeprefix("hf:")
    if not name:
        raise UserError("hf: needs a folder or a name, as in hf:photos or hf:USER/NAME")
    library, folder = _library(), expanded(name)
    cache = None if section.data_dir is None else str(expanded(section.data_dir))
    try:
        with _offline(library, not section.download or folder.is_dir()):
            if any((folder / mark).is_file() for mark in ("dataset_dict.json", "state.json")):
                found = library.load_from_disk(str(folder))
            elif folder.is_dir():
                found = library.load_dataset(str(resolved(folder)), cache_dir=cache)
            else:
                path, _, revision = name.partition("@")
                path, _, config = path.partition(":")
                found = library.load_dataset(path, config or None, revision=revision or None, cache_dir=cache)
    except Exception as error:  # each cause raises an error of another library
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if folder.is_dir():
            raise UserError(f"{folder} cannot be read as a data set: {one_line(first)}") from None
        if section.download:
            raise UserError(f"{one_line(name)!r} could not be fetched from the hub: {one_line(first)}") from None
        raise Missing(
            f"there is no folder {resolved(folder)}, and the library has not fetched {one_line(name)!r} before: --download"
            f" lets it, --data-dir DIR names the folder of what it fetched ({one_line(first)})"
        ) from None
    return dict(found) if isinstance(found, library.DatasetDict) else {str(found.split or "all"): found}


def _parts(section: Data, splits: dict[str, Any], notes: list[str]) -> tuple[list[Part], tuple[str, ...]]:
    """Returns the used splits, and the names of the classes that the data set itself knows."""
    known = [name for name in splits if name.lower() in SPLIT_NAMES] or list(splits)[:1]
    if len(known) < len(splits):
        notes.append(f"not used: the splits {', '.join(one_line(name) for name in splits if name not in known)}")
    features = splits[known[0]].features
    library = _library()
    image = _column(
        features, section.image_column, [k for k, v in features.items() if isinstance(v, library.Image)], "image"
    )
    label = _column(features, next(iter(section.label_column), None), [k for k in LABELS if k in features], "label")
    inner = getattr(features[label], "feature", features[label])
    own = next((name for name in NAMES if getattr(features.get(name), "dtype", None) == "string"), None)
    parts = []
    for name in known:
        table = splits[name].with_format(None).data
        column = table.column(image)
        if not pa.types.is_struct(column.type):
            raise UserError(f"{section.dataset}: column {one_line(image)!r} holds no images, but {column.type}")
        files = tuple(file["filename"] for file in splits[name].cache_files)
        names = pc.struct_field(column, "path") if own is None else table.column(own)
        names = [text or "" for text in names.to_pylist()]
        parts.append(Part(name, column, table.column(label).to_pylist(), names, files))
    return parts, tuple(getattr(inner, "names", None) or ())


def _column(features: Any, told: str | None, usual: Sequence[str], what: str) -> str:
    if told is not None:
        if told not in features:
            raise UserError(f"--{what}-column {told}: there is no such column{nearest(told, features)}")
        return told
    if not usual:
        shown = ", ".join(f"{one_line(name)!r}" for name in list(features)[:10])
        raise UserError(f"no column of {what}s is found: name it with --{what}-column. The columns: {shown}")
    return usual[0]


def _ids(parts: Sequence[Part], root: Path) -> list[str]:
    """Returns the name or path of each image, below the folder where it lies there, if each has its own; else split, number."""
    above = f"{root}{os.sep}"
    names = [composed(name.removeprefix(above).replace(os.sep, "/")) for part in parts for name in part.names]
    if all(names) and len(set(names)) == len(names):
        return names
    return [f"{part.name}/{place}" for part in parts for place in range(len(part.labels))]


def _facts(parts: Sequence[Part], ids: Sequence[str], root: Path, room: Room) -> ImageFacts:
    """Returns what is known of all images: of their files, or remembered by the files of the library."""
    facts = ImageFacts.of(len(ids))
    contained = [pc.is_valid(pc.struct_field(part.images, "bytes")).to_numpy() for part in parts]
    inside = np.concatenate(contained) if contained else np.zeros(0, bool)
    outside = np.flatnonzero(~inside)
    if len(outside):
        paths = [path or "" for part in parts for path in pc.struct_field(part.images, "path").to_pylist()]
        named = [paths[place] for place in outside.tolist()]
        with room.counting("reading files", len(named)) as advance:
            for place, content in zip(
                outside.tolist(), contents(named, ContentTable(room.contents, root), advance), strict=True
            ):
                facts.put(place, content)
    if inside.any():
        _learn(parts, np.flatnonzero(inside), facts, room)
    return facts


def _learn(parts: Sequence[Part], places: np.ndarray, facts: ImageFacts, room: Room) -> None:
    files = [Path(file) for part in parts for file in part.files]
    index = None
    if files:
        keys = repr([status_key(file.stat()) for file in files])
        index = RecordIndex(room.contents, files[0], f"hf {hashlib.sha256(keys.encode()).hexdigest()}")
    known = index.load() if index is not None else None
    if known is None or len(known.kept) != len(places):
        known = ImageFacts.of(len(places))
        columns = ArrowColumns([part.images for part in parts])
        groups = [places[i : i + GROUP].tolist() for i in range(0, len(places), GROUP)]
        at = 0
        with room.counting("reading images", len(places)) as advance, ThreadPoolExecutor(THREADS) as pool:
            for found in pool.map(lambda group: [learned(columns.get(place)) for place in group], groups):
                for content in found:
                    known.put(at, content)
                    at += 1
                advance(len(found))
        if index is not None:
            index.keep(known)
    for name in ("digests", "kept", "sizes"):
        getattr(facts, name)[places] = getattr(known, name)
    facts.problems |= {int(places[at]): why for at, why in known.problems.items()}
