"""Let every change of the file system fail in every way, and read: the old model is whole, or the new one is.

    python tests/benchmarks/crash_points.py              # every change
    python tests/benchmarks/crash_points.py --every 5    # every fifth, as the tests do

The readers of each state: `restore` without a number and with it, of best/ too, a training that resumes, and a save
that follows; what they get must be the bytes of one of the models that were saved, and reading must change nothing.
Exits with 1, and says where, if a model is lost or a whole one is refused.
"""

from __future__ import annotations

import argparse
import bisect
import contextlib
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

from failing_disk import FAULTS, PLAN, Disk, KilledError, MadeModel, content_of, everything_in, variables_of

from digitcnn.saving.checkpoint_folder import CheckpointFolder
from digitcnn.saving.layout import checkpoint_prefix
from digitcnn.saving.writing import finish_leftovers

OLD, NEW, NEXT = MadeModel("old"), MadeModel("new", accuracy=0.6), MadeModel("next", accuracy=0.7)


def save(model, number, folder="m", plan=None):
    Path(folder).mkdir(parents=True, exist_ok=True)
    model.write(checkpoint_prefix(folder, number), model.record(plan))


def checkpoint(model, step):
    with CheckpointFolder(Path("m"), max_to_keep=1, resumes=True) as folder:
        if folder.load_newest(MadeModel("any"), PLAN) is None:
            folder.check_empty()
        folder.save(model, step, PLAN)


def leave(operation, fault, at):
    """Leave what a fault at a change leaves."""
    with contextlib.suppress(KilledError, OSError), Disk(fault, at):
        operation()


def leave_after(operation, is_done):
    """Leave what a kill leaves right after the change that makes `is_done()` true."""
    shutil.copytree("m", "kept")

    def is_done_at(at):
        shutil.rmtree("m")
        shutil.copytree("kept", "m")
        leave(operation, "kill", at)
        return is_done()

    assert is_done_at(bisect.bisect_left(range(1_000), True, key=is_done_at))
    shutil.rmtree("kept")


def earlier_version(model, number, *, has_moved=True):
    """Leave what an earlier version did if it was killed while it replaced a model, before or after its first move."""
    save(model, number, "other")
    scratch = Path(f"m/.model.ckpt-{number}-abcd1234")
    (scratch / "old").mkdir(parents=True)
    (scratch / "ready").touch()
    Path("other").rename(scratch / "new")
    if has_moved:
        data = f"model.ckpt-{number}.data-00000-of-00001"
        (scratch / "new" / data).rename(f"m/{data}")


def unfinished_save():
    """A model that is decided, whose files have no visible names yet."""
    save(OLD, 1)
    leave_after(lambda: save(NEW, 1), lambda: content_of("m", 1) == variables_of(NEW))


def unfinished_checkpoint():
    checkpoint(OLD, 1)
    leave_after(lambda: checkpoint(NEW, 2), lambda: content_of("m", 2) == variables_of(NEW))


def unfinished_removal():
    checkpoint(OLD, 1)
    leave_after(lambda: checkpoint(NEW, 2), lambda: content_of("m", 1) is None)


# What there is before, what is done, and which models a reader may find: by number, None for the one saved last.
OPERATIONS = {
    "save into a new folder": (lambda: None, lambda: save(NEW, 1), {None: (None, NEW), 1: (None, NEW)}),
    "save over a model": (lambda: save(OLD, 1), lambda: save(NEW, 1), {None: (OLD, NEW), 1: (OLD, NEW)}),
    "save beside a model": (
        lambda: save(OLD, 1),
        lambda: save(NEW, 2),
        {None: (OLD, NEW), 1: (OLD,), 2: (None, NEW)},
    ),
    "save over an unfinished model": (unfinished_save, lambda: save(NEXT, 1), {None: (NEW, NEXT), 1: (NEW, NEXT)}),
    "save beside an unfinished model": (unfinished_save, lambda: save(NEXT, 2), {None: (NEW, NEXT), 1: (NEW,)}),
    "save beside what an earlier version left": (
        lambda: (save(OLD, 2), earlier_version(NEW, 1)),
        lambda: save(NEXT, 2),
        {None: (OLD, NEXT), 1: (NEW,), 2: (OLD, NEXT)},
    ),
    "checkpoint, and remove the one before": (
        lambda: checkpoint(OLD, 1),
        lambda: checkpoint(NEW, 2),
        {None: (OLD, NEW), 1: (OLD, None), 2: (None, NEW), "best": (OLD, NEW)},
    ),
    "finish": (unfinished_save, lambda: finish_leftovers(Path("m")), {None: (NEW,), 1: (NEW,)}),
    "finish what an earlier version left": (
        lambda: (Path("m").mkdir(), earlier_version(NEW, 1)),
        lambda: finish_leftovers(Path("m")),
        {None: (NEW,), 1: (NEW,)},
    ),
    "resume after an unfinished checkpoint": (
        unfinished_checkpoint,
        lambda: checkpoint(NEXT, 3),
        {None: (NEW, NEXT), 3: (None, NEXT), "best": (NEW, NEXT)},
    ),
    "resume after an unfinished removal": (
        unfinished_removal,
        lambda: checkpoint(NEXT, 3),
        {None: (NEW, NEXT), 1: (None,), 3: (None, NEXT), "best": (NEW, NEXT)},
    ),
}


class LostError(AssertionError):
    """A reader found something else than one of the models."""


def check_points(operation: str, every: int = 1) -> int:
    """Let every `every`-th change of an operation fail in every way; the number of combinations with readers.

    Works in folders of the current one. Raises LostError.
    """
    before, change, expected = OPERATIONS[operation]
    with Disk():
        before()
    if Path("m").is_dir():
        Path("m").rename("before")
    n_combinations = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "saved, but ..."
        for number, fault in enumerate(FAULTS):
            for at in range(1 + number % every, 10_000, every):
                if Path("before").is_dir():
                    shutil.copytree("before", "m")
                with Disk(fault, at) as disk, contextlib.suppress(KilledError, KeyboardInterrupt, OSError):
                    change()
                Path("m").mkdir(exist_ok=True)
                where = f"{operation}: {fault} at change {at}"
                n_combinations += check_readers(where, expected)
                with Disk():  # without flushes, which take milliseconds
                    n_combinations += check_writers(where)
                shutil.rmtree("m")
                if disk.n_changes < at:
                    break
    return n_combinations


def check_readers(where: str, expected: dict) -> int:
    """Raise LostError unless each reader finds one of the models that it may find; the number of readers."""
    found = everything_in("m")
    for reader, models in expected.items():
        content = content_of("m/best") if reader == "best" else content_of("m", reader)
        if content not in [model and variables_of(model) for model in models]:
            raise LostError(f"{where}: model {reader}: found {content}")
    if everything_in("m") != found:
        raise LostError(f"{where}: a reader changed something")
    return len(expected)


def check_writers(where: str) -> int:
    """Raise LostError unless a training that resumes finds what readers find, and another save works; their number."""
    newest, n_readers = content_of("m"), 1
    if Path("m/best").exists():  # a training's folder
        n_readers, resumed = 2, MadeModel("nothing")
        with CheckpointFolder(Path("m"), max_to_keep=1, resumes=True) as folder:
            if folder.load_newest(resumed, PLAN) != PLAN or variables_of(resumed) != newest:
                raise LostError(f"{where}: a training resumed from {variables_of(resumed)}")
        if content_of("m") != newest:
            raise LostError(f"{where}: resuming changed what readers find")
    before = {number: content_of("m", number) for number in (1, 2, 3)}
    save(OLD, 77)
    if {number: content_of("m", number) for number in (1, 2, 3)} != before or content_of("m") != variables_of(OLD):
        raise LostError(f"{where}: another save changed what readers find")
    if remains := list(Path("m").glob(".model.ckpt-*")):
        raise LostError(f"{where}: another save left {remains}")
    return n_readers


def main() -> int:
    """Print a line for each operation; return 1 if a model is lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="changes from one that fails to the next (default: 1)")
    arguments = parser.parse_args()
    n_all = n_lost = 0
    for operation in OPERATIONS:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                n = check_points(operation, arguments.every)
                n_all += n
                print(f"{operation}: {n:,} combinations of a fault, a change and a reader", flush=True)
            except LostError as error:
                n_lost += 1
                print(error, flush=True)
            os.chdir("/")
    print(f"{n_all:,} combinations; {n_lost} of {len(OPERATIONS)} operations lost or refused a model", flush=True)
    return int(n_lost > 0)


if __name__ == "__main__":
    sys.exit(main())
