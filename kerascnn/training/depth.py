"""Learning rates that fall with the distance from the head (`--layer-decay`)."""

from collections.abc import Iterator, Sequence

import keras


def groups(network: keras.Model, head: Sequence[keras.layers.Layer]) -> list[list[keras.Variable]]:
    """Returns the trainable variables of a network but for its head in groups, from the images up.

    The stem is one group, and every block or module is one, as in BEiT (Bao et al., 2022) and timm; in a network of a
    function, every layer with weights.

    Args:
        network: A single-output network.
        head: Its head.
    """
    found: dict[str, list[keras.Variable]] = {}
    for layer in network.layers:
        if layer not in head and layer.trainable_variables:
            name = "stem" if layer.name.startswith("stem") else layer.name
            found.setdefault(name, []).extend(layer.trainable_variables)
    return list(found.values())


def factors(
    network: keras.Model, head: Sequence[keras.layers.Layer], decay: float
) -> Iterator[tuple[list[keras.Variable], float]]:
    """Yields the groups with the factors of their learning rates: `decay` for the last one, and once more for each before.

    The head, and the auxiliary heads, keep the whole rate.
    """
    found = groups(network, head)
    for index, variables in enumerate(found):
        yield variables, decay ** (len(found) - index)
