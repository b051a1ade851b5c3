"""The page of a model on the Hugging Face hub: its card, with the front matter that the hub reads tags and scores from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerascnn.artefacts import card
from kerascnn.cli.escaping import one_line
from kerascnn.runs import Run
from kerascnn.runs.files import read_json
from kerascnn.scoring.task import Task

# Scores whose metric on the hub has another name; the others have their own.
METRICS: dict[str, tuple[str, dict[str, Any]]] = {
    "macro_f1": ("f1", {"average": "macro"}),
    "micro_f1": ("f1", {"average": "micro"}),
}


def page(run: Run, version: Path, name: str, license_name: str | None, repository: str) -> str:
    """Returns README.md of the repository of an export.

    Args:
        run: The run.
        version: Directory of the export, with its own model card and README.
        name: Name of the model.
        license_name: Identifier of the license, or None.
        repository: OWNER/NAME.
    """
    from huggingface_hub import ModelCardData

    known = read_json(version / "assets" / "metadata.json")
    data = ModelCardData(
        library_name="keras",
        pipeline_tag="image-classification",
        license=license_name,
        tags=tags(known, run.task),
        model_name=name,
        eval_results=results(run),
        metrics=sorted({result.metric_type for result in results(run)}),
    )
    own = (version / card.CARD_FILE).read_text(encoding="utf-8").rstrip()
    usage = (version / card.README_FILE).read_text(encoding="utf-8").partition("\n## sha256")[0]
    usage = usage.partition("\n## ")[2]
    return f"---\n{data.to_yaml()}\n---\n\n{own}\n\n{_pull(repository, known)}\n\n## {usage.rstrip()}\n"


def tags(known: Mapping[str, Any], task: Task) -> list[str]:
    """Returns the tags of a model, from the metadata of its export."""
    several = ["multi-label"] if task.several else []
    return ["kerascnn", "keras", "tensorflow", "image-classification", *several, one_line(str(known["arch"]))]


def results(run: Run) -> list[Any]:
    """Returns the scores of the test split, or of val where no test was read, as the hub's `EvalResult`s."""
    from huggingface_hub import EvalResult

    metrics, name = run.metrics(), one_line(str(run.data().get("name", "unknown")))
    split = "test" if "test" in metrics else "val"
    found = []
    for score in run.task.rows:
        row = metrics.get(split, {}).get(score.name)
        if row is None:
            continue
        kind, given = METRICS.get(score.name, (score.name, {}))
        interval = f"95 % interval {score.show(row['low'])} to {score.show(row['high'])}, n = {row['n']}"
        found.append(
            EvalResult(
                task_type="image-classification",
                dataset_type=_slug(name),
                dataset_name=name,
                dataset_split=split,
                metric_type=kind,
                metric_value=row["value"],
                metric_name=f"{score.title} ({interval})",
                metric_args=given or None,
            )
        )
    return found


def _slug(name: str) -> str:
    """Returns the name of a data set as the hub's identifiers are written."""
    return "".join(letter if letter.isalnum() or letter in "-_./" else "-" for letter in name).strip("-./") or "unknown"


def _pull(repository: str, known: Mapping[str, Any]) -> str:
    return f"""## Fine-tune

    kerascnn fit --weights hf://{repository} --arch {one_line(str(known["arch"]))} --dataset FOLDER"""
