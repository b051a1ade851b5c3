"""Residual blocks whose normalizations stand in front of the convolutions (He et al., 2016). Channels-last."""

import keras
from keras import layers

from kerascnn.layers.chains import build_chain
from kerascnn.layers.conv import Conv2D
from kerascnn.layers.norm import BNReLU
from kerascnn.layers.residual import ResidualBlock


class _PreActivationBlock(ResidualBlock):
    """A block whose normalizations stand in front of its convolutions; a projection shares the first one."""

    def _norm(self, name):
        return BNReLU(momentum=self.momentum, epsilon=self.epsilon, dtype=self.dtype_policy, name=name)

    def _plain(self, name, filters, kernel_size, strides=1, **options):
        options = {"kernel_initializer": "he_normal", "use_bias": False, **options}
        return Conv2D(filters, kernel_size, strides, "symmetric", dtype=self.dtype_policy, name=name, **options)

    def _last(self, name, kernel_size):
        # A gamma of 0 would stand before a ReLU, which passes no gradient at 0: the branch could never start to learn.
        initializer = "zeros" if self.zero_gamma else "he_normal"
        return self._plain(name, self.filters, kernel_size, use_bias=self.use_bias, kernel_initializer=initializer)

    def _projection(self, strides):
        return self._plain("projection", self.filters, 1, strides, use_bias=self.use_bias)

    def _build_ends(self, input_shape):
        ends = super()._build_ends(input_shape)
        self.projects = not isinstance(self.projection, layers.Identity)
        return ends


@keras.saving.register_keras_serializable(package="kerascnn")
class PreActBasicBlock(_PreActivationBlock):
    """Two 3x3 convolutions, each behind normalization and ReLU, and a shortcut (He et al., 2016, figure 1 b).

    Args:
        **kwargs: Those of `ResidualBlock`; with `use_bias` the last convolution and the projection have one.
    """

    def build(self, input_shape):
        self.norm1 = self._norm("norm1")
        self.conv1 = self._plain("conv1", self.inner, 3, self.strides)
        self.norm2 = self._norm("norm2")
        self.conv2 = self._last("conv2", 3)
        branch = [self.norm1, self.conv1, self.norm2, self.conv2, *self._build_ends(input_shape)]
        build_chain(branch, input_shape)

    def call(self, x):
        active = self.norm1(x)
        branch = self.drop(self.gate(self.conv2(self.norm2(self.conv1(active)))))
        return branch + self.projection(self.pool(active if self.projects else x))


@keras.saving.register_keras_serializable(package="kerascnn")
class PreActBottleneck(_PreActivationBlock):
    """1x1, 3x3 and 1x1 convolutions, each behind normalization and ReLU, and a shortcut (He et al., 2016).

    Args:
        **kwargs: Those of `ResidualBlock`; with `use_bias` the last convolution and the projection have one.
    """

    EXPANSION = 4

    def build(self, input_shape):
        first, second = self._bottleneck_strides()
        self.norm1 = self._norm("norm1")
        self.conv1 = self._plain("conv1", self.inner, 1, first)
        self.norm2 = self._norm("norm2")
        self.conv2 = self._plain("conv2", self.inner, 3, second, groups=self.groups)
        self.norm3 = self._norm("norm3")
        self.conv3 = self._last("conv3", 1)
        branch = [self.norm1, self.conv1, self.norm2, self.conv2, self.norm3, self.conv3]
        build_chain([*branch, *self._build_ends(input_shape)], input_shape)

    def call(self, x):
        active = self.norm1(x)
        branch = self.conv3(self.norm3(self.conv2(self.norm2(self.conv1(active)))))
        return self.drop(self.gate(branch)) + self.projection(self.pool(active if self.projects else x))
