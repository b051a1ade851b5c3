"""Private names of TensorFlow 2.21."""

import tensorflow as tf
from tensorflow.python.eager import context
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.ops import control_flow_util
from tensorflow.python.util import _pywrap_util_port


def under_xla() -> bool:
    """Whether what is traced now will be compiled by XLA."""
    return bool(control_flow_util.GraphOrParentsInXlaContext(tf.compat.v1.get_default_graph()))


def onednn_on() -> bool:
    """Whether this process runs oneDNN's CPU kernels."""
    return bool(_pywrap_util_port.IsMklEnabled())


def started() -> bool:
    """Whether this process has run an op, or looked for devices: from then on it has threads, which a fork loses."""
    present = context.context_safe()
    return present is not None and (present._initialized or present._physical_devices is not None)


def called_graph(graph: tf.Graph, call: tf.Operation) -> tf.Graph:
    """The graph of the function that `call`, a PartitionedCall of `graph`, runs."""
    return graph._get_function(call.get_attr("f").name).graph


def with_constants(traced):
    """The graph of a concrete function whose variables are constants, as other programs read it: a GraphDef."""
    return convert_variables_to_constants_v2(traced).graph.as_graph_def()
