"""Runs artefacts in a process without kerascnn, as users would; `fresh` starts it as a script.

    python run_artefact.py FORMAT

imports the libraries of FORMAT (savedmodel, litert, onnx, openvino, keras) at once. Then each line of standard input requests one
artefact, as JSON: [FORMAT, ARTEFACT, INPUTS.npz, OUTPUTS.npz]; the reply on standard output is null or the traceback.

Inputs: `images` float32 [n, H, W, 3], and `bytes` with `ends` (the concatenated contents of n files, and the end of each;
only for a SavedModel). Outputs: the probabilities of each, `images` and `bytes`, float32 [n, classes]; where there are further
outputs these by name, as `images/known` and `bytes/known`; `milliseconds`, the times of some calls with the first image; and
`note`, a remark.
"""

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

BATCH = 32
WIDEST = 1e20  # largest scale of an 8-bit range
NOTES: list[str] = []
FURTHER = ("in_set", "known", "known_score")  # as `further.FURTHER`; this script runs without the package
Call = Callable[[Any], dict[str, Any]]
CALLS, WARM, SECONDS = 50, 3, 1.0


def savedmodel(path: str) -> tuple[Call, Call | None, int]:
    """Returns a function of images, a function of files' contents, and the number of images per call.

    Each function returns `probabilities` and the further outputs that there are, by name.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def images(batch: Any) -> dict[str, Any]:
        return _arrays(loaded.signatures["images"](images=tf.constant(batch)))

    def files(batch: Any) -> dict[str, Any]:
        return _arrays(loaded.signatures["serving_default"](image_bytes=tf.constant(batch)))

    return images, files, BATCH


def _arrays(outputs: dict[str, Any]) -> dict[str, Any]:
    """Returns the compared ones of TensorFlow's outputs."""
    return {name: value.numpy() for name, value in outputs.items() if name in _compared(outputs)}


def _compared(names: Iterable[str]) -> list[str]:
    there = set(names)
    return ["probabilities", *(name for name in FURTHER if name in there)]


def litert(path: str) -> tuple[Call, Call | None, int]:
    """See `savedmodel`."""
    interpreter, note = interpreted(path, _cpus())
    if note:
        NOTES.append(note)
    run = interpreter.get_signature_runner()
    wanted = _compared(run.get_output_details())

    def images(batch: Any) -> dict[str, Any]:
        found = run(images=batch)
        return {name: found[name] for name in wanted}

    return images, None, 1


def interpreted(path: str, threads: int) -> tuple[Any, str]:
    """Returns a LiteRT interpreter and a note: XNNPACK's fast kernels run nearly every file.

    Raises:
        ValueError: Its 8-bit ranges cannot be those of a network.
        RuntimeError: It does not run.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        fast = Interpreter(path, num_threads=threads)
        fast.allocate_tensors()
        return fast, ""
    except RuntimeError as error:
        refusal = " ".join(str(error).split())[:200]
    plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    slow = Interpreter(path, num_threads=threads, experimental_op_resolver_type=plain)
    scales = [scale for each in slow.get_tensor_details() for scale in each["quantization_parameters"]["scales"]]
    if max(scales, default=0.0) > WIDEST:  # the plain kernels would abort the process
        raise ValueError(f"its 8-bit ranges are too wide for a network ({refusal}): export it again")
    slow.allocate_tensors()
    return slow, f"runs without XNNPACK, more slowly: {refusal}"


def onnx(path: str) -> tuple[Call, Call | None, int]:
    """See `savedmodel`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _cpus()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    wanted = _compared(value.name for value in session.get_outputs())
    return lambda batch: dict(zip(wanted, session.run(wanted, {"images": batch}), strict=True)), None, BATCH


def openvino(path: str) -> tuple[Call, Call | None, int]:
    """See `savedmodel`."""
    import openvino

    # Some CPUs would compute in 16 bits.
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": _cpus()}
    compiled = openvino.Core().compile_model(path, "CPU", exact)
    wanted = _compared(output.get_any_name() for output in compiled.outputs)

    def images(batch: Any) -> dict[str, Any]:
        found = compiled(batch)
        return {name: found[name].copy() for name in wanted}

    return images, None, BATCH


def keras(path: str) -> tuple[Call, Call | None, int]:
    """See `savedmodel`."""
    import keras
    import tensorflow as tf

    import kerascnn.layers  # noqa: F401 - the file names these classes
    from kerascnn.artefacts import further_graph
    from kerascnn.artefacts.file_rules import FileRules
    from kerascnn.models import functions

    source = Path(path).with_name("network.py")  # of layers of its own
    if source.exists():
        functions.provide(source)
    model = keras.models.load_model(path, compile=False, safe_mode=True)
    # The file ends in logits; metadata.json beside it says whether images have several labels, and the further rules.
    described = Path(path).parent / "assets" / "metadata.json"
    facts = json.loads(described.read_text(encoding="utf-8")) if described.exists() else {}
    activation = "sigmoid" if facts.get("task") == "multi" else "softmax"
    infer = further_graph.of_network(model, FileRules.read(facts.get("trust", {})), activation)
    return lambda batch: _arrays(infer(tf.constant(batch))), None, BATCH


FORMATS = {"savedmodel": savedmodel, "litert": litert, "onnx": onnx, "openvino": openvino, "keras": keras}
# Libraries of each format, whose import takes seconds.
RUNTIMES = {
    "savedmodel": ("tensorflow",),
    "litert": ("ai_edge_litert.interpreter",),
    "onnx": ("onnxruntime",),
    "openvino": ("openvino",),
    "keras": ("kerascnn.layers",),
}


def main(form: str, path: str, inputs: str, outputs: str) -> None:
    """Runs all inputs in batches, then times single images."""
    import numpy as np

    ask_images, ask_files, step = FORMATS[form](path)
    with np.load(inputs) as arrays:
        images, content, ends = arrays["images"], arrays["bytes"], arrays["ends"].tolist()
    files = [content[start:end].tobytes() for start, end in zip([0, *ends], ends, strict=False)]

    def ask(call: Call | None, given: Sequence, name: str) -> dict[str, np.ndarray]:
        answers = [call(given[i : i + step]) for i in range(0, len(given), step)] if call else []
        if not answers:
            return {name: np.empty((0, 0), np.float32)}
        found = {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}
        return {name: found.pop("probabilities")} | {f"{name}/{key}": value for key, value in found.items()}

    answers = ask(ask_images, images, "images") | ask(ask_files, files, "bytes")
    spent = _timed(lambda: ask_images(images[:1])) if len(images) else []
    facts = {"milliseconds": np.array(spent) * 1000, "note": np.array("; ".join(NOTES))}
    np.savez(outputs, **answers, **facts)  # type: ignore[arg-type]  # a keyword may also be allow_pickle


def _timed(call: Callable[[], object]) -> list[float]:
    """Returns the seconds of each call, after some that are not counted."""
    for _ in range(WARM):
        call()
    spent: list[float] = []
    while len(spent) < CALLS and sum(spent) < SECONDS:
        start = time.perf_counter()
        call()
        spent.append(time.perf_counter() - start)
    return spent


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def serve(first: str) -> None:
    """Serves requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # output of libraries is not a reply
    gc.disable()  # collecting garbage among imported objects finds none, and takes a second
    for name in ("numpy", *RUNTIMES[first]):
        importlib.import_module(name)
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        form, *places = json.loads(line)
        problem = None
        NOTES.clear()
        try:
            main(form, *places)
            if "kerascnn" in sys.modules and form != "keras":
                problem = "the artefact imported kerascnn: it must not need it"
        except Exception:  # any error of a runtime is a result
            problem = traceback.format_exc()
        answers.write(json.dumps(problem) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Modules beside this file must not shadow the libraries with the same names, and the package must not be importable.
    del sys.path[0]
    serve(sys.argv[1])
