"""`kerascnn COMMAND ...`: each command is a module that is imported only when it is called."""

import importlib
import sys

from kerascnn.cli.command import command
from kerascnn.config.section import nearest
from kerascnn.errors import DONE, UserError

# name -> (module, description)
COMMANDS = {
    "fit": ("kerascnn.fit", "train one network on your images; the same command resumes"),
    "evaluate": ("kerascnn.evaluate", "score a trained network: intervals, calibration, robustness, explanations"),
    "audit": ("kerascnn.audit", "find damaged files, copies across splits and wrong labels before training"),
    "compare": ("kerascnn.compare", "compare archs on your images, with a verdict that says how sure it is"),
    "list": ("kerascnn.list", "list runs with state, score, interval and date; the best first"),
    "predict": ("kerascnn.predict", "predict the classes of images"),
    "embed": ("kerascnn.embed", "write what a network sees in images to a file: features"),
    "neighbors": ("kerascnn.neighbors", "find the images that resemble an image most"),
    "tune": ("kerascnn.tune", "search filter counts under a budget"),
    "export": ("kerascnn.export", "export a run as SavedModel, LiteRT, ONNX, OpenVINO or Keras file, proven equal"),
    "soup": ("kerascnn.soup", "average the weights of several runs into one network"),
    "push": ("kerascnn.push", "publish a run on the Hugging Face hub or on Kaggle"),
    "serve": ("kerascnn.serve", "answer images over HTTP, from runs and exported files"),
    "verify": ("kerascnn.verify", "prove that a killed training ends as an undisturbed one; check an export again"),
    "benchmark": ("kerascnn.benchmark", "time input, training step and inference, optionally beside stock Keras"),
    "doctor": ("kerascnn.doctor", "look at this machine and installation, and say what to change"),
    "archs": ("kerascnn.archs", "list the networks, their cost and their filter names"),
}


INSTALL, PRINT = "--install-completion", "--print-completion"


@command
def main(words: list[str]) -> int:
    """Runs the command that `argv` names; returns its exit code."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0 if words else 2
    name, *rest = words
    if name == "--version":
        from importlib.metadata import version

        print(f"kerascnn {version('kerascnn')}")
        return 0
    if name in (INSTALL, PRINT):
        return _completion(name, rest)
    if name not in COMMANDS:
        print(
            f"kerascnn: unknown command {name!r}{nearest(name, COMMANDS)}; commands: {', '.join(COMMANDS)}",
            file=sys.stderr,
        )
        return 2
    return importlib.import_module(COMMANDS[name][0]).main(rest)


def _completion(name: str, words: list[str]) -> int:
    """Writes the completion script of a shell where the shell looks for it, or to standard output."""
    from kerascnn import completion

    if len(words) > 1 or (name == PRINT and not words):
        raise UserError(f"{name}: expected one of {', '.join(completion.SHELLS)}, got {' '.join(words) or 'nothing'}")
    descriptions = {command: text for command, (_, text) in COMMANDS.items()}
    if name == PRINT:
        print(completion.script(words[0], descriptions))
        return DONE
    for line in completion.install("".join(words), descriptions):
        print(line)
    return DONE


def _help() -> str:
    lines = [
        "usage: kerascnn COMMAND [-h] [OPTIONS]",
        "",
        "Image classifiers of the ResNet and Inception families.",
        "",
    ]
    lines += [f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            *lines,
            "",
            "`kerascnn COMMAND --help` lists its options.",
            f"`kerascnn {INSTALL}` completes them in your shell.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
