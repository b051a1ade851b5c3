"""A Slurm of one node on this machine, from the system's own daemons, in a folder of its own."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
CONFIG = """
ClusterName=kerascnn
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
ReturnToService=2
SchedulerParameters=sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why there can be no Slurm here, or nothing."""
    gone = [name for name in (*DAEMONS, "sbatch") if shutil.which(name, path=_path()) is None]
    if gone:
        return f"needs {', '.join(gone)} (Debian: slurm-wlm, munge)"
    return "" if os.geteuid() == 0 else "needs root: slurmd starts jobs of other users"


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Yields the environment variables by which Slurm's commands find it."""
    folder.mkdir(mode=0o700)
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "munge.key").write_bytes(secrets.token_bytes(128))
    (folder / "munge.key").chmod(0o400)
    config = folder / "slurm.conf"
    config.write_text(CONFIG.format(host=socket.gethostname(), folder=folder, ports=_ports()))
    environment = {**os.environ, "PATH": _path(), "SLURM_CONF": str(config)}
    files = [f"--{name}={folder}/munge.{end}" for name, end in _MUNGE]
    commands = (["munged", "--foreground", "--force", *files], ["slurmctld", "-D"], ["slurmd", "-D"])
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in commands:
            with (folder / f"{command[0]}.out").open("wb") as out:
                started.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))
            time.sleep(1)
        until = time.monotonic() + 60
        while "idle" not in _asked(environment) and time.monotonic() < until:
            time.sleep(0.5)
        assert "idle" in _asked(environment), (folder / "slurmctld.log").read_text()
        yield {"SLURM_CONF": str(config), "PATH": _path()}
    finally:
        subprocess.run(["scancel", "--me"], env=environment, check=False)
        for process in reversed(started):
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


_MUNGE = (("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"))


def _path() -> str:
    return os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])


def _asked(environment: dict[str, str]) -> str:
    asked = ["sinfo", "--noheader", "--format=%t"]
    return subprocess.run(asked, env=environment, check=False, capture_output=True, text=True).stdout


def _ports() -> list[int]:
    """Two ports that are free now."""
    with socket.socket() as one, socket.socket() as other:
        for each in (one, other):
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in (one, other)]
