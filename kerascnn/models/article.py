"""The two networks of the comparison article that this project answers, as its text states them.

Convolution, bias and ReLU throughout, max pooling, no normalization. What was mended, since the article's code does not run,
or does not do what its text says:

- Tensors of different channel counts are added: here a 1x1 convolution of x stands in the shortcut (`ArticleResidual`).
- The residual network flattens its last map, which ties it to one image size: here a global average stands before the
  dense layer.
- A wrong channel number enters the convolution behind the Inception module's concatenation: here it is the branches' sum.
- The module's text names kernels 1x1, 1x3, 3x1 and 3x3 and asks for several scales, its code has 3x3 three times: here the
  text's. The pooling branch that the text mentions and the code lacks is left out.
- The Inception network's logits pass through a ReLU and are not pooled: here they are averaged over the image, as they are.

Where the article has a residual's ReLU it stays: F ends in one before the addition, and none follows.
"""

import keras

from kerascnn import layers
from kerascnn.architectures.rows import ArticleInception, ArticleResNet, Chain
from kerascnn.errors import UserError
from kerascnn.layers.article import conv_relu
from kerascnn.models.graph import Options, check_options, check_size, classify, drop_out, named, pixels


def build_resnet(arch: ArticleResNet, name: str, input_shape, num_classes: int, options: Options) -> keras.Model:
    """7x7 convolution, pooling, plain 3x3 convolutions, pooling, residual connections, pooling, classifier."""
    halving = ("max", 2, 2, "valid")
    images, x = _begin(arch, name, input_shape, options, (*arch.stem, halving, halving))
    for i, filters in enumerate(arch.plain, 1):
        x = conv_relu(filters, 3, name=f"stage1_conv{i}")(x)
    x = layers.Pool2D(*halving, name="stage2_pool")(named(x, "stage1"))
    for stage, filters in enumerate(arch.residual, 2):
        x = named(layers.ArticleResidual(filters, name=f"stage{stage}_block1")(x), f"stage{stage}")
    x = layers.Pool2D(*halving, name="last_pool")(x)
    return keras.Model(images, classify(x, arch, num_classes, options), name=name)


def build_inception(arch: ArticleInception, name: str, input_shape, num_classes: int, options: Options) -> keras.Model:
    """7x7 convolution, then stages of modules with a pooling behind each; dropout, 1x1 convolution, global average.

    The layer `pool`, the features, is the last stage's pooling here: the classifier works on a map.
    """
    halving = ("max", 3, 2)
    images, x = _begin(arch, name, input_shape, options, (*arch.stem, *(halving for _ in arch.stages)))
    for stage, modules in enumerate(arch.stages, 1):
        for block, filters in enumerate(modules, 1):
            x = layers.ArticleModule(filters, name=f"stage{stage}_block{block}")(x)
        last = stage == len(arch.stages)
        x = layers.Pool2D(*halving, name="pool" if last else f"stage{stage + 1}_pool")(named(x, f"stage{stage}"))
    x = drop_out(x, arch, options)
    x = layers.Conv2D(num_classes, 1, kernel_initializer="he_normal", dtype="float32", name="scores")(x)
    logits = keras.layers.GlobalAveragePooling2D(dtype="float32", name="logits")(x)
    return keras.Model(images, logits, name=name)


def _begin(arch: ArticleResNet | ArticleInception, name: str, input_shape, options: Options, strided: Chain):
    """The input and the layer `stem` on it, after all checks."""
    check_options(name, options)
    if options.stem == "small":
        raise UserError(f"--stem: {name} has one stem only; expected auto or large, got small")
    check_size(input_shape, strided)
    images, x = pixels(arch, input_shape)
    (filters, kernel, strides), pooling = arch.stem
    x = conv_relu(filters, kernel, strides, name="stem_1")(x)
    return images, named(layers.Pool2D(*pooling, name="stem_2")(x), "stem")
