"""One network of several: its probabilities are the mean of theirs."""

from collections.abc import Sequence

import keras

from kerascnn.layers import EnsembleLogits

MEMBER = "member{}_"  # prefix of the layers of one member, counted from 1


def ensemble(members: Sequence[keras.Model], activation: str = "softmax") -> keras.Model:
    """Returns the network of N members: the same pixels in, the logits of the mean of their probabilities out.

    It is one flat graph, whose layers are called `member1_stem`, ..., so that it is saved, folded and exported like any other.

    Args:
        members: Networks of `models.build` for the same images and classes, in float32. They are not changed.
        activation: softmax, or sigmoid for several labels per image.

    Raises:
        ValueError: Fewer than two members, or different images or classes.
    """
    shapes = {(member.input_shape, member.output_shape) for member in members}
    if len(members) < 2 or len(shapes) > 1:
        raise ValueError(f"expected two networks or more of one form, got {len(members)} of {len(shapes)} forms")
    images = keras.Input(members[0].input_shape[1:], name="images", dtype="float32")
    copies = [_renamed(member, images, MEMBER.format(i)) for i, member in enumerate(members, 1)]
    logits = keras.layers.Concatenate(dtype="float32", name="member_logits")([copy.output for copy in copies])
    logits = EnsembleLogits(len(members), activation, dtype="float32", name="logits")(logits)
    found = keras.Model(images, logits, name="ensemble")
    for copy, member in zip(copies, members, strict=True):
        copy.set_weights(member.get_weights())
    return found


def members_of(model: keras.Model) -> int:
    """Returns the number of members of an ensemble; 1 for any other network."""
    last = model.layers[-1]
    return int(last.members) if isinstance(last, EnsembleLogits) else 1


def features_of(model: keras.Model):
    """Returns the features of a network, [batch, channels]: the output of its layer `pool`, averaged over the image where that
    has not been done, or those of all members of an ensemble side by side.
    """
    features = _pooled(model)
    if len(features.shape) == 4:  # inception_article averages scores, not features
        return keras.layers.GlobalAveragePooling2D(dtype="float32", name="features")(features)
    if len(features.shape) == 3:  # tokens
        return keras.layers.GlobalAveragePooling1D(dtype="float32", name="features")(features)
    return features


def _pooled(model: keras.Model):
    count = members_of(model)
    if count == 1:
        return model.get_layer("pool").output
    return keras.layers.Concatenate(dtype="float32", name="features")(
        [model.get_layer(f"{MEMBER.format(i)}pool").output for i in range(1, count + 1)]
    )


def _renamed(member: keras.Model, images, prefix: str) -> keras.Model:
    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        return layer.__class__.from_config({**layer.get_config(), "name": prefix + layer.name})

    return keras.models.clone_model(member, input_tensors=images, clone_function=copy)
