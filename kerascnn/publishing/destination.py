"""Where a model is published: hf://USER/NAME or kaggle://USER/NAME."""

import re
from typing import Literal, NamedTuple

from kerascnn.errors import UserError

Hub = Literal["hf", "kaggle"]
_FORM = re.compile(r"(hf|kaggle)://([A-Za-z0-9][\w.-]*)/([A-Za-z0-9][\w.-]*)")
_OURS = re.compile(r"hf://|kaggle://")


class Destination(NamedTuple):
    """A model on a hub.

    Attributes:
        hub: hf (Hugging Face) or kaggle.
        owner: A user or an organization.
        name: Name of the model.
    """

    hub: Hub
    owner: str
    name: str

    @property
    def repository(self) -> str:
        """OWNER/NAME."""
        return f"{self.owner}/{self.name}"

    def __str__(self) -> str:
        return f"{self.hub}://{self.repository}"


def parse(word: str) -> Destination:
    """Returns the destination that a word names.

    Raises:
        UserError: It has another form.
    """
    found = _FORM.fullmatch(word)
    if found is None:
        hint = "" if _OURS.match(word) else "; a folder of your own is what `kerascnn export` writes"
        raise UserError(f"where to? expected hf://USER/NAME or kaggle://USER/NAME, got {word!r}{hint}")
    return Destination(found[1], found[2], found[3])  # type: ignore[arg-type]
