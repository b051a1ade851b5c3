"""Functions for `--arch FILE.py:FUNCTION`, right and wrong."""

import keras
from keras import layers


class Scale(layers.Layer):
    """A layer of its own, which nobody registers."""

    def build(self, input_shape):
        self.scale = self.add_weight(shape=(input_shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


class Forgetful(layers.Layer):
    """Keeps a number that is neither a weight nor in its config."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return super().get_config()


class Counting(layers.Layer):
    """Has a statistic, of which each replica would keep its own."""

    def build(self, input_shape):
        self.seen = self.add_weight(shape=(), initializer="zeros", trainable=False, name="seen")

    def call(self, x, training=None):
        if training:
            self.seen.assign(self.seen + 1.0)
        return x


class Whole(keras.Model):
    """A network without a graph."""

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.conv, self.dense = layers.Conv2D(4, 3), layers.Dense(num_classes)

    def call(self, x):
        return self.dense(keras.ops.mean(self.conv(x), axis=(1, 2)))

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


def build(input_shape, num_classes, width=1.0):
    x = images = keras.Input(input_shape)
    x = layers.Rescaling(1 / 255)(x)
    for filters in (8, 16):
        x = layers.Conv2D(round(filters * width), 3, padding="same", use_bias=False)(x)
        x = keras.ops.relu(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Add()([x, Scale()(x)])
        x = layers.MaxPooling2D()(x)
    return keras.Model(images, layers.Dense(num_classes)(layers.GlobalAveragePooling2D()(x)))


def nested(input_shape, num_classes):
    body = keras.Sequential(
        [keras.Input(input_shape), layers.Conv2D(8, 3), layers.BatchNormalization(), layers.ReLU()], name="body"
    )
    body.trainable = False
    return keras.Sequential(
        [keras.Input(input_shape), body, layers.GlobalAveragePooling2D(), layers.Dense(num_classes, name="logits")]
    )


def named(input_shape, num_classes):
    x = images = keras.Input(input_shape)
    x = layers.Conv2D(8, 3, strides=2, name="stage1")(x)
    x = layers.Conv2D(8, 3, strides=2, activation="relu", name="pool")(x)
    return keras.Model(images, layers.Dense(num_classes)(layers.Flatten(name="logits")(x)))


def whole(input_shape, num_classes):
    model = Whole(num_classes)
    model(keras.Input(input_shape))
    return model


def counting(input_shape, num_classes):
    return _flat(input_shape, Counting(), layers.Dense(num_classes))


def raises(input_shape, num_classes):
    return 1 / (num_classes - num_classes)


def nothing(input_shape, num_classes):
    return None


def unbuilt(input_shape, num_classes):
    return keras.Sequential([layers.Flatten(), layers.Dense(num_classes)])


def two_outputs(input_shape, num_classes):
    images = keras.Input(input_shape)
    x = layers.Dense(num_classes)(layers.Flatten()(images))
    return keras.Model(images, [x, x * 2])


def wrong_input(input_shape, num_classes):
    return _flat((16, 16, 3), layers.Dense(num_classes))


def wrong_output(input_shape, num_classes):
    return _flat(input_shape, layers.Dense(num_classes + 1))


def integers(input_shape, num_classes):
    images = keras.Input(input_shape, dtype="uint8")
    return keras.Model(images, layers.Dense(num_classes)(layers.Flatten()(keras.ops.cast(images, "float32"))))


def classes(input_shape, num_classes):
    images = keras.Input(input_shape)
    return keras.Model(images, keras.ops.cast(layers.Dense(num_classes)(layers.Flatten()(images)), "int32"))


def softmax(input_shape, num_classes):
    return _flat(input_shape, layers.Dense(num_classes, activation="softmax"))


def hidden_softmax(input_shape, num_classes):
    images = keras.Input(input_shape)
    x = layers.Dense(num_classes)(layers.Flatten()(images))
    return keras.Model(images, keras.ops.softmax(x) * 1.0)


def not_finite(input_shape, num_classes):
    images = keras.Input(input_shape)
    return keras.Model(images, layers.Dense(num_classes)(keras.ops.log(layers.Flatten()(images) - 300)))


def anonymous(input_shape, num_classes):
    return _flat(input_shape, layers.Lambda(lambda x: x / 2), layers.Dense(num_classes))


def forgetful(input_shape, num_classes):
    return _flat(input_shape, Forgetful(0.001), layers.Dense(num_classes))


def _flat(input_shape, *rest):
    return keras.Sequential([keras.Input(input_shape), layers.Flatten(), *rest])


not_a_function = 3
