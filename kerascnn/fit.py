"""Train one network on your images; the same command resumes."""

import os
import signal
import sys
import threading
from typing import Any

from kerascnn import cli
from kerascnn.config import Config
from kerascnn.screen import Screen, duration, quiet


@cli.command
def main(argv: list[str]) -> int:
    """`kerascnn fit`: train, score, export."""
    config = cli.parse_config(argv, prog="kerascnn fit", description=__doc__ or "")
    if os.environ.get("KERASCNN_PARENT_PIPE"):
        _end_with_parent()
    with quiet(config.logging.verbose):
        from kerascnn import data, distribute, training
        from kerascnn.runs import Run

        distribute.setup(config.devices, config.fit.batch_size)
    screen = Screen()
    splits = data.load(config.data)
    for line in splits.lines():
        screen.say(line)
    config = training.resolve(config, splits)
    run = Run.prepare(config, splits.fingerprint, splits.name)
    if run.finished:
        _say_finished(screen, run)
        return cli.DONE
    metrics = training.train(config, run, splits=splits, screen=screen)
    if "val" in metrics or "test" in metrics:
        if config.logging.export:
            path = training.export(run)
            screen.say(f"export  {path}")
        _say_scores(screen, metrics)
        _say_next(screen, run.path, config)
    return cli.DONE


def _end_with_parent() -> None:
    """Stop as at a signal once standard input closes: a killed parent leaves no training and no lock."""

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _say_finished(screen: Screen, run: Any) -> None:
    metrics = run.metrics()
    screen.say(f"run {run.name} was finished on {metrics['finished']}: nothing trained (--overwrite, --seed 1)")
    _say_scores(screen, metrics)


def _say_scores(screen: Screen, metrics: dict[str, Any]) -> None:
    name = "test" if "test" in metrics else "val"
    scores = metrics[name]
    accuracy, f1 = scores["accuracy"], scores["macro_f1"]
    mark = "  (val chose this model: no test set was kept apart)" if metrics["marked"] or name == "val" else ""
    screen.say()
    screen.say(
        f"{name} accuracy {accuracy['value']:.2%}  [{accuracy['low']:.2%}, {accuracy['high']:.2%}]"
        f" (95 %, n = {accuracy['n']} images, 1 seed){mark}",
        style="bold",
    )
    screen.say(f"macro F1 {f1['value']:.4f}  [{f1['low']:.4f}, {f1['high']:.4f}]")
    worst = scores["worst_class"]
    screen.say(f"worst class: {worst['name']} (F1 {worst['f1']:.3f}, n = {worst['n']})")
    screen.say(f"always answering the largest class: {scores['majority']:.2%}")
    best = f"best epoch {metrics['best_epoch']} by {metrics['monitor']}"
    screen.say(f"trained {metrics['epochs']} epochs in {duration(metrics['train_seconds'])}; {best}")


def _say_next(screen: Screen, path: Any, config: Config) -> None:
    screen.say()
    screen.say(f"curves:  tensorboard --logdir {path.parent}")
    other = "inception" if config.model.arch.startswith("res") else "resnet"
    screen.say(f"next:    python -m kerascnn.fit --arch {other} --dataset {config.data.dataset}")


if __name__ == "__main__":
    sys.exit(main())
