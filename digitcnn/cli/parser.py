"""The options of the command line and their help, without TensorFlow."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn

from .._text import printable
from ..cluster.ports import MAX_PORT
from ..data.datasets import DATASET_NAMES
from ..data.download import ENVIRONMENT_VARIABLE
from ..data.sources import SOURCES
from ..export.formats import FORMATS
from ..graph.architectures import ARCHITECTURES
from ..graph.schedules import SCHEDULES
from ..recipes import RECIPES
from ..settings import MAX_TO_KEEP, PRECISIONS, Declaration, Settings, declarations
from ..tensorboard.summaries import SUMMARIES
from ..version import __version__
from . import converters, launch
from .bulk import add_options as add_bulk_options
from .cluster import add_options as add_cluster_options
from .ensemble import add_options as add_ensemble_options
from .search import add_options as add_search_options
from .training_options import add_checkpoint_every

# What the names of some settings may be, from where they are defined.
NAMES = {
    "architecture": tuple(ARCHITECTURES),
    "schedule": tuple(SCHEDULES),
    "precision": PRECISIONS,
}
STARTS = ("pretrained",)
TRAIN_EXAMPLES = """examples:
  digitcnn train --data mnist --recipe fast --run logs/fast
  digitcnn train --resume logs/fast
  digitcnn train --from pretrained --data my_pictures
"""
PREDICT_EXAMPLES = """examples:
  digitcnn predict photo.jpg --show answer.png
  digitcnn predict scans/ --csv > numbers.csv
  digitcnn predict --data images.npy --out answers.npy
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose messages are printable: a shell's pattern gives it untrusted names."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and exit with status 2."""
        super().error(printable(message))


def build_parser(functions: Mapping[str, Callable[[argparse.Namespace], int | None] | None]) -> argparse.ArgumentParser:
    """The parser of all commands; what it returns has the command's function as `function`."""
    parser = _Parser(prog="digitcnn", description="Train and use the TensorFlow graph that reads handwritten digits.")
    parser.add_argument("--version", action="version", version=f"digitcnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_train(_command(commands, "train", functions, "train a model into a run folder and test it"))
    launch.add_options(
        _command(commands, "launch", functions, "train by several workers on this machine"), converters.count
    )

    evaluate = _command(commands, "evaluate", functions, "test a trained model on a data set's test images")
    _add_run(evaluate)
    _add_data(evaluate, "the one that the run was trained on")
    _add_shifts(evaluate)
    evaluate.add_argument(
        "--report",
        type=converters.path,
        metavar="DIR",
        help="also write report.html into this folder, made if need be: one page with accuracy, confusion matrix and "
        "its images, calibration and more; an earlier report is replaced",
    )

    search = _command(commands, "search", functions, "train with many settings, beside each other, and compare them")
    _add_data(search, "bundled")
    add_search_options(search)

    ensemble = _command(commands, "ensemble", functions, "train, test and distill several models that answer together")
    add_ensemble_options(ensemble, _add_data, _add_shifts)

    _add_predict(_command(commands, "predict", functions, "read the handwritten digits in pictures"))

    export = _command(commands, "export", functions, "write a trained model for another runtime")
    export.add_argument(
        "output", type=converters.path, metavar="OUTPUT", help="new folder (savedmodel) or file to write"
    )
    export.add_argument(
        "--format",
        type=converters.one_of(tuple(FORMATS)),
        metavar="NAME",
        required=True,
        help=_list(FORMATS),
    )
    _add_run(export)
    _add_data(export, "the one that the run was trained on; only tflite-int8 reads it")

    fetch = _command(commands, "download", functions, "download data sets, checked by SHA-256")
    fetch.add_argument("names", nargs="+", metavar="NAME", help=f"data sets: {', '.join(SOURCES)}")
    _add_data_dir(fetch)

    summary = _command(commands, "summary", functions, "print layers, output shapes and parameter counts")
    which = summary.add_mutually_exclusive_group()
    which.add_argument(
        "--architecture",
        type=converters.one_of(NAMES["architecture"]),
        metavar="NAME",
        help=f"architecture to show: {', '.join(NAMES['architecture'])} (default: {Settings.architecture})",
    )
    which.add_argument(
        "--run", type=converters.path, metavar="DIR", help="show the model of this run folder, or latest, instead"
    )

    demo = _command(commands, "demo", functions, "serve a page to draw digits on and to drop photos on")
    demo.add_argument(
        "--run",
        type=converters.path,
        metavar="DIR",
        help="folder of a saved model, or latest for the newest run in logs/ (default: the weights that ship)",
    )
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="NAME",
        help="name or address to serve on; 0.0.0.0 lets other machines, such as your phone, reach the page "
        "(default: %(default)s, this machine alone)",
    )
    demo.add_argument(
        "--port",
        type=partial(converters.count, lowest=0, highest=MAX_PORT),
        default=0,
        metavar="N",
        help="port to serve on, 0 for a free one (default: %(default)s)",
    )
    demo.add_argument("--no-browser", action="store_true", help="only print the page's address")

    examples = _command(commands, "examples", functions, "copy the example scripts, notebook and manifests to a folder")
    examples.add_argument("folder", type=converters.path, metavar="DIR", help="folder to copy into, made if need be")
    return parser


def _add_train(train: argparse.ArgumentParser) -> None:
    train.formatter_class = argparse.RawDescriptionHelpFormatter
    train.epilog = TRAIN_EXAMPLES
    train.usage = "digitcnn train [--data NAME_OR_FOLDER] [--recipe NAME] [--run DIR] [options]"
    data = train.add_argument_group("data")
    _add_data(data, "bundled")
    data.add_argument(
        "--validation",
        type=partial(converters.count, lowest=0),
        metavar="N",
        help="number of training images, the last ones, kept for validation; 0 trains on all (default: one sixth, "
        "10000 of MNIST's 60000)",
    )
    network = train.add_argument_group("network")
    network.add_argument(
        "--recipe",
        type=converters.one_of(tuple(RECIPES)),
        metavar="NAME",
        help="settings that go well together; other options override them: "
        + _list({name: recipe.description for name, recipe in RECIPES.items()}),
    )
    network.add_argument(
        "--from",
        dest="start",
        type=converters.one_of(STARTS),
        metavar="NAME",
        help="weights to start from instead of random ones: pretrained, those that ship with digitcnn; architecture "
        "and sizes are theirs, and the other settings default to small steps for few pictures",
    )
    groups = {
        "network": network,
        "training": train.add_argument_group("training"),
        "augmentation": train.add_argument_group("augmentation of the training images"),
    }
    length = groups["training"].add_mutually_exclusive_group()
    # The architecture first, since the other settings of the network depend on it.
    for name, declaration in sorted(declarations().items(), key=lambda item: item[0] != "architecture"):
        if declaration.flag is not None:
            _add_setting(length if name == "epochs" else groups[declaration.group], name, declaration)
    length.add_argument(
        "--steps",
        type=converters.count,
        metavar="N",
        help=f"training steps instead of epochs (default: the tutorial's: {_by_architecture('steps')}, "
        "but 30 epochs at most)",
    )
    run = train.add_argument_group("run folder")
    run.add_argument(
        "--run",
        type=converters.path,
        metavar="DIR",
        help="new folder for all results (default: logs/DATE-TIME-DATA-RECIPE or -ARCHITECTURE)",
    )
    run.add_argument(
        "--resume",
        type=converters.path,
        metavar="DIR",
        help="continue the run in this folder, or latest, from its newest checkpoint; needs no other option, unless "
        "the data have moved, and does nothing once the run is complete",
    )
    add_checkpoint_every(run)
    run.add_argument(
        "--max-to-keep",
        type=converters.count,
        metavar="N",
        help=f"number of newest checkpoints to keep, besides the best one (default: {MAX_TO_KEEP})",
    )
    run.add_argument(
        "--summaries",
        nargs="+",
        type=converters.one_of(tuple(SUMMARIES)),
        metavar="NAME",
        help="more to write for TensorBoard; each takes time: " + _list(SUMMARIES) + " (default: none)",
    )
    run.add_argument("--quiet", action="store_true", help="print only the result")
    add_cluster_options(train)


def _add_predict(predict: argparse.ArgumentParser) -> None:
    predict.formatter_class = argparse.RawDescriptionHelpFormatter
    predict.epilog = PREDICT_EXAMPLES
    predict.add_argument(
        "pictures",
        nargs="*",
        type=converters.path,
        metavar="PICTURE",
        help="picture file of a digit or of a page of digits, folder of them and its sub-folders, pattern such as "
        "'scans/*.jpg', or - for standard input",
    )
    predict.add_argument(
        "--run",
        type=converters.path,
        metavar="DIR",
        help="folder of a saved model, or latest for the newest run in logs/ (default: the weights that ship)",
    )
    form = predict.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print a JSON object for each picture, one a line")
    form.add_argument("--csv", action="store_true", help="print a line for each row of a page: file, row, its numbers")
    predict.add_argument(
        "--show",
        type=converters.path,
        metavar="PNG",
        help="draw boxes, digits and probabilities over the pictures into this file",
    )
    add_bulk_options(predict, converters.path)


def _add_setting(group: Any, name: str, declaration: Declaration) -> None:
    """The option of a setting, as settings.py declares it."""
    declared = getattr(Settings, name)
    default = f"the recipe's, else {declared if isinstance(declared, str) else format(declared or 0, 'g')}"
    if by_architecture := _by_architecture(name):
        default = f"the recipe's, else the architecture's: {by_architecture}"
    if name == "random_seed":
        default = "a new one, which is printed"
    text = f"one of {', '.join(NAMES[name])}" if name == "architecture" else declaration.help
    group.add_argument(
        declaration.flag,
        dest=name,
        type=converters.one_of(NAMES[name]) if name in NAMES else converters.checked(name, declaration),
        metavar="NAME" if name in NAMES else declaration.metavar,
        help=_escaped(f"{text} (default: {default})"),
    )


def _escaped(text: str) -> str:
    """A help text in which argparse takes no % for a format."""
    return text.replace("%", "%%")


def _list(described: Mapping[str, str]) -> str:
    return _escaped("; ".join(f"{name}: {what}" for name, what in described.items()))


def _by_architecture(name: str) -> str:
    """The values of a setting by architecture: 'cnn 30; softmax 15; ...', equal ones together; '' if there are none."""
    values: dict[Any, list[str]] = {}
    for architecture, known in ARCHITECTURES.items():
        if name in known.settings:
            values.setdefault(known.settings[name], []).append(architecture)
    return "; ".join(f"{', '.join(names)} {value:g}" for value, names in values.items())


def _command(commands: Any, name: str, functions: Mapping[str, Any], help: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(function=functions[name], parser=parser)
    return parser


def _add_data(parser: Any, default: str) -> None:
    parser.add_argument(
        "--data",
        metavar="NAME_OR_FOLDER",
        help=f"{', '.join(DATASET_NAMES)}, or a folder of IDX files or of pictures (default: {default})",
    )
    _add_data_dir(parser)


def _add_shifts(parser: Any) -> None:
    parser.add_argument(
        "--shifts",
        type=partial(converters.count, lowest=0),
        default=0,
        metavar="N",
        help="read each image as the mean of the image and four copies shifted by so many pixels, which takes five "
        "times as long (default: %(default)s, the image alone)",
    )


def _add_data_dir(parser: Any) -> None:
    parser.add_argument(
        "--data-dir",
        type=converters.path,
        metavar="DIR",
        help="folder with data sets in sub-folders of their names, searched first (default: "
        f"${ENVIRONMENT_VARIABLE}, else the user's cache)",
    )


def _add_run(parser: Any) -> None:
    parser.add_argument(
        "--run",
        type=converters.path,
        metavar="DIR",
        help="folder of a saved model (default: latest, the newest run in logs/)",
    )
