"""Nothing is lost or half-written, and what a kill or a full disk leaves is in nobody's way."""

import resource
from pathlib import Path

import pytest

from kerascnn.runs import files


def test_a_write_that_fails_names_the_file_and_leaves_everything_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    files.write_file(path, b"before")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))  # a disk with room for ten bytes
    try:
        with pytest.raises(OSError, match=r"config\.toml") as raised:
            files.write_file(path, b"x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.filename == str(path)
    assert [(entry.name, entry.read_bytes()) for entry in tmp_path.iterdir()] == [("config.toml", b"before")]


def test_what_a_kill_left_aside_is_no_name(tmp_path: Path) -> None:
    for name in (".config.toml.4711.aside", ".lock", "log.txt", "my.aside"):
        (tmp_path / name).touch()
    assert files.names_in(tmp_path) == {".lock", "log.txt", "my.aside"}
    assert files.names_in(tmp_path / "nowhere") == set()


def test_a_removal_that_is_killed_leaves_nothing_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, neighbour = tmp_path / "flowers [1]", tmp_path / "flowers [1]x"
    for path in (folder / "checkpoints", neighbour):
        path.mkdir(parents=True)

    def killed(*args, **kwargs) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files.shutil, "rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            files.remove(folder)
    assert not folder.exists()
    [left] = files.names_in(tmp_path) ^ {entry.name for entry in tmp_path.iterdir()}
    assert left.startswith(".flowers [1].")
    folder.mkdir()
    files.remove(folder)  # by the same process number, as in a container that was started again
    assert list(tmp_path.iterdir()) == [neighbour]


def test_a_name_at_the_file_systems_limit_can_be_written_and_removed(tmp_path: Path) -> None:
    folder = tmp_path / ("é" * 127 + "x")  # 255 bytes
    files.write_file(folder / ("n" * 255), b"content")
    files.remove(folder)
    assert list(tmp_path.iterdir()) == []
