"""The workers of one training from flags, TF_CONFIG and Slurm's variables, as a table; their addresses and mistakes."""

import json

import pytest

from kerascnn.devices import cluster, multi_worker
from kerascnn.errors import UserError

TWO = "a:1,b:2"


def tf_config(jobs, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


def step(nodes, tasks, index, per_node="", **more):
    named = {"SLURM_STEP_NODELIST": nodes, "SLURM_STEP_NUM_TASKS": str(tasks), "SLURM_PROCID": str(index)}
    return {**named, "SLURM_JOB_ID": "0", "SLURM_STEP_ID": "0", "SLURM_STEP_TASKS_PER_NODE": per_node, **more}


@pytest.mark.parametrize(
    ("flags", "variables", "workers", "index"),
    [
        ((TWO, 1), {}, "a:1 b:2", 1),
        (("a:1, [::1]:2", 0), tf_config({"worker": ["x:1", "y:1"]}), "a:1 [::1]:2", 0),
        ((None, None), tf_config({"worker": ["x:1", "y:1"]}, index=1), "x:1 y:1", 1),
        ((None, None), tf_config({"chief": ["c:1"], "worker": ["x:1", "y:1"]}, index=1), "c:1 x:1 y:1", 2),
        ((None, None), tf_config({"worker": ["x:1"], "chief": ["c:1"]}, "chief"), "c:1 x:1", 0),
        ((None, None), {**tf_config({"worker": ["x:1", "y:1"]}), **step("n1,n2", 2, 1)}, "x:1 y:1", 0),
        ((None, None), step("n[1-2]", 2, 1, "1(x2)"), "n1:20000 n2:20000", 1),
        ((None, None), step("n2,n1", 3, 2, "2,1"), "n2:20000 n2:20001 n1:20000", 2),
        ((None, None), step("n2,n1", 3, 1, "2,1", SLURM_DISTRIBUTION="cyclic"), "n2:20000 n1:20000 n2:20001", 1),
        ((None, None), step("n[1-2]", 2, 0, "", SLURM_JOB_ID="1", SLURM_STEP_ID="2"), "n1:28047 n2:28047", 0),
    ],
)
def test_workers(flags, variables, workers, index):
    found = cluster.here(*flags, variables)
    assert (found.workers, found.index, found.chief) == (tuple(workers.split()), index, index == 0)


@pytest.mark.parametrize(
    ("flags", "variables"),
    [
        ((None, None), {}),
        ((None, None), {"TF_CONFIG": " "}),
        ((None, None), tf_config({"worker": ["x:1"]})),
        (("a:1", 0), {}),
        (("alone", None), step("n[1-2]", 2, 1)),
        ((None, None), step("n1", 1, 0, "1")),
        ((None, None), {"SLURM_JOB_ID": "7", "SLURM_NODELIST": "n[1-2]", "SLURM_NTASKS": "2"}),  # sbatch without srun
    ],
)
def test_one_worker_trains_alone(flags, variables):
    assert cluster.here(*flags, variables) is None


@pytest.mark.parametrize(
    ("flags", "variables", "said"),
    [
        ((TWO, None), {}, "--worker-index too"),
        ((None, 1), {}, "--workers-at HOST:PORT,HOST:PORT too"),
        ((TWO, 2), {}, "worker 2 of 2: expected 0 to 1"),
        (("alone", 0), {}, "alone has one worker"),
        (("a:1,a:1", 0), {}, "a:1 is there twice"),
        (("a,b:2", 0), {}, "HOST:PORT of each worker, got 'a'"),
        (("a:1,b:70000", 0), {}, "got 'b:70000'"),
        (("a:1,", 0), {}, "got ''"),
        ((None, None), {"TF_CONFIG": "{"}, "TF_CONFIG: expected"),
        ((None, None), {"TF_CONFIG": "[]"}, "TF_CONFIG: expected"),
        ((None, None), tf_config({"worker": "x:1"}), "TF_CONFIG: expected"),
        ((None, None), tf_config({"worker": ["x:1"], "ps": ["p:1"]}), "chief and worker, got ps"),
        ((None, None), tf_config({"worker": ["x:1", "y:1"]}, index=2), "worker 2, which its cluster does not have"),
        ((None, None), tf_config({"chief": ["c:1", "d:1"], "worker": ["x:1"]}), "one chief, got 2"),
        ((None, None), step("n[1-2]", 3, 0, "1(x2)"), "expected 3 tasks on 2 nodes, got 2 on 2"),
        ((None, None), step("n[1-2]", 2, 1, "two"), "expected counts such as"),
        ((None, None), step("n[1-2]", 4, 1, "2(x2)", SLURM_NODEID="1"), "runs on n2: give srun --distribution=block"),
        ((None, None), step("n[1-2]", 4, 1, "2(x2)", SLURM_DISTRIBUTION="plane"), "expected block or cyclic"),
        ((None, None), step("n[1-", 2, 1), "node[1-3,7],gpu01"),
    ],
)
def test_mistakes(flags, variables, said):
    with pytest.raises(UserError) as raised:
        cluster.here(*flags, variables)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("gpu01", "gpu01"),
        ("node[1-3,7],gpu01", "node1 node2 node3 node7 gpu01"),
        ("gpu01,node[2,1]", "gpu01 node2 node1"),
        ("n[008-011]", "n008 n009 n010 n011"),
        ("rack[0-1]n[1-2].lan", "rack0n1.lan rack0n2.lan rack1n1.lan rack1n2.lan"),
        ("a-b.c,d", "a-b.c d"),
    ],
)
def test_hosts_of_slurm(text, hosts):
    assert cluster.hosts_of(text) == hosts.split()


@pytest.mark.parametrize("text", ["", "n[1-2", "n]1[", "n[2-1]", "n[a]", "n[1-99999999]", "a,,b", "n[]"])
def test_what_is_no_list_of_hosts(text):
    with pytest.raises(UserError, match="expected"):
        cluster.hosts_of(text)


@pytest.mark.parametrize(
    ("kind", "gpus", "system", "asked", "way"),
    [
        ("cpu", (0, 0), "Linux", "", "RING"),
        ("gpu", (1, 1), "Linux", "", "NCCL"),
        ("gpu", (8, 8, 8), "Linux", "", "NCCL"),
        ("gpu", (2, 2), "Linux", "ring", "RING"),
        ("gpu", (2, 2), "Linux", " NCCL ", "NCCL"),
        ("gpu", (1, 1), "Windows", "", "RING"),
        ("gpu", (1, 1), "Darwin", "", "RING"),
        ("cpu", (0, 0), "Linux", "ring", "RING"),
    ],
)
def test_how_gradients_are_summed(kind, gpus, system, asked, way):
    assert multi_worker.collectives(kind, gpus, system, asked) == way


@pytest.mark.parametrize(
    ("kind", "gpus", "system", "asked", "said"),
    [
        ("gpu", (2, 1), "Linux", "", "as many GPUs as the others, and they have 2, 1"),
        ("cpu", (0, 0), "Linux", "nccl", "needs Linux and a GPU"),
        ("gpu", (1, 1), "Windows", "nccl", "needs Linux and a GPU"),
        ("gpu", (1, 1), "Linux", "mpi", "expected ring or nccl, got 'mpi'"),
    ],
)
def test_ways_that_are_not_there(kind, gpus, system, asked, said):
    with pytest.raises(UserError, match=said):
        multi_worker.collectives(kind, gpus, system, asked)
