"""Several workers train as one does: the weights and scores of one, two and three processes, option by option.

    python experiments/multi_host.py FOLDER [--case=NAME ...] [--workers 2 3]

Each case is trained by one process and by several on 127.0.0.1, on the embedded images, with a global batch of 12: resnet20
at a quarter of its width, 2 epochs. Layers compute in float64, so that what differs is the order of sums and not their rounding,
which float32 lets grow. FOLDER keeps what was trained, so that a second call only adds what is missing; the table is printed.
"""

import argparse
import dataclasses
import json
import socket
import subprocess
import sys
import zlib
from pathlib import Path

from kerascnn.devices import workers
from kerascnn.devices.cluster import here

BASE = {
    "data": {"fraction": 0.02},
    "model": {"arch": "resnet20", "width": 0.25, "blocks": (1, 1, 1)},
    "optim": {"optimizer": "sgd", "lr": 0.02, "warmup": 0, "label_smoothing": 0.1},
    "fit": {"epochs": 2, "batch_size": 12, "low_res_epochs": 0},
    "devices": {"devices": "cpu", "dtype": "float32", "sync_bn": True},
}
CASES = {
    "shift, flip": {},
    "mixup, cutmix": {"augment": {"augment": ("shift", "flip", "mixup", "cutmix")}},
    "mixup by pairs": {"augment": {"augment": ("flip", "mixup"), "mix_mode": "pair"}},
    "class weights, balanced sampling": {"optim": {"class_weights": "balanced"}, "fit": {"sampling": "balanced"}},
    "--accumulate 3": {"fit": {"accumulate": 3}},
    "--ema 0.9": {"optim": {"ema": 0.9, "ema_warmup": True}},
    "--low-res-epochs 1": {"fit": {"low_res_epochs": 1}},
    "--head-epochs 1": {"model": {"weights": "WEIGHTS"}, "fit": {"head_epochs": 1}},
    "auxiliary heads (googlenet)": {"model": {"arch": "googlenet", "width": 0.125, "blocks": None, "dropout": 0.0}},
    "--sam-rho 0.05": {"optim": {"sam_rho": 0.05}},
    "--remat": {"fit": {"remat": True}},
    "adamw, --clip-norm 1": {"optim": {"optimizer": "adamw", "lr": 0.002, "clip_norm": 1.0}},
    "muon": {"optim": {"optimizer": "muon", "lr": 0.02}},
    "--lookahead 3": {"optim": {"lookahead": 3}},
    "--schedule plateau": {"optim": {"schedule": "plateau", "plateau_patience": 1, "lr_min": 1e-4}},
    "--average-last 2": {"fit": {"average_last": 2}},
    "plain normalization, float32": {"devices": {"sync_bn": False}},
}
EXACT = ("loss", "accuracy", "val_loss", "val_accuracy", "val_macro_f1")


def slug(case: str) -> str:
    """Returns a case as a file's name."""
    return "".join(c if c.isalnum() else "_" for c in case)


def in_float64() -> None:
    """Has the networks of this process compute in float64, all layers of them; losses are float32 once they are means."""
    import keras

    from kerascnn.devices import plan
    from kerascnn.training import assembly, losses
    from kerascnn.training.muon import Muon

    @keras.saving.register_keras_serializable(package="multi_host")  # clones of a compiled network look it up
    class InFloat64(keras.losses.CategoricalCrossentropy):
        def __call__(self, *arguments):
            return keras.ops.cast(super().__call__(*arguments), "float32")

    network, update_step = assembly.network, Muon.update_step

    def wide(*arguments):
        return keras.models.clone_model(
            network(*arguments),
            clone_function=lambda layer: type(layer).from_config({**layer.get_config(), "dtype": "float64"}),
        )

    def step(self, gradient, variable, rate):
        update_step(self, gradient, variable, keras.ops.cast(rate, variable.dtype))

    assembly.network, Muon.update_step = wide, step
    losses.build = lambda *_: InFloat64(from_logits=True, dtype="float64")
    plan._policy = lambda *_: ("float64", "this experiment")


def config_of(case: str, folder: Path, count: int):
    """Returns the config of a case."""
    from kerascnn.config import Config

    sections = json.loads(
        json.dumps(CASES[case]).replace("WEIGHTS", str(folder / f"{slug('shift, flip')}-1" / "best.keras"))
    )
    logging = {"runs_dir": folder, "run": f"{slug(case)}-{count}", "export": False, "track": ("tensorboard",)}
    return Config().replace(**BASE, logging=logging).replace(**sections)


def train(case: str, folder: Path, team) -> None:
    """Trains a case, and has the chief keep the weights in memory, the history, and whether all workers have the same."""
    import numpy as np

    from kerascnn import data, training
    from kerascnn.cli.screen import Screen
    from kerascnn.devices.plan import host_values
    from kerascnn.runs import Run, prepare
    from kerascnn.training import assembly, loop

    config = config_of(case, folder, team.count)
    splits = data.load(config.data)
    parts = {
        name: dataclasses.replace(part, indices=part.indices[:count], labels=part.labels[:count])
        for name, part, count in (("val", splits.val, 65), ("test", splits.test, 40))
    }
    splits = dataclasses.replace(splits, **parts)
    config = training.resolve(config, splits)
    built: list = []
    build = assembly.build_and_compile
    loop.build_and_compile = lambda *arguments: built.append(build(*arguments)) or built[-1]
    run = prepare(config, splits.fingerprint, splits.name) if team.chief else Run(folder)
    screen = Screen()
    screen.console.quiet = True
    training.train(config, run, splits=splits, screen=screen, draw=False, read_test=False, team=team)
    weights = assembly.averaged(built[-1])
    sums = [zlib.crc32(np.ascontiguousarray(value)) for value in host_values(built[-1].variables)]
    same = len(set(team.gather(json.dumps(sums).encode()))) == 1
    if team.chief:
        np.savez(folder / f"{slug(case)}-{team.count}.npz", *weights)
        facts = {"rows": run.history(), "val": run.metrics()["val"]["accuracy"]["value"], "same": same, "n": len(sums)}
        (folder / f"{slug(case)}-{team.count}.json").write_text(json.dumps(facts))
        print(f"{case}: trained by {team.count}", flush=True)


def work(folder: Path, cases: list[str], workers_at: str | None, index: int | None) -> None:
    """Trains the cases as one worker, one after the other."""
    cluster = here(workers_at, index, {})
    with workers.together(cluster, 300, print) as team:
        from kerascnn.devices.plan import setup

        if not any("float32" in case for case in cases):
            in_float64()
        setup(config_of(cases[0], folder, 1).devices, BASE["fit"]["batch_size"], team)
        for case in cases:
            train(case, folder, team)


def processes(folder: Path, cases: list[str], count: int) -> None:
    """Trains the cases that are missing with `count` processes; says which one cannot be trained, and goes on."""
    for group in ([c for c in cases if "float32" not in c], [c for c in cases if "float32" in c]):
        failed: set[str] = set()
        while missing := [c for c in group if c not in failed and not (folder / f"{slug(c)}-{count}.json").exists()]:
            codes = together(folder, missing, count)
            left = [case for case in missing if not (folder / f"{slug(case)}-{count}.json").exists()]
            if left:
                print(f"{left[0]}: {count} processes ended with {codes}", flush=True)
                failed.add(left[0])


def together(folder: Path, cases: list[str], count: int) -> list[int]:
    """Trains cases with `count` processes; returns their exit codes."""
    opened = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = ",".join(f"127.0.0.1:{one.getsockname()[1]}" for one in opened)
    for one in opened:
        one.close()
    command = [sys.executable, __file__, str(folder), *(f"--case={case}" for case in cases), "--work"]
    flags = [[] if count == 1 else ["--workers-at", addresses, "--worker-index", str(i)] for i in range(count)]
    children = [subprocess.Popen([*command, *more]) for more in flags]
    return [child.wait() for child in children]


def table(folder: Path, cases: list[str], counts: list[int]) -> None:
    """Prints the largest differences to one process."""
    import numpy as np

    print(
        "| option | processes | largest difference of a weight | of a score of an epoch | variables equal on all workers |"
    )
    print("|---|---|---|---|---|")
    for case in cases:
        for count in counts:
            files = [folder / f"{slug(case)}-{n}" for n in (1, count)]
            if not all(file.with_suffix(".json").exists() for file in files):
                continue
            one, other = (json.loads(file.with_suffix(".json").read_text()) for file in files)
            with np.load(files[0].with_suffix(".npz")) as a, np.load(files[1].with_suffix(".npz")) as b:
                apart = max(float(np.max(np.abs(a[key] - b[key]), initial=0)) for key in a.files)
            pairs = zip(one["rows"], other["rows"], strict=True)
            scores = max(abs(x[name] - y[name]) for x, y in pairs for name in EXACT)
            same = f"{other['n']} of {other['n']}" if other["same"] else "no"
            print(f"| {case} | {count} | {apart:.0e} | {scores:.0e} | {same} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--case", action="append", choices=list(CASES), metavar="NAME", help="of all cases this one, and further ones"
    )
    parser.add_argument("--workers", nargs="*", type=int, default=[2, 3])
    parser.add_argument("--work", action="store_true", help="be one worker")
    parser.add_argument("--workers-at")
    parser.add_argument("--worker-index", type=int)
    asked = parser.parse_args()
    cases = asked.case or list(CASES)
    asked.folder.mkdir(parents=True, exist_ok=True)
    if asked.work:
        work(asked.folder, cases, asked.workers_at, asked.worker_index)
        return
    for count in (1, *asked.workers):
        processes(asked.folder, cases, count)
    table(asked.folder, cases, asked.workers)


if __name__ == "__main__":
    main()
