"""At every moment, whatever fails, every reader finds the old model whole or the new one whole."""

import contextlib
import shutil
import warnings
from pathlib import Path

import pytest
from crash_points import (
    FAULTS,
    PLAN,
    Disk,
    KilledError,
    MadeModel,
    content_of,
    everything_in,
    variables_of,
)

from digitcnn._files import write_whole
from digitcnn.export import writer
from digitcnn.saving.checkpoint_folder import CheckpointFolder
from digitcnn.saving.names import checkpoint_prefix
from digitcnn.saving.writing import finish_leftovers

OLD, NEW, NEXT = MadeModel("old"), MadeModel("new", accuracy=0.6), MadeModel("next", accuracy=0.7)


def save(model, number, folder="m", plan=None):
    Path(folder).mkdir(exist_ok=True)
    model.write(checkpoint_prefix(folder, number), model.record(plan))


def checkpoint(model, step):
    with CheckpointFolder(Path("m"), max_to_keep=1) as folder:
        if folder.load_newest(MadeModel("any"), PLAN) is None:
            folder.check_empty(resumes=True)
        folder.save(model, step, PLAN)


def leave(operation, fault, at):
    """Leave what a fault at a change leaves."""
    with contextlib.suppress(KilledError, OSError), Disk(fault, at):
        operation()


def leave_after(operation, is_done):
    """Leave what a kill leaves right after the change that makes `is_done()` true."""
    for at in range(1, 1_000):
        shutil.copytree("m", "kept")
        leave(operation, "kill", at)
        if is_done():
            break
        shutil.rmtree("m")
        Path("kept").rename("m")
    shutil.rmtree("kept")


def earlier_version(model, number):
    """What an earlier version left if it was killed while it replaced a model."""
    save(model, number, "other")
    scratch = Path(f"m/.model.ckpt-{number}-abcd1234")
    (scratch / "old").mkdir(parents=True)
    (scratch / "ready").touch()
    Path("other").rename(scratch / "new")
    (scratch / f"new/model.ckpt-{number}.data-00000-of-00001").rename(f"m/model.ckpt-{number}.data-00000-of-00001")
    (scratch / "new/.lock-saving").unlink(missing_ok=True)


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


def read(reader):
    return content_of("m/best") if reader == "best" else content_of("m", reader)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_reader_finds_a_whole_model_after_any_fault(operation, capsys):
    """The readers: the model saved last, by its number, best/, a training that resumes, and a writer after it."""
    before, change, expected = OPERATIONS[operation]
    with Disk():
        before()
    if Path("m").is_dir():
        Path("m").rename("before")
    n_combinations = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "saved, but ..."
        for fault in FAULTS:
            for at in range(1, 1_000):
                if Path("before").is_dir():
                    shutil.copytree("before", "m")
                with Disk(fault, at) as disk, contextlib.suppress(KilledError, KeyboardInterrupt, OSError):
                    change()
                found = everything_in("m") if Path("m").is_dir() else {}
                for reader, models in expected.items():
                    content, allowed = None, [model and variables_of(model) for model in models]
                    if Path("m").is_dir() or None not in allowed:
                        content = read(reader)
                    assert content in allowed, (fault, at, reader)
                assert found == (everything_in("m") if found else {}), "a reader changed something"
                with Disk():  # without flushes, which take milliseconds
                    n_combinations += len(expected) + check_writers(operation, fault, at)
                if Path("m").is_dir():
                    shutil.rmtree("m")
                if disk.n_changes < at:
                    break
            assert at > 5
    with capsys.disabled():
        print(f" [{n_combinations} combinations of a point, a fault and a reader]", end="")
    assert n_combinations > 100


def check_writers(operation, fault, at):
    """A training that resumes, or another save, finds what readers find and leaves no remains; count of readers."""
    Path("m").mkdir(exist_ok=True)
    newest = content_of("m")
    if "checkpoint" in operation or "resume" in operation:
        resumed = MadeModel("nothing")
        with CheckpointFolder(Path("m"), max_to_keep=1) as folder:
            assert folder.load_newest(resumed, PLAN) == PLAN, (fault, at)
        assert variables_of(resumed) == newest, (fault, at)
        assert content_of("m") == newest, (fault, at)
    numbers = {number: content_of("m", number) for number in (1, 2)}
    save(OLD, 77)
    assert {number: content_of("m", number) for number in (1, 2)} == numbers, (fault, at)
    assert content_of("m") == variables_of(OLD), (fault, at)
    assert not list(Path("m").glob(".model.ckpt-*")), (fault, at)
    return 3 if "checkpoint" in operation or "resume" in operation else 2


@pytest.mark.parametrize("fault", FAULTS)
def test_export_and_results_are_whole_after_any_fault(fault, monkeypatch):
    def write_two_files(_, folder):
        folder.mkdir()
        (folder / "graph").write_bytes(b"g")
        (folder / "variables").write_bytes(b"v")

    monkeypatch.setattr(writer, "write_saved_model", write_two_files)
    for change, result, allowed in (
        (
            lambda: writer.write_export(None, Path("out/exported"), "savedmodel"),
            "out/exported",
            [{}, {"graph": b"g", "variables": b"v"}],
        ),
        (
            lambda: write_whole(Path("out/settings.json"), b"new", is_durable=True),
            "out",
            [{"settings.json": b"old"}, {"settings.json": b"new"}],
        ),
    ):
        for at in range(1, 100):
            Path("out").mkdir()
            if result == "out":
                Path("out/settings.json").write_bytes(b"old")
            with Disk(fault, at) as disk, contextlib.suppress(KilledError, KeyboardInterrupt, OSError):
                change()
            found = everything_in(result) if Path(result).is_dir() else {}
            visible = {name: content for name, content in found.items() if not name.startswith(".")}
            assert visible in allowed, at
            shutil.rmtree("out")
            if disk.n_changes < at:
                break
        assert at > 3
