"""Exports a finished run to `saved_models/<name>/<version>/`: artefacts are written, proven and described, then published."""

import dataclasses
import hashlib
import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras

from kerascnn.architectures import own
from kerascnn.artefacts import (
    card,
    folding,
    litert,
    onnx,
    openvino,
    own_images,
    proof,
    recalibration,
    reference,
    savedmodel,
)
from kerascnn.artefacts.file_rules import FileRules
from kerascnn.artefacts.opening import NETWORK_FILE, load_keras
from kerascnn.artefacts.sample import Sample, draw
from kerascnn.artefacts.versions import aside, clear_dead, publish, versions
from kerascnn.cli.command import refused
from kerascnn.cli.escaping import as_output, within
from kerascnn.cli.extras import require
from kerascnn.cli.progress import SILENT, Phases
from kerascnn.cli.recipes import dumps
from kerascnn.config import Logging, defaults
from kerascnn.data import Splits
from kerascnn.errors import FULL, PASSING, CheckFailed, UserError
from kerascnn.processes.fork_server import ForkServer
from kerascnn.runs import Run
from kerascnn.runs.files import read_json
from kerascnn.runs.scratch import scratch

PARITY_FILE = "parity.json"
CALIBRATION = 100  # images for the ranges of int8
# Packages of a format, whose extra has its name.
NEEDS = {
    "litert": ("ai_edge_litert",),
    "onnx": ("tf2onnx", "onnx", "onnxruntime"),
    "openvino": ("openvino",),
}


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """The options of an export.

    Attributes:
        formats: Keys of `proof.FORMATS`.
        name: Name of the folder below the exports, or None for the run's name.
        calibrate: Whether probabilities are softmax(logits / T) with the T that `evaluate` fitted on val.
        allow_drop: Percentage of images whose predicted class may change in float16 and int8.
        class_thresholds: Whether the prediction sets inside have a threshold for each class with enough calibration images.
    """

    formats: tuple[str, ...] = ("savedmodel",)
    name: str | None = None
    calibrate: bool = False
    allow_drop: float = proof.MAX_DROP
    class_thresholds: bool = False


class Exported(NamedTuple):
    """The result of an export.

    Attributes:
        version: Directory of the version.
        rows: Rows of parity.json; a row that did not pass has no file, one that does not run has `error` and no numbers.
        reused: Whether the version existed already.
    """

    version: Path
    rows: list[dict[str, Any]]
    reused: bool


def export(
    run: Run,
    exports_dir: Path,
    options: ExportOptions = ExportOptions(),
    *,
    splits: Splits | None = None,
    dataset: str | None = None,
    data_dir: str | None = None,
    say: Callable[[str], None] = lambda line: None,
    phases: Phases = SILENT,
    server: ForkServer | None = None,
) -> Exported:
    """Exports the best model of a finished run as the next version; the same run and options reuse an existing version.

    Args:
        run: A finished run.
        exports_dir: Folder of the exports, `saved_models`.
        options: Formats and options.
        splits: The run's data, if the caller has loaded them; the proof needs images.
        dataset: The present place of the run's data, if they have moved.
        data_dir: The present folder of the prepared data of TensorFlow Datasets.
        say: Called with a line per artefact.
        phases: Shows the progress.
        server: Forks the processes that prove, or None: they import TensorFlow.

    Raises:
        UserError: The run is not finished or not calibrated, a package is missing, its data are gone or have changed, or the
            name is not below `exports_dir`.
        CheckFailed: No artefact agrees with the network; no version is left. An artefact that fails beside others that pass
            is left out, and its row has the reason.
    """
    metrics = run.metrics()
    folder = folder_of(exports_dir, options.name or run.name)
    for form in dict.fromkeys(artefact.form for name in options.formats for artefact in proof.FORMATS[name]):
        require(form, *NEEDS.get(form, ()))
    temperature = _temperature(run, metrics, say) if options.calibrate else None
    made_of = {
        "weights": hashlib.sha256(run.best_model.read_bytes()).hexdigest(),
        "formats": sorted(set(options.formats)),
        "temperature": temperature,
        "allow_drop": options.allow_drop,
    }
    rules = FileRules.of_run(run, temperature or 1.0, by_class=options.class_thresholds)
    if rules.outputs:  # an export without further outputs is what it was before there were any
        made_of["trust"] = hashlib.sha256(json.dumps(rules.kept()).encode()).hexdigest()
    found = _same(folder, made_of)
    if found is not None:
        version, rows = found
        clear_dead(folder)
        return Exported(version, rows, reused=True)
    if splits is None:
        with phases.phase("listing the run's images"):
            splits = own_images.load(run, dataset, data_dir, say=say)
    with scratch() as place, aside(folder) as version:
        with phases.phase("reading images for the proof"):
            sample = draw(splits, place)
        making = _Making(run, options, temperature, rules, splits, sample, version, say, phases, server)
        try:
            rows = making.all(made_of)
        finally:
            making.prover.close()
        parity = {"images": f"{len(sample.images)} of {sample.split}, evenly spread", "artefacts": rows}
        reference.write(version, making.outputs)
        (version / PARITY_FILE).write_text(json.dumps(parity, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        card.write(version, run, folder.name, rows)
        return Exported(publish(version, folder), rows, reused=False)


def folder_of(exports_dir: Path, name: str) -> Path:
    """Returns `exports_dir / name`.

    Raises:
        UserError: The name is not that of a single folder, or leads out of `exports_dir`, or is not UTF-8.
    """
    if not name or name.startswith(".") or re.search(r'[/\\\0\n\r\t"]', name):
        raise UserError(f"--name: expected one folder's name, got {name!r}")
    return as_output(within(exports_dir, name))


def _temperature(run: Run, metrics: dict[str, Any], say: Callable[[str], None]) -> float | None:
    """Returns the temperature that val determined; None, which is reported, if there is none."""
    if run.task.several:
        raise UserError("--calibrate: a temperature is fitted to one label per image; these have several")
    val = metrics.get("val", {})
    found = val.get("temperature")
    if "members" in metrics:
        raise UserError(
            "--calibrate: an ensemble of folds has no val that all of its networks have not seen: leave it out"
        )
    if found is None:
        raise UserError(
            f"--calibrate: run {run.name} has no temperature yet:"
            f" `kerascnn evaluate {shlex.quote(str(run.path))} --split val` fits one"
        )
    if val.get("temperature_reason"):
        say(
            f"--calibrate changes nothing: the temperature of run {run.name} stays 1: val has {val['temperature_reason']}"
        )
        return None
    return float(found)


def _same(folder: Path, made_of: dict[str, Any]) -> tuple[Path, list[dict[str, Any]]] | None:
    """Returns the newest complete version with the same content, and its rows of parity.json."""
    for number in reversed(versions(folder)):
        version = folder / str(number)
        try:
            described = savedmodel.read_metadata(version)
        except (OSError, UserError):
            continue
        if described.get("export") == made_of and (rows := _rows(version)) is not None:
            return version, rows
    return None


def _rows(version: Path) -> list[dict[str, Any]] | None:
    """Returns the artefacts of a version; None if it is damaged, or if one did not run, which is tried again."""
    try:
        rows = read_json(version / PARITY_FILE)["artefacts"]
    except (OSError, UserError):
        return None
    return None if any("error" in row for row in rows) else rows


class _Making:
    """A version while it is being made."""

    def __init__(
        self,
        run: Run,
        options: ExportOptions,
        temperature: float | None,
        rules: FileRules,
        splits: Splits,
        sample: Sample,
        folder: Path,
        say: Callable[[str], None],
        phases: Phases,
        server: ForkServer | None,
    ) -> None:
        self.run, self.options, self.sample, self.folder, self.say = run, options, sample, folder, say
        self.phases, self.rules, self.splits = phases, rules, splits
        self.own_rules: dict[str, FileRules] = {}  # of artefacts with thresholds of their own
        self.known = run.data()
        with phases.phase("loading the best model"):
            best = load_keras(run.best_model)
        self.task, self.labels = run.task, savedmodel.of_labels(run.task, run.thresholds, self.known["class_names"])
        self.model = best if temperature is None else folding.calibrated(best, temperature)
        savedmodel.check(self.model, self.known["class_names"])
        with phases.phase("predicting the proof's images with the run"):
            self.outputs: dict[str, Any] = {}  # of each artefact for the images of `kerascnn verify`
            self.prover = proof.Prover(run, best, temperature or 1.0, sample, options.allow_drop, server, rules)

    def all(self, made_of: dict[str, Any]) -> list[dict[str, Any]]:
        """Writes and proves every artefact; returns the rows of parity.json."""
        run, known = self.run, self.known
        facts = {
            "run": run.name,
            "arch": own.shown(run.config().model.arch),
            "finished": run.metrics()["finished"],
            "export": made_of,
            **self.labels,
            **self._trust(),
        }
        assets = savedmodel.describe(known["class_names"], known["image_size"], known["resize"], facts)
        assets |= {run.config_file.name: _placeless(run).encode(), run.metrics_file.name: run.metrics_file.read_bytes()}
        (self.folder / "assets").mkdir()
        for name, content in assets.items():
            (self.folder / "assets" / name).write_bytes(content)
        with self.phases.phase("folding the normalizations"):
            plain = folding.served(folding.folded(self.model), self.task)
            network = folding.with_further(plain, self.rules) if self.rules.outputs else plain
        rows = []
        for artefact in dict.fromkeys(artefact for form in self.options.formats for artefact in proof.FORMATS[form]):
            rows.append(self._made(artefact, plain if artefact.form == "litert" else network, assets))
            self.say(proof.line(rows[-1]))
            if not rows[-1]["passed"]:
                self._remove(artefact)
        if not any(row["passed"] for row in rows):
            reasons = "".join(f"\n  {row['artefact']}: {proof.why(row)}" for row in rows)
            raise CheckFailed(f"nothing was exported, and no version is left:{reasons}")
        return rows

    def _made(self, artefact: proof.Artefact, network: keras.Model, assets: dict[str, bytes]) -> dict[str, Any]:
        """Writes and proves one artefact; returns its row. An error of a converter or a runtime affects only its artefact."""
        try:
            self.prover.expect(artefact.form)
            with self.phases.phase(f"writing {artefact.name}"):
                self._write(artefact, network, assets)
            with self.phases.phase(f"proving {artefact.name} in a fresh process"):
                row = self.prover.prove(artefact, self.folder, self.own_rules.get(artefact.name))
                self.outputs[artefact.name] = self.prover.outputs(artefact, self.folder)
                return row
        except Exception as error:  # each of these libraries raises different errors
            system = refused(error)
            if isinstance(error, MemoryError) or (system is not None and system.errno in (*FULL, *PASSING)):
                raise  # not the fault of an artefact
            return proof.unmade(artefact, " ".join(str(error).split())[:500] or type(error).__name__)

    def _remove(self, artefact: proof.Artefact) -> None:
        """Removes all files of an artefact that did not pass."""
        for path in (self.folder / name for name in artefact.files):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _write(self, artefact: proof.Artefact, network: keras.Model, assets: dict[str, bytes]) -> None:
        path, known = self.folder / artefact.file, self.known
        contract = {name: known[name] for name in ("class_names", "image_size", "resize")}
        if artefact.form == "savedmodel":
            savedmodel.write_served(network, self.folder, **contract, assets=assets, thresholds=self.prover.thresholds)
        elif artefact.form == "litert":
            images = self.sample.images[:: max(1, len(self.sample.images) // CALIBRATION)]
            kind: litert.Kind = artefact.name.split()[1]  # type: ignore[assignment]
            known = {**contract, **self.labels}
            litert.write(network, path, kind, images, self.run.name, known, lambda file: self._rules(artefact, file))
        elif artefact.form == "onnx":
            onnx.write(network, path, {**contract, **self.labels, **self._trust()})
        elif artefact.form == "openvino":
            openvino.write(network, path, {**contract, **self.labels, **self._trust()})
        else:
            self.model.save(path)
            if self.run.network_file.exists():
                shutil.copyfile(self.run.network_file, self.folder / NETWORK_FILE)

    def _trust(self) -> dict[str, Any]:
        """Returns the metadata of the further outputs, if there are any."""
        return {"trust": self.rules.kept()} if self.rules.outputs else {}

    def _rules(self, artefact: proof.Artefact, file: Path) -> FileRules:
        """Returns the rules for a converted LiteRT file: in 8 bits with thresholds from its own answers."""
        if artefact.name.endswith("int8") and self.rules.outputs:
            with self.phases.phase(f"thresholds of {artefact.name} from its own answers"):
                self.own_rules[artefact.name] = recalibration.recalibrated(file, self.rules, self.run, self.splits)
        return self.own_rules.get(artefact.name, self.rules)


def _placeless(run: Run) -> str:
    """Returns the run's config as TOML without the paths of its images, weights and teacher: exports are given to others."""
    config = run.config()
    weights = config.model.weights and config.model.weights.rpartition("/")[2]
    data = {"dataset": run.data()["name"], "data_dir": None, "split_file": None, "exclude": None, "relabel": None}
    used = defaults.used(config, run.data()["image_size"])
    model = {"weights": weights, "arch": own.placeless(config.model.arch)}
    teacher = {"teacher": config.optim.teacher and config.optim.teacher.rpartition("/")[2]}
    return dumps(config.replace(data=data, model=model, optim=teacher, logging=dict(Logging())), used)
