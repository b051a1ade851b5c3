"""An image of a list, in a file of its own or in one that holds many, as a line of JSON. No TensorFlow."""

from __future__ import annotations

import json
from typing import NamedTuple


class ListedImage(NamedTuple):
    """An image of a list.

    Attributes:
        name: What it is called: its path, or one below that of its shard or table.
        file: The file that holds it; "" if that is its name.
        at: Offset and size of its bytes in a shard, or its row in a Parquet file, or nothing for a file of its own.
    """

    name: str
    file: str = ""
    at: tuple[int, ...] = ()

    def line(self) -> str:
        """Returns it as a line of JSON, which keeps names that are not UTF-8."""
        return json.dumps([self.name, self.file, *self.at] if self.file else self.name) + "\n"

    @classmethod
    def of_line(cls, line: str) -> ListedImage:
        """Returns the image of a line.

        Raises:
            ValueError: It is no such line.
        """
        found = json.loads(line)
        if isinstance(found, str):
            return cls(found)
        name, file, *at = found
        return cls(name, file, tuple(at))
