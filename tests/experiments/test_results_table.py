"""The table of results says what the results say."""

import pytest

from experiments import results_table as script
from kerascnn.errors import UserError
from kerascnn.report import markdown
from kerascnn.report.page import ComparisonPage, Statement
from kerascnn.report.report_tables import Column, ReportTable

ENTRY = """
[[result]]
file = "notes.md"
what = "accuracy"
value = "90.0 %"
n = "1,000"
seeds = 1
device = "CPU"
command = "python -m kerascnn.fit"
commit = "abc1234"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "results.toml").write_text(ENTRY)
    (tmp_path / "notes.md").write_text("# Notes\n")
    return tmp_path


def compared(folder, command):
    page = ComparisonPage(
        name="birds",
        about="about",
        verdicts=(
            Statement("test accuracy: a is 1.6 points better than b [0.8, 2.4] (95 %; 5 seeds, 1,000 test images; x)."),
        ),
        scores=ReportTable("scores", "Scores", (Column("arch"),), (("a",),)),
        environment=(("reason", "CPU (2 cores), float32"), ("git_commit", "abcdef012345+")),
    )
    place = folder / "birds"
    place.mkdir()
    (place / "comparison.md").write_text(markdown.comparison_markdown(page))
    (place / "comparison.toml").write_text(f'command = "{command}"\n')


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        (
            "compare --archs a b --runs-dir /somewhere/else --seeds 5",
            "python -m kerascnn.compare --archs a b --seeds 5",
        ),
        ("kerascnn compare --runs-dir '/some where' --seeds 5", "kerascnn compare --seeds 5"),
    ],
    ids=["kept by an earlier version", "through the console script"],
)
def test_a_comparison_speaks_for_itself(folder, command, shown):
    compared(folder, command)
    row = script.results(folder)[-1]
    assert row == script.Result(
        file="birds/comparison.md",
        what="test accuracy",
        value="a is 1.6 points better than b [0.8, 2.4]",
        n="1,000",
        seeds="5",
        device="CPU (2 cores), float32",
        command=shown,
        commit="abcdef012345+",
    )
    assert script.table([row]).count("\n") == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "notes.md").unlink(), "notes.md is not there"),
        (lambda folder: (folder / "results.toml").write_text(ENTRY.replace("seeds = 1\n", "")), "expected file, what"),
    ],
)
def test_an_entry_is_whole(folder, change, message):
    change(folder)
    with pytest.raises(UserError, match=message):
        script.results(folder)


def test_nothing_goes_unlisted(folder):
    (folder / "other.md").write_text("# Something else\n")
    assert script.results(folder)[-1][:3] == ("other.md", "Something else", "see there")


def test_the_table_in_the_readme_is_the_script_s():
    assert script.main(["--check"]) == 0
