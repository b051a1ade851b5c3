"""The page of an audit: counts, pairs of copies side by side, odd images, suspect labels. No TensorFlow."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

import numpy as np
from PIL import Image

from kerascnn.auditing import leaks
from kerascnn.auditing.audit_directory import AuditDirectory
from kerascnn.auditing.audit_summary import by_kind, class_counts, odd_images, trust
from kerascnn.auditing.auditing import Audited
from kerascnn.auditing.findings import KINDS
from kerascnn.cli import flags
from kerascnn.config import Config, Data
from kerascnn.data.copies import CopyPair
from kerascnn.data.transcode import decoded, upright_rgb
from kerascnn.report.images import SIDE
from kerascnn.report.page import AuditPage, ImageRow, ImageRows, ShownImage, Statement
from kerascnn.report.report_tables import Cell, Column, ReportTable
from kerascnn.runs import shown_command

# Rows of pictures, so that the page is smaller than a megabyte.
LEAKING, WITHIN, NEIGHBORS, SUSPECTS, OF_A_KIND = 14, 8, 6, 12, 4
NAMES = 30  # rows of a table of files


def page(found: Audited, directory: AuditDirectory) -> AuditPage:
    """Returns the page of an audit."""
    parts = ", ".join(f"{len(part):,} {part.name}" for part in found.splits.parts() if len(part))
    galleries = (*_copies(found), *_neighbors(found), *_suspects(found), *_odd(found))
    return AuditPage(
        name=f"Audit of {found.splits.name}",
        about=f"{found.section.dataset}: {parts}; {len(found.splits.class_names)} classes",
        verdict=_verdict(found),
        tables=tuple(table for table in _tables(found) if table is not None),
        galleries=tuple(gallery for gallery in galleries if gallery.rows),
        repeat=(shown_command(), *following(found, directory)),
    )


def following(found: Audited, directory: AuditDirectory) -> list[str]:
    """Returns the commands that use the result, after its files were looked at and edited."""
    changed: dict[str, str] = {"exclude": str(directory.exclude_file)} if found.excluded else {}
    if found.suspects is not None and found.suspects.rows and found.suspects.useful:
        changed["relabel"] = str(directory.relabel_file)
    if found.groups and found.groups[0].straddling:
        changed["group_by"] = found.groups[0].pattern
    if not changed:
        return []
    fields = {name: getattr(found.section, name) for name in Data.model_fields}
    config = Config().replace(data={**fields, **changed})
    return [f"python -m kerascnn.fit {shlex.join(flags.words(config, Config()))}"]


def _verdict(found: Audited) -> Statement:
    leaked, tested = found.leaks, sum(len(part) for part in found.splits.parts() if part.name == "test")
    said = []
    if leaked.test:
        share = f" ({len(leaked.test) / tested:.1%})"
        said.append(f"{len(leaked.test):,} of {tested:,} test images{share} have a copy in train")
    if leaked.conflicts:
        said.append(f"{len(leaked.conflicts):,} pairs of copies have different labels")
    headline = (
        " and ".join(said) + "." if said else "No test image has a copy in train, and no copies differ in their labels."
    )
    sentences = (
        ["A score on such a test set is too high: a network recognizes what it has seen."] if leaked.test else []
    )
    if found.excluded:
        sentences.append(f"exclude.csv names {len(found.excluded):,} images to leave out: look at it, edit it, use it.")
    details = [
        f"Near-copies are pairs whose perceptual hashes differ in at most 10 of 64 bits and whose thumbnails correlate by"
        f" {found.copies.least:.3f} or more."
    ]
    return Statement(headline, tuple(sentences), tuple(details))


def _tables(found: Audited) -> Iterable[ReportTable | None]:
    counts = class_counts(found)
    splits = [part.name for part in found.splits.parts()]
    columns = (Column("class"), *(Column(name, "count") for name in splits))
    rows: tuple[tuple[Cell, ...], ...] = tuple(
        (name, *(row[split] for split in splits)) for name, row in counts.items()
    )
    yield ReportTable("classes", "Classes", columns, rows[:NAMES], _more(rows))
    copies = leaks.counts(found.copies, found.where)
    places = sorted({place for row in copies.values() for place in row})
    titles = {"exact": "equal pixels", "near": "near-copies", "mirrored": "mirrored copies"}
    yield (
        ReportTable(
            "copies",
            "Pairs of copies",
            (Column("kind"), *(Column(place, "count") for place in places)),
            tuple((titles[kind], *(copies.get(kind, {}).get(place, 0) for place in places)) for kind in titles),
        )
        if copies
        else None
    )
    kinds = by_kind(found)
    yield (
        ReportTable(
            "findings",
            "Single images",
            (Column("finding"), Column("images", "count"), Column("what it means")),
            tuple((KINDS[kind].title, count, KINDS[kind].about) for kind, count in kinds.items()),
        )
        if kinds
        else None
    )
    yield ReportTable(
        "groups",
        "Groups that the names suggest",
        (Column("--group-by"), Column("groups", "count"), Column("images", "count"), Column("in several splits", "count"),
         Column("for example")),
        tuple((one.pattern, one.groups, one.images, one.straddling, ", ".join(one.example)) for one in found.groups),
    ) if found.groups else None  # fmt: skip
    yield _files(found)


def _files(found: Audited) -> ReportTable | None:
    """Returns the files that cannot be used."""
    rows = tuple((name, text) for name, kind, text in odd_images(found) if kind in ("undecodable", "truncated"))
    if not rows:
        return None
    return ReportTable("files", "Files that cannot be used", (Column("file"), Column("why")), rows[:NAMES], _more(rows))


def _more(rows: tuple) -> str:
    return f"The first {NAMES} of {len(rows):,}." if len(rows) > NAMES else ""


def _copies(found: Audited) -> Iterable[ImageRows]:
    where, labels = found.where, found.labels
    matter = [
        pair
        for pair in found.pairs
        if where[pair.first] != where[pair.second] or labels[pair.first] != labels[pair.second]
    ]
    across = set(matter)
    rest = [pair for pair in found.pairs if pair not in across]
    shown = tuple(_pair(found, pair, where, labels) for pair in matter[:LEAKING])
    yield ImageRows(_title("Copies across splits or labels", len(matter), LEAKING), "", shown)
    shown = tuple(_pair(found, pair, where, labels) for pair in rest[:WITHIN])
    yield ImageRows(_title("Copies within a split", len(rest), WITHIN), "", shown)


def _pair(found: Audited, pair: CopyPair, where: dict[str, str], labels: dict[str, str]) -> ImageRow:
    kind = {"exact": "equal pixels", "near": "near-copies", "mirrored": "mirrored"}[pair.kind]
    differ = labels[pair.first] != labels[pair.second]
    note = f"{kind}, correlation {pair.alike:.3f}" + (": different labels" if differ else "")
    return ImageRow(note, tuple(_shown(found, name, f"{where[name]}, {labels[name]}") for name in pair[:2]), differ)


def _neighbors(found: Audited) -> Iterable[ImageRows]:
    if found.neighbors is None:
        return
    where, labels = found.where, found.labels
    rows = tuple(
        ImageRow(
            f"distance {pair.distance:.3f}, {pair.ratio:.2f} of that to the next image",
            tuple(_shown(found, name, f"{where[name]}, {labels[name]}") for name in pair[:2]),
            labels[pair.first] != labels[pair.second],
        )
        for pair in found.neighbors[:NEIGHBORS]
    )
    note = "Not counted as copies: look whether they show the same thing, cropped or recolored."
    yield ImageRows(_title("Neighbors in feature space", len(found.neighbors), NEIGHBORS), note, rows)


def _suspects(found: Audited) -> Iterable[ImageRows]:
    if found.suspects is None:
        return
    rows = tuple(
        ImageRow(
            f"{one.given}, rather {one.suggested}",
            (_shown(found, one.id, f"{one.given}: {one.quality:.1%}, {one.suggested}: {one.probability:.1%}"),),
            True,
        )
        for one in found.suspects.rows[:SUSPECTS]
    )
    yield ImageRows(_title("Suspect labels", len(found.suspects.rows), SUSPECTS), trust(found.suspects), rows)


def _odd(found: Audited) -> Iterable[ImageRows]:
    where = found.where
    for kind, of in KINDS.items():
        if kind in ("undecodable", "truncated"):
            continue
        odd = [one for one in found.odd if one.kind == kind]
        rows = tuple(
            ImageRow(one.detail, (_shown(found, found.ids[one.place], where[found.ids[one.place]]),))
            for one in odd[:OF_A_KIND]
        )
        yield ImageRows(_title(f"Images: {of.title}", len(odd), OF_A_KIND), of.about, rows)


def _title(text: str, count: int, most: int) -> str:
    return f"{text}: {count:,}" + (f" (the first {most})" if count > most else "")


def _shown(found: Audited, name: str, text: str) -> ShownImage:
    """Returns an image of the source with its name, read again, as small as it is shown."""
    try:
        stored = found.splits.train.source.stored(found.places[name])
        image = upright_rgb(decoded(stored) if isinstance(stored, bytes) else Image.fromarray(stored))
    except (OSError, ValueError):  # it changed since it was looked at
        image = Image.new("RGB", (SIDE, SIDE), "gray")
    image.thumbnail((SIDE, SIDE))
    return ShownImage(np.asarray(image), name, text)
