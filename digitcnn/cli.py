"""The command line: digitcnn train | evaluate | predict | download | summary.

TensorFlow is imported by the commands that compute, so that help and mistakes cost no waiting.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from .options import build_parser
from .recipes import recipe_settings

# Options of `train` that are arguments of DigitCNN.
SETTINGS = (
    *("architecture", "batchsize", "learning_rate", "schedule", "dropout", "label_smoothing"),
    *("rotation", "scaling", "shift", "precision", "random_seed"),
)
MOST_EPOCHS = 30  # of a tutorial's number of steps, on data sets smaller than MNIST
INTERRUPTED = 130  # 128 + SIGINT, as shells have it


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
        settings = recipe_settings(arguments.recipe)
    else:
        settings = dict(ARCHITECTURES[arguments.architecture or "cnn"].settings)
    steps = settings.pop("steps", None)
    if arguments.epochs is not None:
        settings["epochs"], steps = arguments.epochs, None
    settings |= {name: getattr(arguments, name) for name in SETTINGS if getattr(arguments, name) is not None}
    n_training = len(dataset.train_images) - n_validation
    if steps:  # the tutorial's, for MNIST
        steps = min(steps, MOST_EPOCHS * -(-n_training // settings["batchsize"]))
    steps = arguments.steps or steps
    with DigitCNN(**settings) as model:
        folder = new_run_folder(arguments.run, arguments.data, arguments.recipe or model.architecture)
        if not arguments.quiet:
            print(
                f"Training {model.architecture!r} ({model.n_parameters:,} parameters) in {model.computes_in} "
                f"on {arguments.data!r}: "
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
        named = shlex.quote(str(folder))
        print(
            f"\nAll of it is in {folder}: look at training_curve.png and test_predictions.png.\nNext:\n"
            f"  {_program('digitcnn')} predict --run {named} PICTURE.png    read a digit of your own\n"
            f"  {_program('tensorboard')} --logdir {named}    see the graph and the curves"
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


COMMANDS = {
    "train": _train,
    "evaluate": _evaluate,
    "predict": _predict,
    "download": _download,
    "summary": _summary,
}


def main(argv: list[str] | None = None) -> int:
    """Run a command; 0 if it did its work, 1 with a message on stderr for what the user can mend."""
    arguments = build_parser(COMMANDS).parse_args(argv)
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
