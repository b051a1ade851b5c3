"""What the README and the model card of an export say of its prediction sets and of unknown images. No TensorFlow."""

from collections.abc import Mapping, Sequence
from typing import Any

from kerascnn.cli.escaping import as_markdown


def section(metadata: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the section of the README, or nothing where the artefacts have no further outputs."""
    kept = [row for row in rows if row["passed"] and "trust" in row]
    if not kept:
        return []
    parts = ["## Prediction sets and unknown images"]
    if "sets" in metadata["trust"]:
        parts += [_sets(metadata["trust"]["sets"]), _table_of_sets(kept)]
    if "unknown" in metadata["trust"]:
        parts += [_unknown(), _table_of_unknown(kept)]
    if any(row["artefact"] == "keras" for row in kept):
        parts.append(
            "`model.keras` returns logits as ever: `kerascnn` computes these outputs from assets/metadata.json."
        )
    return ["\n\n".join(parts)]


def outputs(metadata: Mapping[str, Any], classes: int) -> str:
    """Returns the rows of the table of outputs, or nothing."""
    trust = metadata.get("trust", {})
    lines = []
    if "sets" in trust:
        lines.append(f"| `in_set` | the first two | bool | [batch, {classes}] | the classes in the prediction set |")
    if "unknown" in trust:
        lines.append("| `known` | the first two | bool | [batch] | whether the image resembles the training images |")
        lines.append(
            "| `known_score` | the first two | float32 | [batch] | the largest logit: `known` from a threshold on |"
        )
    return "".join(f"\n{line}" for line in lines)


def card(metadata: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Returns the lines of the model card, or nothing."""
    trust, lines = metadata.get("trust", {}), []
    if "sets" in trust:
        lines.append(f"- **Prediction sets** (`in_set`): {_set_sentence(trust['sets'])}.")
    if "unknown" in trust:
        lines.append(f"- **Unknown images** (`known`): {_unknown_sentence(trust['unknown'])}.")
    for row in rows:
        if row["passed"] and (own := _own(row)):
            lines.append(f"- {own}")
    return ["## Trust", "", *lines, ""] if lines else []


def _own(row: Mapping[str, Any]) -> str:
    """Returns what an artefact with thresholds of its own does, or nothing."""
    trust = row.get("trust", {})
    said = []
    if trust.get("sets", {}).get("own"):
        said.append(_set_sentence(trust["sets"]))
    if trust.get("unknown", {}).get("own"):
        said.append(_unknown_sentence(trust["unknown"]))
    return f"{row['file']} has thresholds from its own answers: {'; '.join(said)}." if said else ""


def _set_sentence(sets: Mapping[str, Any]) -> str:
    return f"{_asked(sets)}, threshold from {_images(sets)}; {_covered(sets)} ({as_markdown(sets['why'])})"


def _asked(sets: Mapping[str, Any]) -> str:
    if sets["score"] == "labels":
        return f"at most {1 - sets['coverage']:.0%} of an image's labels missed, asked"
    each = ", a threshold for each class" if "by_class" in sets else ""
    return f"{sets['coverage']:.0%} asked ({sets['score']}{each})"


def _images(facts: Mapping[str, Any]) -> str:
    return f"{facts['n']:,} images of {as_markdown(facts['from'])}"


def _covered(sets: Mapping[str, Any]) -> str:
    if "measured" not in sets:
        return "not measured: there were no test images"
    found = sets["measured"]
    one = found.get("coverage", found.get("missed"))
    what = "of test images covered" if "coverage" in found else "of labels missed on test"
    return f"{_interval(one)} {what} (n = {one['n']:,}), {found['size']['value']:.2f} classes per image"


def _interval(one: Mapping[str, Any]) -> str:
    return f"{one['value']:.2%} [{one['low']:.2%}, {one['high']:.2%}]"


def _unknown_sentence(unknown: Mapping[str, Any]) -> str:
    said = f"{unknown['share']:.0%} accepted of images like the run's own, asked; threshold from {_images(unknown)}"
    if "accepted" not in unknown:
        return said
    right = unknown["accepted"]
    said += f"; {_interval(right)} of test accepted (n = {right['n']:,})"
    if "rejected" not in unknown:
        return said
    wrong = unknown["rejected"]
    return (
        f"{said}, {_interval(wrong)} of the images of other classes in the folder {as_markdown(unknown['folder'])} rejected"
        f" (n = {wrong['n']:,})"
    )


def _sets(sets: Mapping[str, Any]) -> str:
    return (
        f"`in_set` marks the classes in an image's prediction set: {_asked(sets)}. The coverage is an average over images like"
        f" those of the threshold, not a promise for each image or class ({as_markdown(sets['why'])})."
    )


def _table_of_sets(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| artefact | threshold from | on test | as the run | otherwise |", "|---|---|---|--:|--:|"]
    for row in rows:
        sets, proof = row["trust"]["sets"], row["further"]["in_set"]
        whose = ", its own answers" if sets.get("own") else ""
        lines.append(
            f"| {row['artefact']} | {_images(sets)}{whose} | {_covered(sets)} | {proof['same']:.2%} | {proof['otherwise']} |"
        )
    return "\n".join(lines)


def _unknown() -> str:
    return (
        "`known` is false for images whose largest logit, `known_score`, is below the threshold: they resemble the training"
        " images little, and their classes should not be trusted."
    )


def _table_of_unknown(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = ["| artefact | threshold from | test accepted | others rejected | as the run | otherwise |"]
    lines.append("|---|---|---|---|--:|--:|")
    for row in rows:
        unknown, proof = row["trust"]["unknown"], row["further"]["known"]
        whose = ", its own answers" if unknown.get("own") else ""
        shares = " | ".join(
            f"{_interval(one)} (n = {one['n']:,})" if (one := unknown.get(key)) else "not measured"
            for key in ("accepted", "rejected")
        )
        lines.append(
            f"| {row['artefact']} | {_images(unknown)}{whose} | {shares} | {proof['same']:.2%} | {proof['otherwise']} |"
        )
    return "\n".join(lines)
