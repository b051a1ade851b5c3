"""The end of a process as Python makes it, for a process that ends by `os._exit`. No TensorFlow."""

import atexit
import threading


def wait_for_threads() -> None:
    """Waits for all threads but daemons, as Python does after the last line of a program."""
    threading._shutdown()  # type: ignore[attr-defined]


def run_exit_functions() -> None:
    """Calls what was registered with `atexit`, the last one first; errors are printed."""
    atexit._run_exitfuncs()
