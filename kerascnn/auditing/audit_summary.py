"""What an audit found as plain data: audit.json, the CSV files, and lines for the screen. No TensorFlow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from kerascnn.auditing import leaks
from kerascnn.auditing.audit_directory import AuditDirectory
from kerascnn.auditing.auditing import Audited, of_skipped
from kerascnn.auditing.findings import KINDS
from kerascnn.auditing.suspects import Suspects
from kerascnn.cli.escaping import one_line
from kerascnn.data.corrections import relabelled
from kerascnn.runs import now, shown_command

SHOWN = 5  # names per line of the screen


def odd_images(found: Audited) -> list[tuple[str, str, str]]:
    """Returns (id, kind, details) of every finding about a single image, by kind."""
    rows = [*of_skipped(found.skipped), *((found.ids[one.place], one.kind, one.detail) for one in found.odd)]
    return sorted(rows, key=lambda row: (list(KINDS).index(row[1]), row[0]))


def by_kind(found: Audited) -> dict[str, int]:
    """Returns the number of images of each kind of finding, in the order of KINDS; kinds without images are left out."""
    counts = Counter(kind for _, kind, _ in odd_images(found))
    return {kind: counts[kind] for kind in KINDS if counts[kind]}


def class_counts(found: Audited) -> dict[str, dict[str, int]]:
    """Returns the number of images of each class by split."""
    names, parts = found.splits.class_names, found.splits.parts()
    counts = {
        part.name: part.labels.sum(axis=0) if part.labels.ndim == 2 else np.bincount(part.labels, minlength=len(names))
        for part in parts
    }
    return {name: {split: int(count[place]) for split, count in counts.items()} for place, name in enumerate(names)}


def summary(found: Audited) -> dict[str, Any]:
    """Returns the content of audit.json."""
    splits, leaked = found.splits, found.leaks
    groups = found.copies.groups()
    return {
        "name": splits.name,
        "dataset": found.section.dataset,
        "fingerprint": splits.fingerprint,
        "audited": now(),
        "command": one_line(shown_command()),
        "images": {part.name: len(part) for part in splits.parts()},
        "notes": [*splits.notes, *(note.strip() for note in found.notes)],
        "classes": class_counts(found),
        "findings": by_kind(found),
        "copies": {
            "pairs": leaks.counts(found.copies, found.where),
            "images": len(groups),
            "pictures": len(set(groups.values())),
            "least_alike": found.copies.least,
        },
        "leaks": {"test": sorted(leaked.test), "val": sorted(leaked.val), "test_in_val": sorted(leaked.chosen)},
        "conflicts": [list(pair[:2]) for pair in leaked.conflicts],
        "groups": [one._asdict() for one in found.groups],
        "neighbors": None if found.neighbors is None else [one._asdict() for one in found.neighbors],
        "suspects": None if found.suspects is None else _suspects(found.suspects),
        "run": None if found.run is None else str(found.run.path),
        "excluded": len(found.excluded),
        "failed": bool(leaked),
    }


def _suspects(found: Suspects) -> dict[str, Any]:
    return {
        "judged": found.n,
        "copies_left_out": found.left_out,
        "accuracy": found.accuracy,
        "planted": found.planted,
        "labels": [one._asdict() for one in found.rows],
    }


def tables(found: Audited, directory: AuditDirectory) -> dict[Any, tuple[Sequence[str], Iterable[Sequence[Any]]]]:
    """Returns the header and the rows of each CSV file. Ids stand there as they are, so that the files can be used."""
    where, labels = found.where, found.labels
    pairs = (
        (
            p.first,
            p.second,
            p.kind,
            where[p.first],
            where[p.second],
            labels[p.first],
            labels[p.second],
            f"{p.alike:.4f}",
        )
        for p in found.pairs
    )
    suspects = () if found.suspects is None else found.suspects.rows
    before = [(name, row.label, row.given, "", "") for name, row in relabelled(found.section).items()]
    listed = [(s.id, s.suggested, s.given, f"{s.quality:.4f}", f"{s.probability:.4f}") for s in suspects]
    return {
        directory.exclude_file: (("path", "reason"), found.excluded),
        directory.relabel_file: (
            ("path", "label", "given", "quality", "probability"),
            [*(row for row in before if row[0] not in {s.id for s in suspects}), *listed],
        ),
        directory.findings_file: (
            ("path", "kind", "detail", "split", "label"),
            ((name, kind, text, where.get(name, ""), labels.get(name, "")) for name, kind, text in odd_images(found)),
        ),
        directory.pairs_file: (
            ("path", "copy", "kind", "split", "split_of_copy", "label", "label_of_copy", "alike"),
            pairs,
        ),
    }


def lines(found: Audited) -> Iterator[str]:
    """Yields the result for the screen."""
    odd = odd_images(found)
    for kind, count in by_kind(found).items():
        names = [name for name, of, _ in odd if of == kind]
        yield f"{KINDS[kind].title:<20} {count:>6,}  {_some(names)}"
    total = leaks.counts(found.copies, found.where)
    for kind, title in (("exact", "equal pixels"), ("near", "near-copies"), ("mirrored", "mirrored copies")):
        places = total.get(kind, {})
        shown_places = ", ".join(f"{count:,} {place}" for place, count in sorted(places.items()))
        yield f"{title:<20} {sum(places.values()):>6,}  pairs{': ' if places else ''}{shown_places}"
    yield from _leak_lines(found)
    for one in found.groups:
        straddling = f", {one.straddling:,} in more than one split" if one.straddling else ""
        yield f"{'groups by name':<20} {one.groups:>6,}  of {one.images:,} images{straddling}: --group-by '{one.pattern}'"
    if found.neighbors is not None:
        yield f"{'feature neighbors':<20} {len(found.neighbors):>6,}  pairs that are no copies by their pixels"
    if found.suspects is not None:
        yield from _suspect_lines(found.suspects)


def _leak_lines(found: Audited) -> Iterator[str]:
    leaked, parts = found.leaks, {part.name: len(part) for part in found.splits.parts()}
    yield f"{'test leaks':<20} {len(leaked.test):>6,}  of {parts.get('test', 0):,} test images have a copy in train"
    if leaked.val or leaked.chosen:
        yield f"{'val leaks':<20} {len(leaked.val):>6,}  val images have a copy in train; {len(leaked.chosen):,} of test in val"
    names = list(dict.fromkeys(f"{pair.first} = {pair.second}" for pair in leaked.conflicts))
    yield f"{'label conflicts':<20} {len(names):>6,}  {_some(names, 2) or 'copies with different labels'}"


def _suspect_lines(found: Suspects) -> Iterator[str]:
    names = [f"{one.id}: {one.given}, rather {one.suggested}" for one in found.rows]
    yield f"{'suspect labels':<20} {len(names):>6,}  of {found.n:,} judged{'; ' if names else ''}{_some(names, 2)}"
    if found.planted is not None:
        yield f"{'':<28}{trust(found)}"


def trust(found: Suspects) -> str:
    """Returns a sentence about the precision of the suspects."""
    if found.planted is None:
        return "Too few images to estimate how many of these are right."
    planted = found.planted
    weak = (
        f" The network is right on {found.accuracy:.0%} of all: many may be its own mistakes."
        if not found.useful
        else ""
    )
    return (
        f"Of {planted['share']:.0%} planted errors ({planted['images']:,} of {found.n:,} labels, {planted['rounds']} times)"
        f" {planted['recall']:.0%} are found, and at least {planted['precision']:.0%} of the labels listed then are wrong.{weak}"
    )


def _some(names: Sequence[str], most: int = SHOWN) -> str:
    more = " ..." if len(names) > most else ""
    return ", ".join(one_line(name) for name in names[:most]) + more
