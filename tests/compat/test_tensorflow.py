"""Canaries: each fails where TensorFlow has changed what kerascnn/compat/tensorflow.py relies on."""

import pytest
import tensorflow as tf

from kerascnn.compat import tensorflow as compat

BROKE = f"TensorFlow {tf.__version__} has changed "


@pytest.mark.parametrize("jit", [True, False])
def test_tracing_for_xla_is_noticed(jit: bool) -> None:
    found = []
    tf.function(lambda x: found.append(compat.under_xla()) or x, jit_compile=jit)(tf.zeros(1))
    assert set(found) == {jit}, BROKE + "control_flow_util.GraphOrParentsInXlaContext"


def test_onednn_is_a_yes_or_no() -> None:
    assert compat.onednn_on() in (True, False), BROKE + "_pywrap_util_port.IsMklEnabled"


def test_the_graph_of_a_call_is_found() -> None:
    inner = tf.function(lambda x: x @ x)
    outer = tf.function(lambda x: inner(x)).get_concrete_function(tf.TensorSpec((2, 2))).graph
    (call,) = [op for op in outer.get_operations() if op.type in ("PartitionedCall", "StatefulPartitionedCall")]
    types = [op.type for op in compat.called_graph(outer, call).get_operations()]
    assert "MatMul" in types, BROKE + "Graph._get_function"


def test_variables_become_constants() -> None:
    variable = tf.Variable([1.0, 2.0])
    traced = tf.function(lambda x: x + variable).get_concrete_function(tf.TensorSpec((2,)))
    kinds = {node.op for node in compat.with_constants(traced).node}
    assert "Const" in kinds, BROKE + "convert_variables_to_constants_v2"
    assert not kinds & {"ReadVariableOp", "VarHandleOp"}, BROKE + "convert_variables_to_constants_v2"
