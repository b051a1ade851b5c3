"""The modules of the Inception family as rows: branches, and stages made of them. No TensorFlow here.

`rows` explains the format of rows. Figures and tables are those of the papers in `tables`.
"""

from dataclasses import replace

from kerascnn.architectures.rows import Chain, Residual

AVG, AVG_ZEROS = ("avg", 3), ("avg", 3, 1, "zeros")
POOL, POOL_CEIL, POOL_VALID = ("max", 3, 2), ("max", 3, 2, "ceil"), ("max", 3, 2, "valid")


def side_by_side(one: int, three: int) -> Chain:
    """1x1 beside 3x3 (Zhang et al. 2017, figure 3)."""
    return ((one, 1),), ((three, 3),)


def down(filters: int) -> Chain:
    """A 3x3 convolution of stride 2 beside a pooling (Zhang et al. 2017, figure 3)."""
    return ((filters, 3, 2),), (POOL,)


def v1(one: int, reduce3: int, three: int, reduce5: int, five: int, pooled: int, *, kernel: int = 5) -> Chain:
    """A module of GoogLeNet: one row of its table 1."""
    return ((one, 1),), ((reduce3, 1), (three, 3)), ((reduce5, 1), (five, kernel)), (("max", 3), (pooled, 1))


def googlenet(kernel: int) -> tuple[Chain, ...]:
    """Stages of GoogLeNet (table 1), with 5x5 kernels or torchvision's 3x3, and its last pooling."""
    last = POOL_CEIL if kernel == 5 else ("max", 2, 2, "ceil")
    rows3 = (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)
    rows4 = (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    )
    rows5 = (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)
    stage3, stage4, stage5 = (tuple(v1(*row, kernel=kernel) for row in rows) for rows in (rows3, rows4, rows5))
    return stage3, (POOL_CEIL, *stage4), (last, *stage5)


def bn(one: int, reduce3: int, three: int, reduce33: int, three3: int, pooled: int, pool: Chain = AVG_ZEROS) -> Chain:
    """A module of BN-Inception: one row of its figure 5."""
    return ((one, 1),), ((reduce3, 1), (three, 3)), ((reduce33, 1), (three3, 3), (three3, 3)), (pool, (pooled, 1))


def bn_down(reduce3: int, three: int, reduce33: int, three3: int) -> Chain:
    """A reduction of BN-Inception (Ioffe and Szegedy 2015, figure 5: 3c and 4e)."""
    return ((reduce3, 1), (three, 3, 2)), ((reduce33, 1), (three3, 3), (three3, 3, 2)), (POOL_CEIL,)


def v3(average: Chain) -> tuple[Chain, ...]:
    """Stages of Inception v3 (table 1, figures 5, 6, 7 and 10); libraries differ in the average pooling."""

    def a(pooled: int) -> Chain:
        return ((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), (average, (pooled, 1))

    def b(c: int) -> Chain:
        twice = (c, 1), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7))
        return ((192, 1),), ((c, 1), (c, (1, 7)), (192, (7, 1))), twice, (average, (192, 1))

    split = ((384, (1, 3)),), ((384, (3, 1)),)
    c = ((320, 1),), ((384, 1), split), ((448, 1), (384, 3), split), (average, (192, 1))
    to17 = ((384, 3, 2, "valid"),), ((64, 1), (96, 3), (96, 3, 2, "valid")), (POOL_VALID,)
    seven = (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, "valid")
    to8 = ((192, 1), (320, 3, 2, "valid")), seven, (POOL_VALID,)
    return (a(32), a(64), a(64)), (to17, b(128), b(160), b(160), b(192)), (to8, c, c)


def v4() -> tuple[Chain, ...]:
    """Stages of Inception v4 (figures 4 to 9)."""
    a = ((96, 1),), ((64, 1), (96, 3)), ((64, 1), (96, 3), (96, 3)), (AVG, (96, 1))
    twice = (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))
    b = ((384, 1),), ((192, 1), (224, (1, 7)), (256, (7, 1))), twice, (AVG, (128, 1))
    split = ((256, (1, 3)),), ((256, (3, 1)),)
    c = ((256, 1),), ((384, 1), split), ((384, 1), (448, (3, 1)), (512, (1, 3)), split), (AVG, (256, 1))
    to17 = ((384, 3, 2, "valid"),), ((192, 1), (224, 3), (256, 3, 2, "valid")), (POOL_VALID,)
    seven = (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2, "valid")
    to8 = ((192, 1), (192, 3, 2, "valid")), seven, (POOL_VALID,)
    return 4 * (a,), (to17, *7 * (b,)), (to8, *3 * (c,))


def inception_resnet_v1() -> tuple[Chain, ...]:
    """Stages of Inception-ResNet v1 (figures 10 to 13), five, ten and five blocks as in the paper."""
    a = Residual(branches=(((32, 1),), ((32, 1), (32, 3)), ((32, 1), (32, 3), (32, 3))), scale=0.17)
    b = Residual(branches=(((128, 1),), ((128, 1), (128, (1, 7)), (128, (7, 1)))), scale=0.1)
    c = Residual(branches=(((192, 1),), ((192, 1), (192, (1, 3)), (192, (3, 1)))), scale=0.2)
    to17 = ((384, 3, 2, "valid"),), ((192, 1), (192, 3), (256, 3, 2, "valid")), (POOL_VALID,)
    twice = (256, 1), (256, 3), (256, 3, 2, "valid")
    to8 = ((256, 1), (384, 3, 2, "valid")), ((256, 1), (256, 3, 2, "valid")), twice, (POOL_VALID,)
    return 5 * (a,), (to17, *10 * (b,)), (to8, *5 * (c,))


def inception_resnet_v2() -> tuple[Chain, ...]:
    """Stages of Inception-ResNet v2 as its authors released it (TF-slim, Keras, timm), not the paper's 5, 10 and 5 blocks."""
    first = ((96, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3)), (AVG, (64, 1))
    a = Residual(branches=(((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3))), scale=0.17)
    b = Residual(branches=(((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1)))), scale=0.1)
    c = Residual(branches=(((192, 1),), ((192, 1), (224, (1, 3)), (256, (3, 1)))), scale=0.2)
    to17 = ((384, 3, 2, "valid"),), ((256, 1), (256, 3), (384, 3, 2, "valid")), (POOL_VALID,)
    twice = (256, 1), (288, 3), (320, 3, 2, "valid")
    to8 = ((256, 1), (384, 3, 2, "valid")), ((256, 1), (288, 3, 2, "valid")), twice, (POOL_VALID,)
    last = replace(c, scale=1.0, relu=False)
    return (first, *10 * (a,)), (to17, *20 * (b,)), (to8, *9 * (c,), last, (1536, 1))
