"""What a command line names is looked up before anything is read; a run brings its network along as weights."""

import subprocess
import sys
from pathlib import Path

import pytest

from kerascnn.cli.parsing import OfData, parse_config, told
from kerascnn.config import Config
from kerascnn.data import preflight
from kerascnn.errors import UserError
from kerascnn.runs import Run

TRAINED = Config(
    data={"image_size": 48},
    model={
        "arch": "resnet20",
        "width": 0.5,
        "width_divisor": 4,
        "filters": {"stage1": 12},
        "blocks": (1, 2, 1),
        "stem": "large",
    },
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(tmp_path / "runs" / "learned")
    run.write_config(TRAINED)
    run.write_metrics({"test": {}})
    run.best_model.touch()
    return run


def started(*words: str) -> Config:
    config = preflight.check(parse_config(words, prog="kerascnn fit", description="", schema=OfData).config)
    return preflight.adopt(config, told(words, OfData))[0]


def network(config: Config) -> tuple:
    model = config.model
    return model.arch, model.width, model.width_divisor, model.filters, model.blocks, model.stem, config.data.image_size


def test_weights_of_a_run_bring_its_network(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run.path.parent.parent)
    for place in (str(run.path), str(run.best_model), "runs/learned", "runs/latest"):
        assert network(started("--weights", place)) == network(TRAINED), place
    for place in ("learned", "latest"):
        assert network(started("--weights", place, "--runs-dir", "runs")) == network(TRAINED), place
    assert network(started("--weights", str(run.path), "--arch", "resnet")) == network(TRAINED), (
        "a family is no contradiction"
    )


def test_what_was_told_stays(run: Run, tmp_path: Path) -> None:
    config = started("--weights", str(run.path), "--width", "1", "--image-size", "96", "--stem", "auto")
    assert network(config) == ("resnet20", 1.0, 4, {"stage1": 12}, (1, 2, 1), "auto", 96)
    recipe = tmp_path / "mine.toml"
    recipe.write_text("[model]\nwidth_divisor = 8\n[data]\nimage_size = 64\n")
    config = started("--config", str(recipe), "--weights", str(run.path))
    assert network(config) == ("resnet20", 0.5, 8, {"stage1": 12}, (1, 2, 1), "large", 64)
    assert network(started("--weights", str(run.path), "--arch", "resnet32"))[:2] == ("resnet32", 1.0)
    pinned = f"{run.path}#sha256={'0' * 64}"
    assert network(started("--weights", pinned)) == network(Config()), "a resolved config was made from the run already"
    assert network(started("--weights", "imagenet")) == network(Config())


def test_a_line_says_what_was_taken(run: Run) -> None:
    line = preflight.adopt(Config(model={"weights": str(run.path)}), ())[1]
    assert line == (
        "start   resnet20, --width 0.5, --width-divisor 4, --filters stage1 12, --blocks 1 2 1, --stem large, 48 px:"
        f" as in {run.path}"
    )


def test_an_unfinished_run_gives_no_weights(run: Run) -> None:
    run.metrics_file.unlink()
    with pytest.raises(UserError, match="learned is not finished"):
        started("--weights", str(run.path))


def test_the_data_set_needs_no_flag(tmp_path: Path) -> None:
    for words in (("3", "--epochs", "3"), ("--epochs", "3", "3"), ("--no-export", "3")):
        assert parse_config(words, prog="kerascnn fit", description="", schema=OfData).config.data.dataset == "3"
    with pytest.raises(UserError, match="a and --dataset b: give one of the two"):
        parse_config(("a", "--dataset", "b"), prog="kerascnn fit", description="", schema=OfData)


def test_mistakes_are_answered_before_tensorflow_is_loaded(run: Run, tmp_path: Path) -> None:
    """In one process, command after command."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "data" / "cifar10" / "3.0.2").mkdir(parents=True)
    (tmp_path / "data" / "cifar10" / "3.0.2" / "dataset_info.json").touch()
    answered = {
        "fit photoz": "there is no {home}/photoz - perhaps you meant 'photos'",
        "fit --dataset folder:photoz": "perhaps you meant 'photos'",
        "fit --dataset tfds:cifar1 --data-dir data": "prepared there: cifar10",
        "fit fashion_mnist_mino": "perhaps you meant 'fashion_mnist_mini'",
        "fit --arch resnt50": "perhaps you meant resnet50",
        "fit --weights runs/lerned": "perhaps you meant 'runs/learned'",
        "fit photos --split-file runs/learned/config.tml": "perhaps you meant 'runs/learned/config.toml'",
        "fit --filters stag1 8": "perhaps stage1",
        "fit --arch inception --blocks 2 2": "--blocks and --bottleneck-ratio are for residual networks",
        "tune --space resnet_filter": "perhaps you meant 'resnet_filters'",
        "compare --archs resnet inceptoin": "perhaps you meant inception",
        "compare --dataset photoz": "perhaps you meant 'photos'",
        "compare runs/lerned": "perhaps you meant 'runs/learned'",
        "tune photoz --space resnet_filters": "perhaps you meant 'photos'",
        "tune --arch resnt --space resnet_filters": "perhaps you meant resnet",
        "benchmark --archs resnet20 resnt": "perhaps you meant resnet",
        "evaluate runs/lerned": "perhaps you meant 'runs/learned'",
        "evaluate runs/learned --dataset photoz": "perhaps you meant 'photos'",
        "export runs/lerned": "perhaps you meant 'runs/learned'",
        "predict runs/lerned x.jpg": "perhaps you meant 'runs/learned'",
        "list runz": "perhaps you meant 'runs'",
        "archs resnt50": "perhaps you meant resnet50",
    }
    code = (
        "import sys; from kerascnn.__main__ import main\n"
        f"for words in {list(answered)!r}:\n"
        "    code = main(words.split())\n"
        "    print(code, sorted({'tensorflow', 'keras'} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    lines = done.stderr.splitlines()
    assert len(lines) == 2 * len(answered), done.stderr
    for said, ended, (words, message) in zip(lines[::2], lines[1::2], answered.items(), strict=True):
        assert message.format(home=tmp_path) in said, words
        assert ended == "2 []", words
