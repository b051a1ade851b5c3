"""Workers that take turns, and the table of what they took."""

import os
import sys

import pytest

from experiments.speed import machines

STEPS = "import sys\nfor line in sys.stdin:\n    print('noise')\n    print(f'seconds {int(line) / 10}', flush=True)"


def test_a_worker_answers_each_time_it_is_asked_and_ends_when_told():
    worker = machines.Worker("a", [sys.executable, "-c", STEPS], dict(os.environ))
    assert [worker.seconds(steps) for steps in (2, 5)] == [0.2, 0.5]
    worker.close()
    assert worker.child.returncode == 0


def test_a_worker_that_ended_is_named():
    worker = machines.Worker("PyTorch eager", [sys.executable, "-c", "raise SystemExit(4)"], dict(os.environ))
    with pytest.raises(RuntimeError, match="PyTorch eager: the process ended with code 4"):
        worker.seconds(1)


def test_ratios_are_taken_round_by_round():
    seconds = {machines.OURS: [1.0, 2.0, 1.0], "PyTorch eager": [2.0, 3.0, 1.5]}  # the machine was slower in round 2
    table = machines.table([{"arch": "resnet20", "size": 32, "batch": 128, "seconds": seconds}])
    assert "| resnet20, 32 px, batch 128 | PyTorch eager | 64 [42.7, 85.3], n = 3 | 1.50 x [1.50, 2.00] |" in table
    assert f"| {machines.OURS} | 128 [64, 128], n = 3 | 1.00 x [1.00, 1.00] |" in table


def test_the_table_is_put_between_the_marks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{machines.MARKS[0]}\nold\n{machines.MARKS[1]}\nafter\n")
    rows = [{"arch": "resnet20", "size": 32, "batch": 128, "seconds": {machines.OURS: [1.0]}}]
    for _ in range(2):
        machines.write_table(rows, page)
        text = page.read_text()
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
        assert text.count("128 [128, 128], n = 1") == 1


def test_stock_as_tensorflow_chooses_is_left_to_choose(monkeypatch):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    started = []
    monkeypatch.setattr(machines, "Worker", lambda way, command, variables: started.append((way, command, variables)))
    machines.workers("resnet20", 32, 8, None, list(machines.WAYS))
    given = {way: (command, variables.get("TF_ENABLE_ONEDNN_OPTS")) for way, command, variables in started}
    assert list(given) == list(machines.WAYS[:3])  # no torch, no PyTorch
    assert given["stock Keras, oneDNN on"][1] == "1"
    command, onednn = given["stock Keras as TensorFlow chooses"]
    assert onednn is None
    assert command[-1] == "--tensorflow-first"
