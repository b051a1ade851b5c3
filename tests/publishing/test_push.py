"""A run is published with its card, and pulled again, through a server in the hub's place."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

from kerascnn import data, models, push
from kerascnn.config import Config
from kerascnn.errors import UserError
from kerascnn.publishing import destination, hub_card
from kerascnn.runs import Run
from tests.publishing import hub as hubs

pytest.importorskip("huggingface_hub", reason="needs the extra hub")
ROOT = Path(push.__file__).parents[1]
SHAPE = {"arch": "resnet20", "width": 0.25, "blocks": (1, 1, 1)}
CONFIG = Config(data={"fraction": 0.05, "image_size": 16}, model=SHAPE)


@pytest.mark.parametrize(
    ("word", "hub", "repository"),
    [("hf://me/birds", "hf", "me/birds"), ("kaggle://me-2/birds.v1", "kaggle", "me-2/birds.v1")],
)
def test_a_destination_is_a_hub_and_a_name(word: str, hub: str, repository: str) -> None:
    found = destination.parse(word)
    assert (found.hub, found.repository, str(found)) == (hub, repository, word)


@pytest.mark.parametrize(
    "word", ["hf://me", "hf://me/a/b", "hf:///b", "s3://me/a", "birds", "hf://me/../x", "hf://me/a b"]
)
def test_another_word_is_a_message(word: str, capsys) -> None:
    with pytest.raises(UserError, match="expected hf://USER/NAME or kaggle://USER/NAME"):
        destination.parse(word)
    assert push.main(["demo", word]) == 2
    assert "where to?" in capsys.readouterr().err


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run, as much of it as an export reads."""
    keras.utils.set_random_seed(0)
    run, splits = Run(tmp_path_factory.mktemp("runs") / "birds"), data.load(CONFIG.data)
    run.write_config(CONFIG)
    options = {name: value for name, value in SHAPE.items() if name != "arch"}
    models.build(SHAPE["arch"], (16, 16, 3), 10, **options).save(run.best_model)
    run.write_data(splits.summary(), splits.rows(), [])
    score = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 50}
    metrics = {"val": {"accuracy": score}, "test": {"accuracy": score, "macro_f1": score | {"value": 0.4}}}
    metrics |= {"params": 1000, "macs": 2000, "epochs": 3, "best_epoch": 2, "monitor": "val_accuracy"}
    run.write_metrics(metrics | {"finished": "2026-01-01T00:00:00+00:00", "test_is_val": False})
    return run


def front_matter(page: str) -> dict:
    return yaml.safe_load(page.split("---\n")[1])


def test_scores_have_the_form_of_the_hub(run: Run) -> None:
    rows = {result.metric_type: result for result in hub_card.results(run)}
    assert rows["accuracy"].metric_value == 0.5
    assert rows["accuracy"].dataset_split == "test"
    assert rows["accuracy"].metric_name == "accuracy (95 % interval 25.00% to 75.00%, n = 50)"
    assert rows["f1"].metric_args == {"average": "macro"}
    assert rows["f1"].metric_value == 0.4


@pytest.fixture
def hub() -> Iterator[hubs.Hub]:
    with hubs.loopback() as found:
        yield found


def command(hub: hubs.Hub, place: Path, *words: str, token: str = hubs.TOKEN) -> subprocess.CompletedProcess[str]:
    variables = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(place / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")} | variables
    environment |= {"HF_TOKEN": token} if token else {}
    return subprocess.run(
        [sys.executable, *words], cwd=place, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


PULL = """
import sys, numpy as np
from kerascnn import models, weights
model = models.build("resnet20", (16, 16, 3), 10, width=0.25, blocks=(1, 1, 1))
print(weights.load(model, "resnet20", "hf://someone/birds")[0])
np.save("answers.npy", model(np.full((1, 16, 16, 3), 90, "float32")).numpy())
"""


@pytest.mark.training
@pytest.mark.slow
def test_what_was_pushed_is_pulled(run: Run, hub: hubs.Hub, tmp_path: Path) -> None:
    words = (
        "-m",
        "kerascnn.push",
        str(run.path),
        "hf://someone/birds",
        "--formats",
        "keras",
        "--license",
        "apache-2.0",
    )
    none = command(hub, tmp_path, *words, token="")
    assert none.returncode == 2
    assert "hf auth login" in none.stderr
    dry = command(hub, tmp_path, *words, "--dry-run", token="")
    assert dry.returncode == 0, dry.stderr
    assert not hub.files
    done = command(hub, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f"published: {hub.url}/someone/birds/commit/{hubs.COMMIT}\n")
    assert hub.titles == ["Model exported by kerascnn"]
    assert hub.created[0]["visibility" if "visibility" in hub.created[0] else "private"] in (True, "private")
    assert all(f"  {name}\n" in dry.stdout for name in hub.files)
    assert hub.files["model.keras"] == (tmp_path / "saved_models/birds/1/model.keras").read_bytes()
    page = hub.files["README.md"].decode()
    assert "\n".join(f"  {line}" if line else "" for line in page.splitlines()) in dry.stdout
    known = front_matter(page)
    assert known["license"] == "apache-2.0"
    assert known["pipeline_tag"] == "image-classification"
    (model,) = known["model-index"]
    (result,) = model["results"]
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {"accuracy": 0.5, "f1": 0.4}
    pulled = command(hub, tmp_path, "-c", PULL)
    assert pulled.returncode == 0, pulled.stderr
    expected = keras.models.load_model(run.best_model, compile=False)(np.full((1, 16, 16, 3), 90, "float32")).numpy()
    np.testing.assert_array_equal(np.load(tmp_path / "answers.npy"), expected)
    refused = command(hub, tmp_path, *words, token="hf_wrong")
    assert refused.returncode == 2
    assert "was not published" in refused.stderr
