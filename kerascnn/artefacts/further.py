"""Names of the outputs that an artefact may have beside `probabilities`, for those who pass them on."""

from collections.abc import Iterable

IN_SET, KNOWN, KNOWN_SCORE = "in_set", "known", "known_score"
FURTHER = (IN_SET, KNOWN, KNOWN_SCORE)  # bool [n, classes]; bool [n]; float32 [n]


def passed_on(outputs: Iterable[str]) -> list[str]:
    """Returns `probabilities` and those of `FURTHER` that an artefact with these outputs has."""
    there = set(outputs)
    return ["probabilities", *(name for name in FURTHER if name in there)]
