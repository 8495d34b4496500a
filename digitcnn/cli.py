"""The command line: digitcnn train | evaluate | predict | download | summary.

TensorFlow is imported by the commands that compute, so that help and mistakes cost no waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from . import __version__
from .datasets import ENVIRONMENT_VARIABLE, NAMES, SOURCES
from .precision import PRECISIONS
from .recipes import RECIPES, recipe_settings

# The names in digitcnn.architectures and .schedules, which are not imported here: they would load TensorFlow.
ARCHITECTURE_NAMES = ("cnn", "softmax", "same", "strided", "batchnorm", "compact", "wide")
SCHEDULES = ("constant", "one_cycle")
# Options of `train` that are arguments of DigitCNN, by their names there.
SETTINGS = {
    "batchsize": "batch_size",
    "random_seed": "seed",
    **{
        name: name
        for name in (
            "learning_rate",
            "schedule",
            "dropout",
            "label_smoothing",
            "rotation",
            "scaling",
            "shift",
            "precision",
        )
    },
}
MOST_EPOCHS = 30  # of a tutorial's number of steps, on data sets smaller than MNIST
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; its help needs no TensorFlow."""
    parser = argparse.ArgumentParser(
        prog="digitcnn", description="Train and use the TensorFlow graph that reads handwritten digits."
    )
    parser.add_argument("--version", action="version", version=f"digitcnn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = _command(commands, "train", _train, "train a model into a run folder and test it")
    _add_data(train, default="bundled")
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
        help="passes over the training images (default: the recipe's, else the architecture's; cnn 30, softmax 15, same, compact and wide 10)",
    )
    length.add_argument(
        "--steps",
        type=_count,
        metavar="N",
        help="training steps instead of epochs (default: the tutorial's; strided 20000, batchnorm 10000, but 30 epochs at the most)",
    )
    train.add_argument(
        "--batch-size",
        type=_count,
        metavar="N",
        help="images in a training step (default: the recipe's, else the architecture's; cnn, softmax and batchnorm 100, same, compact and wide 128, strided 50)",
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
        type=_count_or_zero,
        metavar="N",
        help="what weights, shuffles, dropout and warps follow (default: a new one, which is printed)",
    )
    train.add_argument(
        "--run", metavar="DIR", help="new folder for all results (default: logs/DATE-TIME-DATA-RECIPE or -ARCHITECTURE)"
    )
    train.add_argument(
        "--validation",
        type=_count_or_zero,
        metavar="N",
        help="number of training images kept for validation, the last ones; 0 trains on all (default: one sixth, which is 10000 of MNIST's 60000)",
    )
    train.add_argument("--quiet", action="store_true", help="print the result only")

    evaluate = _command(commands, "evaluate", _evaluate, "test a trained model on a data set's test images")
    _add_run(evaluate)
    _add_data(evaluate, default=None)

    predict = _command(commands, "predict", _predict, "read the digits in picture files")
    predict.add_argument("pictures", nargs="+", metavar="PICTURE", help="picture file with one digit filling it")
    _add_run(predict)

    fetch = _command(commands, "download", _download, "download data sets, checked by SHA-256")
    fetch.add_argument("names", nargs="+", metavar="NAME", help=f"data sets: {', '.join(SOURCES)}")
    _add_data_dir(fetch)

    summary = _command(commands, "summary", _summary, "print layers, output shapes and parameter counts")
    which = summary.add_mutually_exclusive_group()
    _add_architecture(which, "architecture to show (default: cnn)")
    which.add_argument("--run", metavar="DIR", help="show the model of this run folder instead")
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


def _command(commands, name, function, help):
    parser = commands.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
    parser.set_defaults(function=function)
    return parser


def _add_data(parser, default):
    shown = default or "the one that the run was trained on"
    parser.add_argument(
        "--data",
        default=default,
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
    parser.add_argument("--run", metavar="DIR", help="folder of a saved model (default: the newest run in logs/)")


def _train(arguments) -> None:
    from .datasets import load_dataset

    dataset = load_dataset(arguments.data, arguments.data_dir)
    n_validation = len(dataset.train_images) // 6 if arguments.validation is None else arguments.validation
    dataset.split(n_validation)  # raises before anything is made
    with _quiet_import():
        from .architectures import ARCHITECTURES
        from .model import DigitCNN
        from .runs import new_run_folder, train_run

    if arguments.recipe:
        settings = recipe_settings(arguments.recipe) | (
            {"architecture": arguments.architecture} if arguments.architecture else {}
        )
    else:
        architecture = arguments.architecture or "cnn"
        settings = {"architecture": architecture, **ARCHITECTURES[architecture].settings}
    steps = settings.pop("steps", None)
    if arguments.epochs is not None:
        settings["epochs"], steps = arguments.epochs, None
    for name, option in SETTINGS.items():
        if (value := getattr(arguments, option)) is not None:
            settings[name] = value
    n_training = len(dataset.train_images) - n_validation
    if steps:  # the tutorial's, for MNIST
        steps = min(steps, MOST_EPOCHS * -(-n_training // settings["batchsize"]))
    steps = arguments.steps or steps
    with DigitCNN(**settings) as model:
        folder = new_run_folder(arguments.run, arguments.data, arguments.recipe or model.architecture)
        if not arguments.quiet:
            print(
                f"Training {model.architecture!r} ({model.n_parameters:,} parameters) in {model.computes_in} on {arguments.data!r}: "
                f"{n_training:,} images to train on, {n_validation:,} to validate, "
                f"{len(dataset.test_images):,} to test; seed {model.random_seed}"
            )
        try:
            result = train_run(
                model,
                dataset,
                folder,
                n_validation=n_validation,
                steps=steps,
                recipe=arguments.recipe,
                verbose=not arguments.quiet,
            )
        except KeyboardInterrupt:
            saved = any(folder.glob("model.ckpt-*.json"))
            what = f"what was learnt so far is saved in {folder}" if saved else "nothing was learnt yet"
            print(f"\nInterrupted; {what}", file=sys.stderr)
            raise
    print(f"Test accuracy {result}")
    if not arguments.quiet:
        print(
            f"\nAll of it is in {folder}: look at training_curve.png and test_predictions.png.\nNext:\n"
            f"  {_program('digitcnn')} predict --run {shlex.quote(str(folder))} PICTURE.png    read a digit of your own\n"
            f"  {_program('tensorboard')} --logdir {shlex.quote(str(folder))}    see the graph and the curves"
        )


def _program(name: str) -> str:
    """How to call a program that is installed beside this Python."""
    beside = Path(sys.executable).with_name(name)
    if shutil.which(name) or not beside.exists():
        return name
    inside = beside.is_relative_to(Path.cwd())  # as typed after README's set-up: .venv/bin/digitcnn
    return shlex.quote(str(beside.relative_to(Path.cwd()) if inside else beside))


def _evaluate(arguments) -> None:
    from .datasets import load_dataset

    with _quiet_import():
        from .runs import TestResult, data_of_run, newest_run

    folder = Path(arguments.run) if arguments.run else newest_run()
    dataset = load_dataset(arguments.data or data_of_run(folder, bool(arguments.data_dir)), arguments.data_dir)
    with _restore(folder) as model:
        measured = model.evaluate(dataset.test_images, dataset.test_labels)
    n = len(dataset.test_labels)
    print(f"{folder} on {dataset.name}, after {measured['global_step']:,} steps")
    print(f"Test accuracy {TestResult(round(measured['accuracy'] * n), n)}")
    print(f"Test loss {measured['loss']:.4f}")


def _predict(arguments) -> None:
    from .images import load_pictures

    images = load_pictures(arguments.pictures)
    with _quiet_import():
        from .runs import newest_run

    folder = Path(arguments.run) if arguments.run else newest_run()
    with _restore(folder) as model:
        probabilities = model.predict(images, return_proba=True)
    for path, row in zip(arguments.pictures, probabilities, strict=True):
        print(f"{path}: {row.argmax()}  probability {row.max():.3f}")


def _download(arguments) -> None:
    from .datasets import download

    for name in arguments.names:
        print(f"{name}: {download(name, arguments.data_dir)}")


def _summary(arguments) -> None:
    with _quiet_import():
        from .model import DigitCNN

    model = _restore(arguments.run) if arguments.run else DigitCNN(architecture=arguments.architecture or "cnn")
    with model:
        model.summary()


def _restore(folder):
    with _quiet_import():
        from .model import DigitCNN

    return DigitCNN.restore(folder)


@contextlib.contextmanager
def _quiet_import() -> Iterator[None]:
    """Keep TensorFlow's remarks on this machine's CPU, which heed no setting, off the terminal."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        terminal = os.dup(2)
    except OSError:  # standard error is closed: quiet as it is
        yield
        return
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if it did its work, 1 with a message on stderr for what the user can mend."""
    arguments = build_parser().parse_args(argv)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # so that `| tee` shows an epoch when it ends
    try:
        arguments.function(arguments)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (OSError, ValueError) as error:
        print(f"digitcnn: error: {error}", file=sys.stderr)
        return 1
    return 0
