"""`kerascnn COMMAND ...`: each command is a module, imported only when it is asked for."""

import importlib
import sys

from kerascnn.cli.command import command
from kerascnn.config.section import nearest

# name -> (module, what it does)
COMMANDS = {
    "fit": ("kerascnn.fit", "train one network on your images; the same command resumes"),
    "evaluate": ("kerascnn.evaluate", "score a trained network: intervals, calibration, robustness, explanations"),
    "compare": ("kerascnn.compare", "which arch is better on your images, and how sure is that?"),
    "list": ("kerascnn.list", "list runs: state, score with its interval, when; the best first"),
    "predict": ("kerascnn.predict", "ask a trained network about images"),
    "tune": ("kerascnn.tune", "search filter counts under a budget"),
    "export": ("kerascnn.export", "a run as SavedModel, LiteRT, ONNX or Keras file, proven equal to it"),
    "benchmark": ("kerascnn.benchmark", "time input, training step and inference; beside stock Keras on request"),
    "archs": ("kerascnn.archs", "list the networks, their cost and their filter names"),
}


@command
def main(words: list[str]) -> int:
    """Run the command that `argv` names; returns its exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    name, *rest = words
    if name == "--version":
        from importlib.metadata import version

        print(f"kerascnn {version('kerascnn')}")
        return 0
    if name not in COMMANDS:
        print(
            f"kerascnn: no command {name!r}{nearest(name, COMMANDS)}; commands: {', '.join(COMMANDS)}", file=sys.stderr
        )
        return 2
    return importlib.import_module(COMMANDS[name][0]).main(rest)


def _help() -> str:
    lines = [
        "usage: kerascnn COMMAND [-h] [OPTIONS]",
        "",
        "Image classifiers of the ResNet and Inception families.",
        "",
    ]
    lines += [f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join([*lines, "", "`kerascnn COMMAND --help` lists its options."])


if __name__ == "__main__":
    sys.exit(main())
