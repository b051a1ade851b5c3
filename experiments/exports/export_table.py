"""What run.sh and latency.py left, as a page: python -m experiments.exports.export_table WORK > experiments/results/export.md."""

import json
import platform
import re
import sys
from pathlib import Path

import numpy as np


def main(work: Path) -> None:
    """Print the page."""
    print("# Exports: proofs, tools, latency\n")
    print(f"Printed by experiments/exports/export_table.py; {platform.machine()}.\n")
    for version in sorted(work.glob("saved_models/*/1")):
        _proof(version)
        name = version.parent.name
        show, ran = (work / f"{name}.{what}.txt" for what in ("show", "run"))
        if not ran.exists():
            print("`saved_model_cli` was not run on this version.\n")
            continue
        shown, answered = _signatures(show.read_text(encoding="utf-8")), _tail(ran.read_text(encoding="utf-8"))
        print(f"`saved_model_cli show --all`, its signatures:\n\n```\n{shown}\n```\n")
        print(f"`saved_model_cli run --signature_def serving_default` on one JPEG's bytes:\n\n```\n{answered}\n```\n")
    _latency([json.loads(file.read_text(encoding="utf-8")) for file in sorted(work.glob("*.json"))])


def _proof(version: Path) -> None:
    parity = json.loads((version / "parity.json").read_text(encoding="utf-8"))
    metadata = json.loads((version / "assets" / "metadata.json").read_text(encoding="utf-8"))
    print(f"## {metadata['arch']}: {version.parent.name}\n\nparity.json, {parity['images']}:\n")
    print("| artefact | same top-1 | n | largest difference | mean | files: largest, n | MB | ms per image | kept |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in parity["artefacts"]:
        images, files = row["images"], row.get("files")
        of_files = f"{files['max_difference']:.1e}, {files['n']}" if files else ""
        print(
            f"| {row['artefact']} | {images['top1']:.2%} | {images['n']} | {images['max_difference']:.1e}"
            f" | {images['mean_difference']:.1e} | {of_files} | {row['bytes'] / 1e6:.2f} | {row['latency_ms']:.2f}"
            f" | {'yes' if row['passed'] else 'no: ' + row['limit']} |"
        )
    print()


def _signatures(shown: str) -> str:
    """The signatures' part, without the concrete functions that follow."""
    body = shown.split("signature_def['features']", 1)[-1].split("The MetaGraph")[0].split("Concrete Functions")[0]
    return "signature_def['features']" + re.sub(r"\n{2,}", "\n", body).rstrip()


def _tail(ran: str) -> str:
    return ran[ran.index("Result for output key") :].strip()


def _latency(measured: list[dict]) -> None:
    if not measured:
        return
    print("## Latency against the Keras model in a tf.function\n")
    print(
        "Warm, interleaved rounds (`experiments/exports/latency.py`), median over rounds [lowest, highest]; float32, no jit.\n"
    )
    print(
        "Keras: this package's model; stock: the same layers as Keras itself computes them; SavedModel: the signature `images`;"
        " ONNX: in onnxruntime; LiteRT: one image at a time.\n"
    )
    print(
        "Milliseconds are per image; ratios say how many times faster than the Keras model an export is, pair by pair.\n"
    )
    ways = ("stock, ms", "Keras, ms", "SavedModel, ms", "ONNX, ms", "LiteRT, ms", "SavedModel", "ONNX", "LiteRT")
    print(f"| arch | px | batch | {' | '.join(ways)} |")
    print("|---" * (3 + len(ways)) + "|")
    for found in measured:
        for batch, kept in found["batches"].items():
            times = {name: np.array(seconds) * 1000 / int(batch) for name, seconds in kept["seconds"].items()}
            ratios = [times["keras"] / times[other] for other in ("export", "onnx", "litert")]
            shown = [f"{np.median(t):.2f} [{t.min():.2f}, {t.max():.2f}]" for t in (*times.values(), *ratios)]
            print(f"| {found['arch']} | {found['size']} | {batch} | {' | '.join(shown)} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
