"""The table of networks as a command."""

import json
from pathlib import Path

import pytest

from kerascnn.archs import main
from tests.models.figures import FIGURES, VARIANTS, equal


def test_json_rows_agree_with_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resnet20", "--json"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    facts = json.loads(line)
    # He et al. (2015), counted by hand: 269,722 trainable, 271,098 in all, 40.55 M MACs
    assert (facts["trainable"], facts["params"], round(facts["macs"] / 1e6, 2)) == (269722, 271098, 40.55)
    assert (facts["family"], facts["year"], facts["image_size"]) == ("resnet", 2015, 32)


@pytest.mark.slow
def test_json_agrees_with_the_table_for_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json"]) == 0
    rows = {facts["name"]: facts for facts in map(json.loads, capsys.readouterr().out.splitlines())}
    assert rows.keys() == FIGURES.keys()
    # Two rows of the article stand in the table at 32 px, and at the size that `archs` counts at among its variants.
    elsewhere = {(row[0], row[1]): row for row in VARIANTS if not row[3]}
    for arch, (size, classes, trainable, statistics, macs, unit) in FIGURES.items():
        facts = rows[arch]
        if facts["image_size"] != size:
            _, size, classes, _, trainable, macs, unit = elsewhere[arch, facts["image_size"]]
        assert (facts["image_size"], facts["classes"]) == (size, classes), arch
        assert (facts["trainable"], facts["params"]) == (trainable, trainable + statistics), arch
        assert equal(facts["macs"], macs, unit), arch


def test_a_pattern_and_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resnet[23]*_*", "--json"]) == 2
    assert main(["inception_small", "--image-size", "48"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:3] == ["name", "family", "year"]
    assert row.startswith("inception_small")
    assert "48" in row


def test_layers_lists_the_names_that_filters_takes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inception_small", "--layers"]) == 0
    out = capsys.readouterr().out
    assert "stage1_block1." in out


def test_an_unknown_name_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["resnet5x"]) == 2
    assert "perhaps you meant" in capsys.readouterr().err


def test_functions_are_counted_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(__file__).parent / "models" / "own_networks.py"
    assert main([f"{file}:build", "--image-size", "32", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    convolutions, head = 8 * 27 + 16 * 72, 16 * 10
    assert (facts["name"], facts["family"], facts["classes"]) == ("own_networks.py:build", "own", 10)
    assert facts["params"] == convolutions + 5 * (8 + 16) + head + 10
    assert facts["macs"] == 8 * 27 * 32 * 32 + 16 * 72 * 16 * 16 + head
    assert main([f"{file}:biuld"]) == 2
    assert main(["keras:MobileNetV3Smal"]) == 2
    assert "perhaps you meant keras:MobileNetV3Small" in capsys.readouterr().err
