"""Series of measurements: kept, resumed in slices, and told in tables."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.speed import compare as series
from experiments.speed import convolutions, growth, photos, units
from experiments.speed.units import Unit
from kerascnn import models
from kerascnn.cli.parsing import parse_config
from kerascnn.models import cost
from kerascnn.speed import benchmark_config as benchmark_options
from tests.data import odd_files

SAYS = ("python", "-c", "print('torch some 12.5 images/s')")


def test_a_series_goes_on_where_it_was_stopped(tmp_path):
    kept = tmp_path / "kept.jsonl"
    two = [Unit("a", SAYS, units.peer), Unit("b", SAYS, units.peer)]
    python = {"python": sys.executable}
    assert not units.run(two, 2, kept, seconds=0.0, python=python)  # one unit a slice
    assert [(row["unit"], row["round"]) for row in units.read(kept)] == [("a", 0)]
    assert units.run(two, 2, kept, seconds=600, python=python)
    rows = units.read(kept)
    assert [(row["unit"], row["round"]) for row in rows] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert {row["train"] for row in rows} == {12.5}
    assert units.run(two, 2, kept, seconds=600, python={"python": "not/there"})  # nothing is left to run


def test_what_failed_is_missing_still(tmp_path):
    kept, python = tmp_path / "kept.jsonl", {"python": sys.executable}
    fails = Unit("a", ("python", "-c", "raise SystemExit('no such thing')"), units.peer)
    assert not units.run([fails], 1, kept, seconds=600, python=python)
    assert [row["failed"] for row in units.settled(units.read(kept))] == ["no such thing"]
    assert units.run([Unit("a", SAYS, units.peer)], 1, kept, seconds=600, python=python)
    assert [row["train"] for row in units.settled(units.read(kept))] == [12.5]


MEASURES = """
import sys
from pathlib import Path
from experiments.speed import units
python = {"python": sys.executable}
def unit(code): return units.Unit(code, ("python", "-c", code), units.nothing)
print([units.measured(unit(code), python)["peak"] > 200 for code in ("x = b'1' * 400_000_000", "")])
print(units.measured(unit("raise SystemExit('no such thing')"), python)["failed"])
"""


def test_memory_is_each_childs_own():
    # From a small process: a child begins with what its parent had.
    done = subprocess.run(
        [sys.executable, "-c", MEASURES], cwd=Path(__file__).resolve().parents[2], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["[True, False]", "no such thing"], done.stderr


def benchmarked(form: str, rate: float) -> str:
    return json.dumps({"arch": "resnet20", "form": form, "train": rate, "train_share": 0.5, "macs": 41, "jit": False})


def test_a_table_pairs_figures_of_one_round():
    found = units.benchmark("noise\n" + benchmarked("kerascnn", 100.0) + "\n" + benchmarked("stock", 50.0))
    assert (found["kerascnn.train"], found["stock.train"], found["macs"]) == (100, 50, 41)
    rows = []
    for turn, speed in enumerate((1.0, 0.5, 1.0)):  # the machine is slower in the second round
        ours = {name: value * speed if name.endswith(".train") else value for name, value in found.items()}
        rows.append({"unit": "resnet20 kerascnn mixed_bfloat16", "round": turn, "command": "c", **ours})
        rows.append({"unit": "resnet20 torch bf16", "round": turn, "command": "t", "train": 80.0 * speed})
    rows.append({"unit": "resnet20 torch fp32", "round": 0, "command": "t", "failed": "no torch"})
    table = series.table(rows)
    assert "| resnet20 | kerascnn mixed_bfloat16 | 100.0 [50.0, 100.0], n = 3 | 1.00 x [1.00, 1.00] | 50% |" in table
    assert (
        "| resnet20 | stock Keras, the same network mixed_bfloat16 | 50.0 [25.0, 50.0], n = 3 | 2.00 x [2.00, 2.00] | 50% |"
        in table
    )
    assert "| resnet20 | torch bf16 | 80.0 [40.0, 80.0], n = 3 | 1.25 x [1.25, 1.25] | - |" in table
    assert "| resnet20 | torch fp32 | failed: no torch | - | - | `t` |" in table
    rows.append({"unit": "resnet20 torch fp32", "round": 0, "command": "t", "train": 50.0})
    table = series.table(rows)
    assert "failed" not in table
    assert "| resnet20 | torch fp32 | 50.0 [50.0, 50.0], n = 1 | - | - |" in table  # one pair makes no ratio


def test_growth_is_drawn_and_told(tmp_path):
    rows = [{"unit": f"batch {n}", "command": "c", "kerascnn.train": 10.0 * n} for n in (8, 32)]
    run = {"command": "c", "seconds": 2.0, "images": 100.0, "wait": 0.01, "peak": 900.0}
    rows += [
        {"unit": "epoch 0.1", **run},
        *({"unit": "memory off 0.1", "command": "c", "kerascnn.memory": mb * 1e6} for mb in (900.0, 920.0, 950.0)),
        {"unit": "size 9", "command": "c", "failed": "x"},
    ]
    rows = [{"round": i, **row} for i, row in enumerate(rows)]
    growth.draw(rows, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 10_000
    table = growth.table(rows)
    assert "100 images: 2.0 s, 1.0% of it waiting for input, 900 MB at most" in table
    assert "| memory off 0.1 | 920 MB [900, 950], n = 3 |" in table
    assert growth._curves(rows, "memory") == {"--cache off": [(4489.8, 920.0)]}
    assert "failed: x" in table


@pytest.mark.parametrize("unit", [*series._all(["resnet50", "resnet20"], True, True), *growth._all("data")])
def test_every_unit_says_its_command(unit):
    """As it is typed: the flags are taken by the command that they are for."""
    first, *words = shlex.split(unit.shown)
    assert first in ("python", "torch")
    module, *flags = words[1:]
    if module.startswith("experiments.peers."):
        assert (units.ROOT / f"{module.replace('.', '/')}.py").is_file()
    elif module == "kerascnn.benchmark":
        assert benchmark_options.parse(flags, prog=module, description="").benchmark.as_json
    else:
        assert module == "kerascnn.fit"
        assert parse_config(flags, prog=module, description="").fit.epochs == 1


@pytest.mark.training
def test_the_bound_counts_every_convolution():
    found = convolutions.convolutions("resnet20", 32, 4)
    macs = cost.count(models.build("resnet20", (32, 32, 3), 10)).macs
    work = sum(count * convolutions.operations(one) for one, count in found.items())
    assert work == 4 * 2 * (macs - 64 * 10)  # all but the classifier
    first = next(one for one in found if one.image[-1] == 3)
    inner = next(one for one in found if one.image[-1] == 16)
    assert list(convolutions.passes(first, "float32")) == ["forward", "to the kernel"]
    assert all(np.isfinite(call()) for call in convolutions.passes(inner, "bfloat16").values())


@pytest.mark.training
def test_both_ways_of_reading_photos_show_the_same(tmp_path):
    for i in range(3):
        odd_files.photo().save(tmp_path / f"{i}.jpg")
    photos.mosaics(sorted(tmp_path.glob("*.jpg")), tmp_path / "large", 1120, 1120)  # over a megapixel
    window, whole = (call()[0].numpy().astype(int) for call in photos.batches(tmp_path / "large", 72).values())
    assert window.shape == (photos.BATCH, 72, 72, 3)
    assert 0 < abs(window - whole).mean() < 16  # decoded at half or a quarter: almost, not quite the same
