"""A new process in which artefacts are run, independent of the one that made them. No TensorFlow here."""

import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from kerascnn.artefacts import run_artefact
from kerascnn.processes.fork_server import ForkServer
from kerascnn.processes.starting import start
from kerascnn.runs.scratch import scratch


class Outputs(NamedTuple):
    """The outputs of an artefact in a new process.

    Attributes:
        images: Probabilities, float32 [n, classes].
        files: Probabilities of encoded images, only of a SavedModel.
        milliseconds: Times of single warm calls with one image.
        note: A remark about how it ran, or an empty text.
        further: Further outputs for the images by name, as far as the artefact has them.
        further_of_files: The same for encoded images.
    """

    images: np.ndarray
    files: np.ndarray
    milliseconds: np.ndarray
    note: str = ""
    further: Mapping[str, np.ndarray] = {}
    further_of_files: Mapping[str, np.ndarray] = {}


class FreshProcess:
    """A process that loads artefacts as users do, one after another; it imports TensorFlow while the caller works.

    Args:
        form: The format of the first artefact, a key of `run_artefact.FORMATS`. A `.keras` file needs the layers of this
            package: only a process for "keras" can import the package, and only one for another format proves that the
            package is not needed.
        environment: Environment variables of the process, in addition to those of this one.
        server: Forks the process, which then has imported TensorFlow already; None starts it.
    """

    def __init__(
        self, form: str, environment: Mapping[str, str] | None = None, server: ForkServer | None = None
    ) -> None:
        self.packaged = form == "keras"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._child = start(
            [run_artefact.__file__, form],
            server=server,
            stdout=subprocess.PIPE,
            stderr=self._said,
            environment={**os.environ, **(environment or {})},
            without="" if self.packaged else "kerascnn",
            # independent of the working directory
            package=Path(__file__).resolve().parents[2] if self.packaged else None,
        )

    def ask(self, form: str, path: Path, images: np.ndarray, contents: Sequence[bytes] = ()) -> Outputs:
        """Runs one artefact.

        Args:
            form: A key of `run_artefact.FORMATS`.
            path: The artefact.
            images: float32 [n, image_size, image_size, 3], 0-255.
            contents: Encoded images, JPEG or PNG, for a SavedModel.

        Raises:
            RuntimeError: It does not run; the message ends with its last output.
        """
        with scratch() as folder:
            inputs, outputs = folder / "inputs.npz", folder / "outputs.npz"
            ends = np.cumsum([len(content) for content in contents], dtype=np.int64)
            np.savez(inputs, images=images, bytes=np.frombuffer(b"".join(contents), np.uint8), ends=ends)
            problem = self._problem([form, str(path), str(inputs), str(outputs)])
            if problem is not None:
                last = "\n".join(problem.strip().splitlines()[-5:])
                raise RuntimeError(f"{path} does not run in a fresh process:\n{last}")
            with np.load(outputs) as arrays:
                plain = (arrays["images"], arrays["bytes"], arrays["milliseconds"], str(arrays["note"]))
                return Outputs(*plain, *(_named(arrays, of) for of in ("images/", "bytes/")))

    def _problem(self, request: Sequence[str]) -> str | None:
        """Returns the error of the process as text, or None."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(f"{json.dumps(request)}\n".encode())
            self._child.stdin.flush()
            answer = self._child.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if answer:
            return json.loads(answer)
        self._child.wait()
        self._said.seek(0)
        return self._said.read().decode(errors="replace") or f"it ended with code {self._child.returncode}"

    @property
    def alive(self) -> bool:
        """Whether the process can run artefacts."""
        return self._child.poll() is None

    def close(self) -> None:
        """Ends the process."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:  # the last request
                continue
        self._said.close()

    def __enter__(self) -> "FreshProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _named(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): arrays[name] for name in arrays if name.startswith(prefix)}
