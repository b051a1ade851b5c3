"""A command in a process forked from this one, which has imported TensorFlow and has done nothing with it."""

import os
import signal
import sys
import tempfile
import time
from pathlib import Path


class Started:
    """A command in a process forked from this one, in a session and a folder of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.log = folder / "screen.log"
        self.log.unlink(missing_ok=True)
        sys.stdout.flush()
        self.pid = os.fork()
        self.code: int | None = None
        if self.pid == 0:
            _become(command, folder, self.log)

    def text(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float = 900.0) -> int:
        until = time.monotonic() + seconds
        while not self.ended():
            if time.monotonic() > until:
                self.kill()
                raise SystemExit(f"no end after {seconds:g} s: {self.text()[-500:]}")
            time.sleep(0.01)
        assert self.code is not None
        return self.code

    def kill(self) -> None:
        if not self.ended():
            os.kill(self.pid, signal.SIGKILL)
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def _become(command: list[str], folder: Path, log: Path) -> None:
    """The child: never returns."""
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.environ["TMPDIR"] = str(folder / "tmp")
        tempfile.tempdir = None
        sys.argv = [f"{command[0]}.py", *command[1:]]
        module = __import__(f"kerascnn.{command[0]}", fromlist=["main"])
        code = module.main(command[1:])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
