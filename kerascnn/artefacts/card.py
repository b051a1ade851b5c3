"""Pages beside an export: the version's README for people who serve it, and the model card for people who rely on it."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kerascnn.architectures import own
from kerascnn.artefacts import onnx, proof, savedmodel, trust_page
from kerascnn.cli.escaping import as_markdown
from kerascnn.data.decode import MAX_PIXELS
from kerascnn.runs import Run
from kerascnn.scoring import task as tasks
from kerascnn.scoring.task import Task

README_FILE, CARD_FILE = "README.md", "MODEL_CARD.md"
SHOWN = 20  # number of classes; the others are in classes.txt


def write(version: Path, run: Run, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes both pages into `version`, which has all its artefacts.

    Args:
        version: The directory.
        run: The run of the artefacts.
        name: Name of the model on a server.
        rows: The rows of parity.json.
    """
    (version / CARD_FILE).write_text(model_card(run, savedmodel.read_metadata(version), rows), encoding="utf-8")
    page = readme(savedmodel.read_metadata(version), name, rows) + _checksums(version)
    (version / README_FILE).write_text(page, encoding="utf-8")


def readme(metadata: Mapping[str, Any], name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns the page about the use of every artefact of a version."""
    url = f"http://localhost:8501/v1/models/{quote(name, safe='')}:predict"
    names, size = metadata["class_names"], metadata["image_size"]
    parts = [f"# {as_markdown(name)}\n\nAn image classifier, {as_markdown(metadata['arch'])}, exported by kerascnn."]
    parts.append(
        "See MODEL_CARD.md for its intended use and parity.json for the proof that it equals the trained network."
    )
    if any(row["artefact"] == "savedmodel" and row["passed"] for row in rows):
        task = tasks.of_facts(metadata)
        further = trust_page.outputs(metadata, len(names))
        signatures = _signatures(size, len(names), metadata["resize"], task, further)
        parts += [_serving(url, name), _client(url, task), signatures]
    if any(row["file"].startswith("model") for row in rows if row["passed"]):
        parts.append(_files(size, len(names), metadata["resize"]))
    parts += [_classes(names, metadata.get("thresholds")), *trust_page.section(metadata, rows), _table(rows)]
    return "\n\n".join(parts) + "\n"


def _serving(url: str, name: str) -> str:
    plain = shlex.quote(name)
    return f"""## Use

TensorFlow Serving, started in the directory of the folder {as_markdown(name)} :

    docker run -p 8501:8501 -v "$PWD"/{plain}:/models/{plain} -e MODEL_NAME={plain} \\
        -e TF_ENABLE_ONEDNN_OPTS=1 tensorflow/serving

TensorFlow leaves oneDNN off on x86 CPUs without AVX512-VNNI, AVX512-BF16, AVX-VNNI or AMX; the variable turns it on, and
predictions stay the same to rounding. A Python program sets it before `import tensorflow`.

One line, photo.jpg being a JPEG or PNG (a file of any size: the line itself stays short):

    (printf '{{"instances": [{{"b64": "'; base64 < photo.jpg | tr -d '\\n'; printf '"}}]}}') | curl -s -d @- {url}"""


def _client(url: str, task: Task) -> str:
    shown = """for name, score in zip(answer["classes"], answer["scores"]):
    print(f"{score:.4f} {name}")"""
    if task.several:  # names are in assets/classes.txt
        shown = """for number, there in enumerate(answer["labels"]):
    if there:
        print(f"{answer['probabilities'][number]:.4f} class {number}")"""
    return f"""Ten lines of Python, without TensorFlow:

```python
import base64, json, sys, urllib.error, urllib.request

url = "{url}"
photo = base64.b64encode(open(sys.argv[1], "rb").read()).decode()
body = json.dumps({{"instances": [{{"b64": photo}}]}}).encode()
try:
    answer = json.load(urllib.request.urlopen(url, body))["predictions"][0]
except urllib.error.HTTPError as error:
    sys.exit(f"{{error.code}}: {{error.read().decode()}}")
{shown}
```"""


def _signatures(size: int, classes: int, resize: str, task: Task, further: str) -> str:
    top = min(savedmodel.TOP, classes)
    what = "0 to 1, they sum to 1, in the order of the classes below"
    labels = ""
    if task.several:
        what = "0 to 1 for each label, in the order of the classes below"
        labels = f"""
| `labels` | the first two | bool | [batch, {classes}] | probabilities at or above the thresholds below |"""
    return f"""## Signatures of the SavedModel

| signature | input | type | shape | what |
|---|---|---|---|---|
| `serving_default` | `image_bytes` | string | [batch] | one encoded JPEG or PNG each, of any size |
| `images` | `images` | float32 | [batch, height, width, 3] | RGB, 0 to 255 (not 0 to 1), of any size |
| `features` | `images` | float32 | [batch, height, width, 3] | the same |

| output | of | type | shape | what |
|---|---|---|---|---|
| `probabilities` | the first two | float32 | [batch, {classes}] | {what} |{labels}
| `classes` | the first two | string | [batch, {top}] | names, the most probable first |
| `scores` | the first two | float32 | [batch, {top}] | their probabilities |{further}
| `features` | `features` | float32 | [batch, channels] | pooled, 0 or more in most networks: for search and clustering |

Images are brought to {size} x {size} pixels inside the graph ({as_markdown(resize)}), as in training. In Python,
`tf.saved_model.load(folder)(images)` takes uint8 as well.

A bad image (neither JPEG nor PNG, damaged, or of more than {MAX_PIXELS:,} pixels, by its header, before it is
decoded) fails the whole batch with INVALID_ARGUMENT, over HTTP 400 and a message: send untrusted images one by one."""


def _files(size: int, classes: int, resize: str) -> str:
    return f"""## Single files

`model.onnx` (opset {onnx.OPSET}) and `model.xml` (OpenVINO, with its `model.bin`) take `images` float32
[batch, {size}, {size}, 3], any number of them; `model_*.tflite` take one image, float32 [1, {size}, {size}, 3];
all RGB, 0 to 255, already {size} x {size}, and return `probabilities` [batch, {classes}] and `features`. The classes are in
the files: as metadata in ONNX and OpenVINO, and as labels.txt in LiteRT, where readers of its metadata find them.
`model.keras` takes the same and returns logits (`import kerascnn.layers` first). Decoding and resizing
({as_markdown(resize)}) are left to the caller; `kerascnn predict FILE photo.jpg` does both."""


def _classes(names: Sequence[str], thresholds: Mapping[str, Any] | None) -> str:
    each = [f" {value:.4g} |" for value in thresholds["each"]] if thresholds else [""] * len(names)
    rows = "\n".join(f"| {place} | {as_markdown(name)} |{each[place]}" for place, name in enumerate(names[:SHOWN]))
    head = "| index | class |\n|---|---|" if thresholds is None else "| index | class | threshold |\n|---|---|---|"
    rest = f"\n\n... and {len(names) - SHOWN} more." if len(names) > SHOWN else ""
    return f"""## Classes

In the order of `probabilities`; all of them, one per line, in assets/classes.txt.

{head}
{rows}{rest}"""


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [_line(row) for row in rows]
    made = next((row for row in rows if "error" not in row), None)
    what = "same top-1" if made is None or proof.same(made)[0] == "top-1" else proof.same(made)[0]
    head = f"| artefact | file | MB | ms per image | {what} | largest difference of a probability | n images |"
    table = "\n".join([head, "|---|---|---|---|---|---|---|", *lines])
    return f"""## Proof

Reloaded in a fresh process and compared with the trained network; milliseconds are of one warm call with one image on the
machine of the export.

{table}"""


def _line(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"| {row['artefact']} | not kept: {as_markdown(row['error'])} | | | | | |"
    return (
        f"| {row['artefact']} | {row['file'] if row['passed'] else 'not kept: ' + row['limit']} | {row['bytes'] / 1e6:.2f} |"
        f" {row['latency_ms']:.2f} | {proof.same(row)[1]:.2%} | {_short(row['images']['max_difference'])} |"
        f" {row['images']['n']} |"
    )


def _checksums(version: Path) -> str:
    files = sorted(path for path in version.rglob("*") if path.is_file())
    lines = [f"    {hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(version)}" for path in files]
    return "\n## sha256\n\n" + "\n".join(lines) + "\n"


def model_card(run: Run, metadata: Mapping[str, Any], rows: Sequence[Mapping[str, Any]] = ()) -> str:
    """Returns the page about the network: its data, scores, intended use and limits."""
    known, metrics, config, starts = run.data(), run.metrics(), run.config(), run.environment()
    names, task = known["class_names"], run.task
    counts = ", ".join(f"{n:,} {split}" for split, n in known.get("images", {}).items())
    calibrated = metadata["export"]["temperature"]
    cooled = f", divided by a temperature of {calibrated:.4g} that was fitted on val" if calibrated else ", as trained"
    lines = [
        f"# Model card: {as_markdown(run.name)}",
        "",
        f"- **Network**: {as_markdown(own.shown(config.model.arch))},"
        f" {metrics['params']:,} parameters, {metrics['macs'] / 1e6:,.1f} M"
        f" multiply-adds at {known['image_size']} px.",
        f"- **Probabilities**: {_probabilities(metadata, task)}{cooled}.",
        f"- **Trained** {_training(metrics)}, finished {as_markdown(metrics['finished'])}, seed {config.fit.seed};"
        " the config is assets/config.toml.",
        "",
        "## Data",
        "",
        f"{as_markdown(known.get('name', 'unknown'))}: {counts}. Fingerprint {as_markdown(known['fingerprint'])}.",
        f"{len(names)} classes: {', '.join(as_markdown(name) for name in names[:SHOWN])}"
        f"{f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''}.",
        "",
        "## Intended use",
        "",
        f"To classify images like those that it was trained on, {_answers(task)}, with a person or a further check after it"
        " wherever a mistake would do harm.",
        "",
        "## Scores",
        "",
        f"95 % intervals over {_units(metrics)}, of {'the ensemble' if 'members' in metrics else 'one training run'}.",
        "",
        *_scores(metrics, task),
        "",
        *trust_page.card(metadata, rows),
        "## Limits",
        "",
        f"- {_closed(len(names), task)}",
        "- Scores hold for images from the same source; other cameras, places or times were not measured.",
        f"- A probability says how sure the network is{'' if calibrated else ', and was not calibrated'}; it is not a guarantee.",
        f"- The network sees {known['image_size']} x {known['image_size']} pixels: small details of a large photo are lost.",
        *(
            ["- There was no separate test set: the scores are of the images that chose the model."]
            if metrics.get("test_is_val")
            else []
        ),
        "",
        "## Environment",
        "",
        *_environment(starts, metadata),
    ]
    return "\n".join(lines) + "\n"


def _training(metrics: Mapping[str, Any]) -> str:
    """Returns how long the network was trained, or what an ensemble is made of."""
    if "members" in metrics:
        count = len(metrics["members"])
        return (
            f"as {count} networks, each without one fold of the images; their mean costs {count} times as much as one"
        )
    if "soup" in metrics:
        return f"as the mean of the weights of {len(metrics['soup']['taken'])} runs"
    chosen = f"best by {as_markdown(str(metrics['monitor']))}: {metrics['best_epoch']}"
    if averaged := metrics.get("averaged_epochs"):
        chosen = f"the mean of the weights after epochs {averaged[0]} to {averaged[-1]}"
    return f"{metrics['epochs']} epochs ({chosen})"


def _probabilities(metadata: Mapping[str, Any], task: Task) -> str:
    if not task.several:
        return "softmax of the logits"
    chosen = metadata["thresholds"]["chosen_on"]
    how = f"from the threshold on that {chosen} chose by F1" if chosen else "from 0.5 on"
    return f"sigmoid of each logit; a label is predicted {how}, of each class its own"


def _answers(task: Task) -> str:
    return "any number of labels per image" if task.several else "one class per image"


def _closed(classes: int, task: Task) -> str:
    if task.several:
        return f"It knows {classes} labels and is silent about everything else; an image may get none."
    return f"Every image gets one of the {classes} classes, even one that shows none of them: there is no other class."


def _units(metrics: Mapping[str, Any]) -> str:
    """Returns the units that the intervals resample."""
    return (
        "whole groups of images" if any("groups" in metrics.get(split, {}) for split in ("test", "val")) else "images"
    )


def _scores(metrics: Mapping[str, Any], task: Task) -> list[str]:
    rows = ["| split | score | value | 95 % interval | n |", "|---|---|---|---|---|"]
    for split in ("test", "val"):
        for score in task.rows:
            if found := metrics.get(split, {}).get(score.name):
                interval = f"{score.show(found['low'])} to {score.show(found['high'])}"
                rows.append(f"| {split} | {score.title} | {score.show(found['value'])} | {interval} | {found['n']} |")
        worst = metrics.get(split, {}).get("worst_class")
        if worst and task.several:
            precision = worst["average_precision"]
            shown = (
                f"{precision['value']:.4f} | {precision['low']:.4f} to {precision['high']:.4f} | {worst['n']} with it |"
            )
            rows.append(f"| {split} | average precision of the worst class, {as_markdown(worst['name'])} | {shown}")
        elif worst:
            rows.append(
                f"| {split} | F1 of the worst class, {as_markdown(worst['name'])} | {worst['f1']:.4f} | | {worst['n']} |"
            )
    if left := metrics.get("test", metrics.get("val", {})).get("left_out"):
        rows += ["", f"Left out of mAP, since all images or none have the label: {', '.join(map(as_markdown, left))}."]
    return rows


def _environment(starts: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> list[str]:
    made = ", ".join(f"{name} {version}" for name, version in metadata["versions"].items())
    lines = [f"- Exported with {made}."]
    for start in starts[-1:]:
        facts = {
            key: value for key, value in start.items() if isinstance(value, str | int | float) and key != "command"
        }
        lines.append(
            "- Trained with "
            + ", ".join(f"{as_markdown(key)} {as_markdown(str(value))}" for key, value in facts.items())
            + "."
        )
    return lines


def _short(value: float | None) -> str:
    return "no number" if value is None else f"{value:.1e}"
