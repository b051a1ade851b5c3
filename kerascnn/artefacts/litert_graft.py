"""Further outputs of a LiteRT file: small float32 operations behind its network, of which no byte of a weight changes.

The converter would compute them in 8 bits with the rest, and sorts outputs by name. So they are converted alone, and their
operations are appended to those of the file.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.lite.tools import flatbuffer_utils as files

from kerascnn.artefacts.file_rules import FileRules
from kerascnn.artefacts.further_graph import computed
from kerascnn.artefacts.litert_metadata import packed


def add(path: Path, rules: FileRules) -> None:
    """Appends the outputs of `rules`, in their order, as the last ones of the file.

    Raises:
        ValueError: The file does not end in a softmax or sigmoid.
    """
    from tensorflow.lite.python import schema_py_generated as schema

    model = files.read_model(str(path))
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    probabilities = next(each.tensorIndex for each in signature.outputs if each.name == b"probabilities")
    logits = _logits(model, probabilities, schema)
    tail = _tail(rules, int(graph.tensors[probabilities].shape[-1]))
    grafted = _grafted(model, tail, {b"probabilities": probabilities, b"logits": logits})
    for name in rules.outputs:
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name.encode(), grafted[name.encode()]
        signature.outputs.append(entry)
        graph.outputs = np.append(graph.outputs, entry.tensorIndex).astype("int32")
    path.write_bytes(packed(model, path.stat().st_size))


def _tail(rules: FileRules, classes: int) -> Any:
    """Returns the model of the outputs: (probabilities, logits) of one image -> the outputs, by their names."""
    specs = [tf.TensorSpec([1, classes], tf.float32, name) for name in ("probabilities", "logits")]

    def outputs(probabilities, logits):
        return computed(rules, probabilities, logits)

    traced = tf.function(outputs, input_signature=specs, autograph=False).get_concrete_function()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], tf.Module())
    return files.convert_bytearray_to_object(converter.convert())


def _logits(model: Any, probabilities: int, schema: Any) -> int:
    """Returns the float32 tensor of the logits; where they are of 8 bits an operation that makes it is appended."""
    graph, kinds = model.subgraphs[0], schema.BuiltinOperator
    maker = _maker(graph, probabilities)
    if _kind(model, maker) == kinds.DEQUANTIZE:
        maker = _maker(graph, maker.inputs[0])
    if _kind(model, maker) not in (kinds.SOFTMAX, kinds.LOGISTIC):
        raise ValueError("the LiteRT file does not end in a softmax or sigmoid, which further outputs start from")
    logits = int(maker.inputs[0])
    if graph.tensors[logits].type == schema.TensorType.FLOAT32:
        return logits
    tensor, code, operator = schema.TensorT(), schema.OperatorCodeT(), schema.OperatorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = b"logits", graph.tensors[logits].shape, 0, 0
    code.builtinCode = code.deprecatedBuiltinCode = kinds.DEQUANTIZE
    code.version = 2
    graph.tensors.append(tensor)
    model.operatorCodes.append(code)
    operator.opcodeIndex = len(model.operatorCodes) - 1
    operator.inputs, operator.outputs = [logits], [len(graph.tensors) - 1]
    graph.operators.append(operator)
    return len(graph.tensors) - 1


def _maker(graph: Any, tensor: int) -> Any:
    return next(operator for operator in graph.operators if tensor in operator.outputs)


def _kind(model: Any, operator: Any) -> int:
    code = model.operatorCodes[operator.opcodeIndex]
    return max(code.builtinCode, code.deprecatedBuiltinCode)


def _grafted(model: Any, tail: Any, inputs: Mapping[bytes, int]) -> dict[bytes, int]:
    """Appends the operations of `tail` to those of `model`, with these tensors as its inputs; returns its outputs' tensors."""
    graph, twig, signature = model.subgraphs[0], tail.subgraphs[0], tail.signatureDefs[0]
    place = {each.tensorIndex: inputs[each.name] for each in signature.inputs}
    for number, tensor in enumerate(twig.tensors):
        if number in place:
            continue
        content = tail.buffers[tensor.buffer]
        tensor.buffer = 0  # of every file: no content
        if content.data is not None and len(content.data):
            model.buffers.append(content)
            tensor.buffer = len(model.buffers) - 1
        graph.tensors.append(tensor)
        place[number] = len(graph.tensors) - 1
    first = len(model.operatorCodes)
    model.operatorCodes.extend(tail.operatorCodes)
    for operator in twig.operators:
        moved = copy.copy(operator)
        moved.opcodeIndex += first
        moved.inputs = [place.get(int(i), -1) for i in operator.inputs]
        moved.outputs = [place[int(i)] for i in operator.outputs]
        graph.operators.append(moved)
    return {each.name: place[each.tensorIndex] for each in signature.outputs}
