"""Run artefacts in a process that knows nothing of kerascnn, as their users would; `fresh` starts it as a script.

    python run_artefact.py FORMAT

imports what FORMAT needs (savedmodel, litert, onnx, keras) at once. Then each line of standard input asks about one artefact,
as JSON: [FORMAT, ARTEFACT, INPUTS.npz, OUTPUTS.npz]; a line of standard output answers null, or with the traceback.

Inputs: `images` float32 [n, H, W, 3], and `bytes` with `ends` (n files' contents, one behind the other, and where each ends;
for a SavedModel only). Outputs: the probabilities of each, `images` and `bytes`, float32 [n, classes], `milliseconds`, the time
of each of some calls with the first image, and `note`, what is to be said.
"""

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

BATCH = 32
WIDEST = 1e20  # of one step of 8 bits
NOTES: list[str] = []
CALLS, WARM, SECONDS = 50, 3, 1.0


def savedmodel(path: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None, int]:
    """What answers images, what answers files' contents, and how many images at once."""
    import tensorflow as tf

    loaded = tf.saved_model.load(path)

    def images(batch: Any) -> Any:
        return loaded.signatures["images"](images=tf.constant(batch))["probabilities"].numpy()

    def files(batch: Any) -> Any:
        return loaded.signatures["serving_default"](image_bytes=tf.constant(batch))["probabilities"].numpy()

    return images, files, BATCH


def litert(path: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None, int]:
    """See `savedmodel`."""
    interpreter, note = interpreted(path, _cpus())
    if note:
        NOTES.append(note)
    run = interpreter.get_signature_runner()
    return lambda batch: run(images=batch)["probabilities"], None, 1


def interpreted(path: str, threads: int) -> tuple[Any, str]:
    """A LiteRT file ready to run, and what is to be said of it: XNNPACK's fast kernels take over nearly every file.

    Raises:
        ValueError: Its 8-bit ranges are not those of a network.
        RuntimeError: It does not run at all.
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
    if max(scales, default=0.0) > WIDEST:  # the plain kernels would end the whole process
        raise ValueError(f"its 8-bit ranges are too wide to be a network's ({refusal}): export it again")
    slow.allocate_tensors()
    return slow, f"runs without XNNPACK, more slowly: {refusal}"


def onnx(path: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None, int]:
    """See `savedmodel`."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _cpus()
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda batch: session.run(["probabilities"], {"images": batch})[0], None, BATCH


def keras(path: str) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None, int]:
    """See `savedmodel`."""
    import keras
    import tensorflow as tf

    import kerascnn.layers  # noqa: F401 - the file names these classes

    model = keras.models.load_model(path, compile=False, safe_mode=True)
    infer = tf.function(lambda batch: tf.nn.softmax(model(batch, training=False)), reduce_retracing=True)
    return lambda batch: infer(tf.constant(batch)).numpy(), None, BATCH


FORMATS = {"savedmodel": savedmodel, "litert": litert, "onnx": onnx, "keras": keras}
# What each imports, and takes seconds for.
RUNTIMES = {
    "savedmodel": ("tensorflow",),
    "litert": ("ai_edge_litert.interpreter",),
    "onnx": ("onnxruntime",),
    "keras": ("kerascnn.layers",),
}


def main(form: str, path: str, inputs: str, outputs: str) -> None:
    """Ask all of it, batch by batch, then time single images."""
    import numpy as np

    ask_images, ask_files, step = FORMATS[form](path)
    with np.load(inputs) as arrays:
        images, content, ends = arrays["images"], arrays["bytes"], arrays["ends"].tolist()
    files = [content[start:end].tobytes() for start, end in zip([0, *ends], ends, strict=False)]

    def ask(call: Callable[[Any], Any] | None, given: Sequence) -> np.ndarray:
        answers = [call(given[i : i + step]) for i in range(0, len(given), step)] if call else []
        return np.concatenate(answers) if answers else np.empty((0, 0), np.float32)

    of_images, of_files = ask(ask_images, images), ask(ask_files, files)
    spent = _timed(lambda: ask_images(images[:1])) if len(images) else []
    np.savez(outputs, images=of_images, bytes=of_files, milliseconds=np.array(spent) * 1000, note="; ".join(NOTES))


def _timed(call: Callable[[], object]) -> list[float]:
    """Seconds of each call, after some that are not counted."""
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
    """Answer requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    gc.disable()  # a search for garbage among what is imported finds none, and takes a second
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
        except Exception:  # whatever a runtime raises of an artefact is what is asked for
            problem = traceback.format_exc()
        answers.write(json.dumps(problem) + "\n")
        answers.flush()


if __name__ == "__main__":
    # Modules beside this file must not be taken for the libraries they are named after, nor the package be there at all.
    del sys.path[0]
    serve(sys.argv[1])
