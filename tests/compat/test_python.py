"""What Python does at the end of a process, done by hand."""

import subprocess
import sys

CODE = """
import atexit, os, threading, time
from kerascnn.compat import python

atexit.register(print, "second", flush=True)
threading.Thread(target=lambda: (time.sleep(0.2), print("first", flush=True))).start()
python.wait_for_threads()
python.run_exit_functions()
os._exit(7)
"""


def test_threads_end_and_exit_functions_run_before_a_process_leaves() -> None:
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout.split()) == (7, ["first", "second"]), ended.stderr
