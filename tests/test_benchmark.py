"""The command on a tiny network: what it prints, and what it refuses."""

import csv
import importlib.util
import io
import json
import os
import re
import subprocess
import sys

import pytest

from kerascnn.benchmark import main
from kerascnn.devices import hardware
from kerascnn.errors import DONE, USER_ERROR
from kerascnn.speed import onednn_gain

pytestmark = pytest.mark.training

SMALL = ["--arch", "resnet20", "--width", "0.125", "--batch-size", "8", "--rounds", "3", "--seconds", "0.01"]
QUICK = [*SMALL, "--parts", "input", "train"]


@pytest.mark.slow
def test_json_lines_of_both_forms(capsys, tmp_path):
    assert main([*SMALL, "--parts", "train", "inference", "--vs", "stock", "--json"]) == DONE
    text = capsys.readouterr().out
    fast, stock = (json.loads(line) for line in text.splitlines())
    assert (fast["form"], stock["form"]) == ("kerascnn", "stock")
    assert fast["params"] == stock["params"]
    for row in (fast, stock):
        assert len(row["rounds"]["train"]) == 3
        assert row["train_q1"] <= row["train"] <= row["train_q3"]
        assert 0 < row["latency_p50"] <= row["latency_p95"]
        assert row["throughput"] > 0
        assert row["device"]
        assert row["tensorflow"]
        assert row["peak_float32"] > 1e8
    # A share is what the row itself says: images a second times operations over what the machine reached, in that round and
    # in products of the step's own dtype; the row's peak was measured at another moment.
    operations = 6 * fast["macs"] * fast["rounds"]["train"][0]
    peak = fast[f"peak_{'bfloat16' if fast['policy'] == 'mixed_bfloat16' else 'float32'}"]
    assert 0.5 < operations / fast["rounds"]["train_share"][0] / peak < 2
    kept = tmp_path / "before.json"
    kept.write_text(text)
    assert main([*QUICK, "--against", str(kept)]) == DONE
    assert "x what it was" in capsys.readouterr().out
    assert main([*QUICK, "--width", "0.25", "--against", str(kept)]) == USER_ERROR  # another network of this name
    assert "no network of the file is the same" in capsys.readouterr().err


def test_csv_and_table(capsys):
    assert main([*QUICK, "--csv"]) == DONE
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert float(row["input"]) > 0
    assert main(QUICK) == DONE
    shown = capsys.readouterr().out
    assert "training step" in shown
    assert "medians of 3 rounds" in shown


def test_mistakes(capsys, tmp_path):
    assert main(["--arch", "resnet21"]) == USER_ERROR
    assert "resnet20" in capsys.readouterr().err
    assert main([*QUICK, "--against", str(tmp_path / "none.json")]) == USER_ERROR
    assert main(["--rounds", "1"]) == USER_ERROR
    damaged = tmp_path / "damaged.json"
    for row in ({"device": ["x"]}, {"device": "x", "train": "fast"}):
        damaged.write_text(json.dumps({"arch": "resnet20", "form": "kerascnn", **row}))
        assert main([*QUICK, "--against", str(damaged)]) == USER_ERROR
        assert "expected what kerascnn benchmark --json printed" in capsys.readouterr().err
    elsewhere = tmp_path / "elsewhere.json"
    elsewhere.write_text(json.dumps({"arch": "resnet20", "form": "kerascnn", "device": "another machine"}))
    assert main([*QUICK, "--against", str(elsewhere)]) == USER_ERROR
    assert "different devices" in capsys.readouterr().err


@pytest.mark.slow
def test_what_onednn_would_be_worth():
    """In a process that has it off, on a CPU that gains from it; this process has it on."""
    if not onednn_gain.onednn() or not hardware.onednn_pays_here({}):
        pytest.skip("TensorFlow turns oneDNN on by itself here, or has none")
    command = [sys.executable, "-m", "kerascnn.benchmark", *SMALL, "--parts", "train"]
    done = subprocess.run(command, env={**os.environ, hardware.ONEDNN: "0"}, capture_output=True, text=True, check=True)
    assert f"oneDNN off ({hardware.ONEDNN}=0)" in done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  resnet20 training step:")]
    rate, times = (float(word) for word in re.findall(r"[\d.]+(?= images/s| x$)", line))
    here = float(re.search(r"training step +([\d.]+)", done.stdout)[1])
    assert rate / here == pytest.approx(times, rel=0.02)


@pytest.mark.slow
def test_trace_names_operations_or_says_what_is_missing(capsys):
    done = main([*QUICK, "--trace"])
    shown = capsys.readouterr()
    if importlib.util.find_spec("xprof") is None:
        assert done == USER_ERROR
        assert "kerascnn[profile]" in shown.err
    else:
        assert done == DONE
        assert "Conv2DBackpropFilter" in shown.out


@pytest.mark.slow
def test_memory_of_a_process_of_its_own(capsys):
    assert main([*SMALL, "--parts", "memory", "--json"]) == DONE
    row = json.loads(capsys.readouterr().out)
    assert 2e8 < row["memory"] < 4e9
