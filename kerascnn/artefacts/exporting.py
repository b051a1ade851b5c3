"""A finished run as artefacts below `saved_models/<name>/<version>/`: written, proven, described, and only then there."""

import dataclasses
import hashlib
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras

from kerascnn import data
from kerascnn.artefacts import card, folding, litert, onnx, proof, savedmodel
from kerascnn.artefacts.extras import require
from kerascnn.artefacts.predictor import load_keras
from kerascnn.artefacts.sample import Sample, draw
from kerascnn.artefacts.versions import aside, publish, versions
from kerascnn.cli import CheckFailed, dumps
from kerascnn.config import Logging, UserError
from kerascnn.data import Splits
from kerascnn.escaping import within
from kerascnn.runs import Run

PARITY_FILE = "parity.json"
CALIBRATION = 100  # images that give int8 its ranges
NEEDS = {"litert": ("ai_edge_litert",), "onnx": ("tf2onnx", "onnx", "onnxruntime")}


@dataclasses.dataclass(frozen=True)
class Options:
    """What is exported, and how.

    Attributes:
        formats: Keys of `proof.FORMATS`.
        name: The folder below the exports; None for the run's name.
        calibrate: Whether probabilities are softmax(logits / T), T being what `evaluate` fitted on val.
        allow_drop: Per cent of images whose answer may change in float16 and int8.
    """

    formats: tuple[str, ...] = ("savedmodel",)
    name: str | None = None
    calibrate: bool = False
    allow_drop: float = proof.MAX_DROP


class Exported(NamedTuple):
    """What became of it.

    Attributes:
        version: Its directory.
        rows: Those of parity.json; one that did not pass has no file.
        reused: Whether the version was there already.
    """

    version: Path
    rows: list[dict[str, Any]]
    reused: bool


def export(
    run: Run,
    exports_dir: Path,
    options: Options = Options(),
    *,
    splits: Splits | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Exported:
    """The best model of a finished run as the next version; the same run and options reuse the version that is there.

    Args:
        run: With metrics.json.
        exports_dir: `saved_models`.
        options: What and how.
        splits: The run's data, where the caller has loaded them; the proof needs images.
        dataset: Where the run's data are now, if they have moved.
        data_dir: The same for what TensorFlow Datasets prepared.
        say: Hears a line per artefact.

    Raises:
        UserError: The run is not finished or not calibrated, a package is missing, its data are gone or have changed, or the
            name would leave `exports_dir`.
        CheckFailed: A float32 artefact does not agree with the network; no version is left behind.
    """
    metrics = run.metrics()
    folder = folder_of(exports_dir, options.name or run.name)
    for form in options.formats:
        require(form, *NEEDS.get(form, ()))
    temperature = _temperature(run, metrics) if options.calibrate else None
    made_of = {
        "weights": hashlib.sha256(run.best_model.read_bytes()).hexdigest(),
        "formats": sorted(set(options.formats)),
        "temperature": temperature,
        "allow_drop": options.allow_drop,
    }
    found = _same(folder, made_of)
    if found is not None:
        rows = json.loads((found / PARITY_FILE).read_text(encoding="utf-8"))["artefacts"]
        return Exported(found, rows, reused=True)
    splits = splits or _load(run, dataset, data_dir)
    with TemporaryDirectory() as place, aside(folder) as version:
        sample = draw(splits, Path(place))
        rows = _Making(run, options, temperature, sample, version, say).all(made_of)
        parity = {"images": f"{len(sample.images)} of {sample.split}, evenly spread", "artefacts": rows}
        (version / PARITY_FILE).write_text(json.dumps(parity, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        card.write(version, run, folder.name, rows)
        return Exported(publish(version, folder), rows, reused=False)


def folder_of(exports_dir: Path, name: str) -> Path:
    """`exports_dir / name`.

    Raises:
        UserError: The name is no single folder's, or leads out of `exports_dir`.
    """
    if not name or name.startswith(".") or re.search(r'[/\\\0\n\r\t"]', name):
        raise UserError(f"--name: expected one folder's name, got {name!r}")
    return within(exports_dir, name)


def _temperature(run: Run, metrics: dict[str, Any]) -> float:
    found = metrics.get("val", {}).get("temperature")
    if found is None:
        raise UserError(
            f"--calibrate: run {run.name} has no temperature yet:"
            f" `kerascnn evaluate {shlex.quote(str(run.path))} --split val` fits one"
        )
    return float(found)


def _same(folder: Path, made_of: dict[str, Any]) -> Path | None:
    """The newest whole version that was made of the same."""
    for number in reversed(versions(folder)):
        version = folder / str(number)
        try:
            described = savedmodel.read_metadata(version)
        except (OSError, ValueError):
            continue
        if described.get("export") == made_of and (version / PARITY_FILE).exists():
            return version
    return None


def _load(run: Run, dataset: str | None, data_dir: str | None) -> Splits:
    moved = {key: value for key, value in (("dataset", dataset), ("data_dir", data_dir)) if value is not None}
    splits = data.load(run.config().replace(data=moved).data)
    if splits.fingerprint != run.data()["fingerprint"]:
        raise UserError(
            f"the images of run {run.name} have changed since it was trained: a proof needs the same ones"
            " (--dataset says where they are now)"
        )
    return splits


class _Making:
    """One version while it is made."""

    def __init__(
        self,
        run: Run,
        options: Options,
        temperature: float | None,
        sample: Sample,
        folder: Path,
        say: Callable[[str], None],
    ) -> None:
        self.run, self.options, self.sample, self.folder, self.say = run, options, sample, folder, say
        self.known = run.data()
        best = load_keras(run.best_model)
        self.model = best if temperature is None else folding.calibrated(best, temperature)
        savedmodel.check(self.model, self.known["class_names"])
        self.prover = proof.Prover(run.path, best, temperature or 1.0, sample, options.allow_drop)

    def all(self, made_of: dict[str, Any]) -> list[dict[str, Any]]:
        """Write and prove every artefact; returns the rows of parity.json."""
        run, known = self.run, self.known
        facts = {
            "run": run.name,
            "arch": run.config().model.arch,
            "finished": run.metrics()["finished"],
            "export": made_of,
        }
        assets = savedmodel.describe(known["class_names"], known["image_size"], known["resize"], facts)
        assets |= {run.config_file.name: _placeless(run).encode(), run.metrics_file.name: run.metrics_file.read_bytes()}
        (self.folder / "assets").mkdir()
        for name, content in assets.items():
            (self.folder / "assets" / name).write_bytes(content)
        network = folding.served(folding.folded(self.model))
        rows = []
        for form in dict.fromkeys(self.options.formats):
            for artefact in proof.FORMATS[form]:
                self._write(artefact, network, assets)
                rows.append(self._proven(artefact))
        return rows

    def _write(self, artefact: proof.Artefact, network: keras.Model, assets: dict[str, bytes]) -> None:
        path, known = self.folder / artefact.file, self.known
        contract = {name: known[name] for name in ("class_names", "image_size", "resize")}
        if artefact.form == "savedmodel":
            savedmodel.write(self.model, self.folder, **contract, assets=assets)
        elif artefact.form == "litert":
            images = self.sample.images[:: max(1, len(self.sample.images) // CALIBRATION)]
            litert.write(network, path, artefact.name.split()[1], images)  # type: ignore[arg-type]
        elif artefact.form == "onnx":
            onnx.write(network, path, contract)
        else:
            self.model.save(path)

    def _proven(self, artefact: proof.Artefact) -> dict[str, Any]:
        """The artefact's row; what disagrees is removed, or ends the export where it should be exact."""
        try:
            row = self.prover.prove(artefact, self.folder)
        except RuntimeError as error:
            raise CheckFailed(f"{artefact.name}: {error}\nno version was left behind") from None
        self.say(proof.line(row))
        if not row["passed"] and artefact.exact:
            raise CheckFailed(
                f"{artefact.name} differs from the run by {row['images']['max_difference']}, more than {proof.TOLERANCE:g}:"
                " no version was left behind"
            )
        if not row["passed"]:
            (self.folder / artefact.file).unlink()
        return row


def _placeless(run: Run) -> str:
    """The run's config as TOML, without the places of its images and weights: an export goes to other people."""
    config = run.config()
    weights = config.model.weights and config.model.weights.rpartition("/")[2]
    data = {"dataset": run.data()["name"], "data_dir": None, "split_file": None}
    return dumps(config.replace(data=data, model={"weights": weights}, logging=dict(Logging())))
