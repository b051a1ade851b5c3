"""The files of examples/cluster: their commands are ours, their workers know each other, and Slurm runs the batch files."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kerascnn.cli.parsing import parse, parse_config
from kerascnn.completion import SCHEMAS
from kerascnn.config import Config
from tests.pages import ROOT
from tests.studies import slurm_node
from tests.studies.test_local import weights

yaml = pytest.importorskip("yaml", reason="needs PyYAML, which the extra ray brings")
FOLDER = ROOT / "examples/cluster"
MANIFESTS = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "compose.yaml")
BATCHES = sorted(FOLDER.glob("*.sbatch"))


def texts(value: Any) -> Iterator[str]:
    """The strings in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def commands(path: Path) -> list[list[str]]:
    """The words after `kerascnn` of the commands in a file, also of those in its comments."""
    raw = path.read_text(encoding="utf-8")
    said = [
        re.sub(r"^#( |$)", "", raw, flags=re.M)
        if path.suffix == ".sbatch"
        else "\n".join(re.findall("^# *(.*)", raw, re.M))
    ]
    if path.suffix == ".yaml":
        said += [text for document in yaml.safe_load_all(raw) for text in texts(document)]
    found = []
    for text in said:
        for line in re.findall(r"\bkerascnn ([a-z]+ --.*)", text.replace("\\\n", " ")):
            words = shlex.split(line.rstrip("'"))
            found.append([word for word in words if "$" not in word or word == "$images"])
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.iterdir()), ids=lambda path: path.name)
def test_the_commands_are_ours(path: Path) -> None:
    if path.name.startswith("Dockerfile"):
        assert "FROM kerascnn\n" in path.read_text(encoding="utf-8")
        return
    found = commands(path)
    if path.name == "compose.yaml":
        found += [service["command"] for service in yaml.safe_load(path.read_text())["services"].values()]
    assert found
    for name, *flags in found:
        schema = SCHEMAS[name]
        if issubclass(schema, Config):
            parse_config(flags, prog="kerascnn", description="", schema=schema)
        else:
            parse(schema, flags, prog="kerascnn", description="")


def test_each_pod_of_a_job_knows_its_number(tmp_path: Path) -> None:
    """The Job's own script, with a program in the place of ours that tells what it was given."""
    service, job = yaml.safe_load_all((FOLDER / "multi_host.yaml").read_text(encoding="utf-8"))
    told = tmp_path / "kerascnn"
    told.write_text('#!/bin/sh\nprintf "%s" "$TF_CONFIG"\n')
    told.chmod(0o755)
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    (workers,) = container["env"]
    assert int(workers["value"]) == job["spec"]["completions"] == job["spec"]["parallelism"] == 3
    assert service["metadata"]["name"] == spec["subdomain"]
    for index in range(3):
        variables = {
            "PATH": f"{tmp_path}:/usr/bin:/bin",
            "WORKERS": workers["value"],
            "JOB_COMPLETION_INDEX": str(index),
        }
        done = subprocess.run(
            [*container["command"], *container["args"]], env=variables, capture_output=True, text=True, check=True
        )
        name, port = job["metadata"]["name"], service["spec"]["ports"][0]["port"]
        assert json.loads(done.stdout) == {
            "cluster": {"worker": [f"{name}-{i}.{spec['subdomain']}:{port}" for i in range(3)]},
            "task": {"type": "worker", "index": index},
        }


def test_each_container_knows_its_number() -> None:
    services = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))["services"]
    for index, service in enumerate(services.values()):
        assert json.loads(service["environment"]["TF_CONFIG"]) == {
            "cluster": {"worker": [f"{name}:2222" for name in services]},
            "task": {"type": "worker", "index": index},
        }


def test_the_cluster_has_the_ray_that_is_installed_with_it() -> None:
    (pinned,) = re.findall(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.M)
    for path in MANIFESTS:
        for said in re.findall(r'rayVersion: "(.+)"', path.read_text(encoding="utf-8")):
            assert said == pinned


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_kubernetes_knows_every_field(path: Path) -> None:
    """By Kubernetes' own schemas; of KubeRay's kinds the pods alone."""
    check = pytest.importorskip("kubernetes_validate", reason="needs kubernetes-validate")
    for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        for each in [document] if "ray.io" not in document["apiVersion"] else pods(document["spec"]):
            check.validate(each, "1.34", strict=True)


def pods(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pods of a cluster of Ray."""
    cluster = spec.get("rayClusterSpec", spec)
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, "spec": group["template"]["spec"]}


@pytest.mark.parametrize("path", BATCHES, ids=lambda path: path.name)
def test_the_shell_finds_nothing_wrong(path: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("there is no shellcheck")
    subprocess.run(["shellcheck", str(path)], check=True)


# fmt: off
SMALL = ["--workers", "2", "--fraction", "0.05", "--image-size", "16", "--batch-size", "16", "--dtype", "float32",
         "--name", "small", "--checkpoint-every", "2"]
SEARCH = ["--max-macs", "2e6", "--trials", "3", "--tuner", "random", "--epochs", "6"]
COMPARISON = ["--archs", "resnet20", "inception_small", "--match", "none", "--width", "0.25", "--seeds", "1", "--epochs", "8"]
# fmt: on
DATASET = "fashion_mnist_mini"
MISSING = slurm_node.missing()


@pytest.mark.slow
@pytest.mark.training
@pytest.mark.timeout(1800)
@pytest.mark.skipif(bool(MISSING), reason=MISSING)
@pytest.mark.parametrize(
    ("batch", "flags"), [("search.sbatch", [*SMALL, *SEARCH]), ("compare.sbatch", [*SMALL, *COMPARISON])]
)
def test_a_preempted_batch_ends_as_undisturbed(batch: str, flags: list[str], tmp_path: Path) -> None:
    """The file itself, as a job that Slurm queues again after the first saved step, beside the same command without Slurm."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    name = next(words[0] for words in commands(FOLDER / batch))
    (asked,) = [words for words in commands(FOLDER / batch) if "$images" in words]
    command = [sys.executable, "-m", f"kerascnn.{name}", *(w.replace("$images", DATASET) for w in asked[1:]), *flags]
    subprocess.run(command, cwd=here, check=True, capture_output=True)
    with slurm_node.slurm(tmp_path / "slurm") as variables:
        given = {**os.environ, **variables, "PATH": f"{Path(sys.executable).parent}:{variables['PATH']}"}

        def slurm(*words: str) -> str:
            return subprocess.run(words, cwd=there, env=given, check=True, capture_output=True, text=True).stdout

        job = slurm("sbatch", "--parsable", "--cpus-per-task=2", str(FOLDER / batch), DATASET, *flags).strip()
        until(lambda: any(there.glob("experiments/**/checkpoints/step-*")))
        slurm("scontrol", "requeue", job)
        until(lambda: not slurm("squeue", "--me", "--noheader").strip())
    said = next(there.glob("kerascnn-*.log")).read_text()
    one, other = ({path.parent.name: weights(path.parent) for path in runs(folder)} for folder in (here, there))
    assert len(one) >= 2, said
    assert one == other, said


def runs(folder: Path) -> Iterator[Path]:
    """The best weights of the runs below a folder."""
    return folder.glob("experiments/**/best.keras")


def until(ready: Callable[[], bool], seconds: float = 700) -> None:
    """Waits."""
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.2)
