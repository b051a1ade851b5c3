"""The model that MLflow keeps beside a SavedModel: a script that needs TensorFlow and MLflow, and not kerascnn."""

from typing import Any

import mlflow
import numpy as np
import tensorflow as tf


class Served(mlflow.pyfunc.PythonModel):
    """`images`, float32 [n, height, width, 3] in 0-255 -> `probabilities`, float32 [n, classes]."""

    def load_context(self, context: Any) -> None:
        """Loads the SavedModel."""
        self.loaded = tf.saved_model.load(context.artifacts["savedmodel"])

    def predict(self, context: Any, model_input: Any, params: dict[str, Any] | None = None) -> np.ndarray:
        """Returns the probabilities of images, given as an array or as {"images": array}."""
        images = model_input["images"] if isinstance(model_input, dict) else model_input
        return self.loaded.signatures["images"](images=tf.constant(images, tf.float32))["probabilities"].numpy()


mlflow.models.set_model(Served())
