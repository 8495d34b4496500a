"""The options of the command line, and what their help says. Needs no TensorFlow."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable

from ..data.datasets import NAMES
from ..data.download import ENVIRONMENT_VARIABLE, SOURCES
from ..engine.precision import PRECISIONS
from ..recipes import RECIPES
from ..training.loop import MAX_TO_KEEP
from ..version import __version__

# Names in digitcnn.architectures, .schedules, .export and .summaries, which are not imported here: they load TensorFlow.
ARCHITECTURE_NAMES = ("cnn", "softmax", "same", "strided", "batchnorm", "compact", "deep", "tapered")


SCHEDULES = ("constant", "one_cycle")


FORMATS = ("savedmodel", "tflite", "tflite-int8", "onnx")


SUMMARIES = ("histograms", "images", "projector", "trace")


def build_parser(functions: dict[str, Callable[[argparse.Namespace], None]]) -> argparse.ArgumentParser:
    """The parser of all commands: what it parses has the `function` of the command's name."""
    parser = argparse.ArgumentParser(
        prog="digitcnn", description="Train and use the TensorFlow graph that reads handwritten digits."
    )
    parser.add_argument("--version", action="version", version=f"digitcnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = _command(commands, "train", functions["train"], "train a model into a run folder and test it")
    train.add_argument(
        "--resume",
        type=_path,
        metavar="DIR",
        help="go on with the run in this folder from its newest checkpoint; it needs no other option, and does nothing once the run is complete",
    )
    _add_data(train, "bundled")
    train.add_argument(
        "--recipe",
        choices=tuple(RECIPES),
        help="settings that go well together, each of which another option replaces: "
        + "; ".join(f"{name}: {recipe.description}" for name, recipe in RECIPES.items()).replace("%", "%%"),
    )
    _add_architecture(train, "architecture to train (default: the recipe's, else cnn)")
    length = train.add_mutually_exclusive_group()
    length.add_argument(
        "--epochs",
        type=_count,
        metavar="N",
        help="passes over the training images (default: the recipe's, else the architecture's; cnn 30, softmax 15, same and ours 10)",
    )
    length.add_argument(
        "--steps",
        type=_count,
        metavar="N",
        help="training steps instead of epochs (default: the tutorial's; strided 20000, batchnorm 10000, but 30 epochs at the most)",
    )
    train.add_argument(
        "--batch-size",
        dest="batchsize",
        type=_count,
        metavar="N",
        help="images in a training step (default: the recipe's, else the architecture's; cnn, softmax and batchnorm 100, same and ours 128, strided 50)",
    )
    train.add_argument(
        "--learning-rate",
        type=_rate,
        metavar="X",
        help="of Adam, per step; the peak of a schedule (default: the recipe's, else the architecture's; cnn and strided 1e-4, the others 1e-3)",
    )
    train.add_argument(
        "--dropout",
        type=float,
        metavar="X",
        help="probability of dropping a dense unit (default: the recipe's, else the architecture's)",
    )
    train.add_argument(
        "--schedule",
        choices=SCHEDULES,
        help="of the learning rate: constant, or one_cycle, up to the rate and down again (default: the recipe's, else constant)",
    )
    train.add_argument(
        "--label-smoothing",
        type=float,
        metavar="X",
        help="share of a label spread over all classes (default: the recipe's, else 0)",
    )
    train.add_argument(
        "--rotation",
        type=float,
        metavar="X",
        help="turn training images by up to +-X degrees (default: the recipe's, else 0)",
    )
    train.add_argument(
        "--scaling",
        type=float,
        metavar="X",
        help="divide height and width by up to 1 +- X (default: the recipe's, else 0)",
    )
    train.add_argument(
        "--shift", type=float, metavar="X", help="shift them by up to +-X pixels (default: the recipe's, else 0)"
    )
    train.add_argument(
        "--precision",
        choices=PRECISIONS,
        help="of products (default: auto, which is bfloat16 where the CPU has it in hardware, else float32)",
    )
    train.add_argument(
        "--seed",
        dest="random_seed",
        type=_count_or_zero,
        metavar="N",
        help="what weights, shuffles, dropout and warps follow (default: a new one, which is printed)",
    )
    train.add_argument(
        "--run",
        type=_path,
        metavar="DIR",
        help="new folder for all results (default: logs/DATE-TIME-DATA-RECIPE or -ARCHITECTURE)",
    )
    train.add_argument(
        "--checkpoint-every",
        type=_count,
        metavar="STEPS",
        help="write a checkpoint after so many training steps, besides those at the ends of epochs (default: those alone)",
    )
    train.add_argument(
        "--max-to-keep",
        type=_count,
        metavar="N",
        help=f"newest checkpoints that stay, beside the best one (default: {MAX_TO_KEEP})",
    )
    train.add_argument(
        "--validation",
        type=_count_or_zero,
        metavar="N",
        help="number of training images kept for validation, the last ones; 0 trains on all (default: one sixth, which is 10000 of MNIST's 60000)",
    )
    train.add_argument(
        "--summaries",
        nargs="+",
        choices=SUMMARIES,
        help="what else to write for TensorBoard, each of which takes time: histograms of weights and activations, images of misread digits and filters, the projector's points, a step's trace (default: none of them)",
    )
    train.add_argument("--quiet", action="store_true", help="print the result only")

    evaluate = _command(commands, "evaluate", functions["evaluate"], "test a trained model on a data set's test images")
    _add_run(evaluate)
    _add_data(evaluate, "the one that the run was trained on")

    predict = _command(commands, "predict", functions["predict"], "read the digits in picture files")
    predict.add_argument("pictures", nargs="+", metavar="PICTURE", help="picture file with one digit filling it")
    _add_run(predict)

    export = _command(commands, "export", functions["export"], "write a trained model for another runtime")
    export.add_argument("output", type=_path, metavar="OUTPUT", help="new folder (savedmodel) or file to write")
    export.add_argument(
        "--format",
        choices=FORMATS,
        required=True,
        help="tflite-int8 is quantized, by the ranges that some hundred training images have in each layer; onnx needs digitcnn[onnx]",
    )
    _add_run(export)
    _add_data(export, "the one that the run was trained on; only tflite-int8 reads it")

    fetch = _command(commands, "download", functions["download"], "download data sets, checked by SHA-256")
    fetch.add_argument("names", nargs="+", metavar="NAME", help=f"data sets: {', '.join(SOURCES)}")
    _add_data_dir(fetch)

    summary = _command(commands, "summary", functions["summary"], "print layers, output shapes and parameter counts")
    which = summary.add_mutually_exclusive_group()
    _add_architecture(which, "architecture to show (default: cnn)")
    which.add_argument("--run", type=_path, metavar="DIR", help="show the model of this run folder instead")
    return parser


def _count(text: str, lowest: int = 1) -> int:
    if not text.isdecimal() or not lowest <= int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"expected a whole number in {lowest}..{2**31 - 1}, found {text!r}")
    return int(text)


def _count_or_zero(text: str) -> int:
    return _count(text, lowest=0)


def _rate(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"expected a number above 0, found {text!r}")


def _path(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("expected a path, found an empty one")
    return text


def _command(commands, name, function, help):
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(function=function)
    return parser


def _add_data(parser, shown):
    parser.add_argument(
        "--data",
        metavar="NAME_OR_FOLDER",
        help=f"{', '.join(NAMES)}, or a folder of IDX files (default: {shown})",
    )
    _add_data_dir(parser)


def _add_data_dir(parser):
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help=f"folder that has data sets as sub-folders by name, looked in first (default: ${ENVIRONMENT_VARIABLE}, else the user's cache)",
    )


def _add_architecture(parser, help):
    parser.add_argument("--architecture", choices=ARCHITECTURE_NAMES, help=help)


def _add_run(parser):
    parser.add_argument(
        "--run", type=_path, metavar="DIR", help="folder of a saved model (default: the newest run in logs/)"
    )
