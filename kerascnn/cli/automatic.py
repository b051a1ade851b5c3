"""Settings that are found by measuring: `--lr find`, `--batch-size auto` and `--epochs auto --budget 30m`. No TensorFlow."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from kerascnn.errors import UserError

# Flag -> the word after it that asks to find its value, and the field of `Automatic`.
_WORDS = {"--lr": ("find", "lr"), "--batch-size": ("auto", "batch_size"), "--epochs": ("auto", "epochs")}
_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0}


@dataclass(frozen=True)
class Automatic:
    """Which settings are found before a run is named.

    Attributes:
        lr: Whether the learning rate is.
        batch_size: Whether the batch size is.
        epochs: Whether the number of epochs is.
        budget: With `epochs` the seconds that the training may take, else None.
    """

    lr: bool = False
    batch_size: bool = False
    epochs: bool = False
    budget: float | None = None

    def __bool__(self) -> bool:
        return self.lr or self.batch_size or self.epochs

    @classmethod
    def taken_from(cls, argv: Sequence[str]) -> tuple["Automatic", list[str]]:
        """Returns what `argv` asks to find, and the other words."""
        found: dict[str, bool] = {}
        rest = list(argv)
        for flag, (word, field) in _WORDS.items():
            plain = [word_.replace("_", "-") for word_ in rest]
            for i in range(len(rest) - 1, -1, -1):
                if plain[i] == flag and rest[i + 1 : i + 2] == [word]:
                    del rest[i : i + 2]
                    found[field] = True
                elif plain[i] == f"{flag}={word}":
                    del rest[i]
                    found[field] = True
        return cls(**found), rest

    def within(self, budget: str | None) -> "Automatic":
        """Returns the same with the value of `--budget`.

        Raises:
            UserError: It is not a duration, or one of the two flags lacks the other.
        """
        if self.epochs and budget is None:
            raise UserError("--epochs auto: as many as fit into what time? give --budget 30m")
        if budget is not None and not self.epochs:
            raise UserError("--budget is for --epochs auto, and the epochs are given")
        seconds = None if budget is None else duration_of(budget)
        return Automatic(self.lr, self.batch_size, self.epochs, seconds)


def duration_of(text: str) -> float:
    """Returns the seconds of a duration such as 90s, 30m, 2h or 1h30m.

    Raises:
        UserError: It is not one.
    """
    parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not seconds:
        raise UserError(f"--budget: expected a duration such as 90s, 30m or 1h30m, got {text!r}")
    return seconds
