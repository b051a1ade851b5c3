"""What a search takes from the config that it is given."""

from pathlib import Path

from kerascnn.cli.recipes import dumps
from kerascnn.config import Config
from tests.search import make_search


def test_a_run_s_end_is_none_of_a_search_s(tmp_path: Path) -> None:
    """A run that was stopped early keeps where: promoted runs that stop there would never be finished."""
    file = tmp_path / "config.toml"
    file.write_text(dumps(Config().replace(fit={"stop_epoch": 3})))
    assert make_search.search(tmp_path, "random", "--config", str(file)).base.fit.stop_epoch is None
