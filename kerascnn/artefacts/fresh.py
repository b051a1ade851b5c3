"""A fresh process in which artefacts are asked: it knows nothing of the one that made them. No TensorFlow here."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import numpy as np

from kerascnn.artefacts import run_artefact
from kerascnn.runs.scratch import scratch


class Answers(NamedTuple):
    """What an artefact answered in a process of its own.

    Attributes:
        images: Probabilities, float32 [n, classes].
        files: Probabilities of encoded images; of a SavedModel only.
        milliseconds: Of single calls with one image, warm.
        note: What is to be said of how it ran; empty for nothing.
    """

    images: np.ndarray
    files: np.ndarray
    milliseconds: np.ndarray
    note: str = ""


class FreshProcess:
    """A process that loads artefacts as their users do, one after another; it imports TensorFlow while the caller works.

    Args:
        form: The first one that it will be asked about: a key of `run_artefact.FORMATS`. A `.keras` file needs this package's
            layers: only a process for "keras" can import the package, and only one for something else proves that nothing of
            it is needed.
        environment: Variables for the process, beside this one's.
    """

    def __init__(self, form: str, environment: Mapping[str, str] | None = None) -> None:
        # Wherever the package was started from.
        home = Path(__file__).resolve().parents[2]
        paths = {"PYTHONPATH": os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])}
        self.packaged = form == "keras"
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._child = subprocess.Popen(
            [sys.executable, run_artefact.__file__, form],
            env={**os.environ, **(paths if self.packaged else {}), **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def ask(self, form: str, path: Path, images: np.ndarray, contents: Sequence[bytes] = ()) -> Answers:
        """Ask one artefact.

        Args:
            form: A key of `run_artefact.FORMATS`.
            path: The artefact.
            images: float32 [n, image_size, image_size, 3], 0-255.
            contents: Encoded images, JPEG or PNG; for a SavedModel.

        Raises:
            RuntimeError: It does not run; ends with what it printed last.
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
                return Answers(arrays["images"], arrays["bytes"], arrays["milliseconds"], str(arrays["note"]))

    def _problem(self, request: Sequence[str]) -> str | None:
        """Why the process could not do what it was asked, in its own words; None where it could."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
            answer = self._child.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if answer:
            return json.loads(answer)
        self._child.wait()
        self._said.seek(0)
        return self._said.read().decode(errors="replace") or f"it ended with code {self._child.returncode}"

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._child.poll() is None

    def close(self) -> None:
        """End the process."""
        self._child.kill()
        self._child.wait()
        for stream in (self._child.stdin, self._child.stdout):
            assert stream is not None
            try:
                stream.close()
            except BrokenPipeError:  # what it was to be asked last
                continue
        self._said.close()

    def __enter__(self) -> "FreshProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
