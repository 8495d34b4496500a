"""At every moment, whatever fails, every reader finds the old model whole or the new one whole."""

import contextlib
import dataclasses
import errno
import os
import pathlib
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from digitcnn import CheckpointError, DigitCNN
from digitcnn._files import write_whole
from digitcnn.exceptions import DigitCNNWarning
from digitcnn.export import writer
from digitcnn.runs.folders import newest_run
from digitcnn.saving import checkpoint as reading
from digitcnn.saving import lock, writing
from digitcnn.saving.checkpoint_folder import CheckpointFolder
from digitcnn.saving.record import MAX_RECORD_BYTES

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "tests" / "benchmarks")
    from crash_points import NEW, NEXT, OLD, OPERATIONS, check_points, checkpoint, earlier_version, leave_after, save
    from failing_disk import FAULTS, PLAN, Disk, KilledError, MadeModel, content_of, everything_in, variables_of


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_reader_finds_a_whole_model_after_any_fault(operation):
    """Some 2,000 combinations in all; `tests/benchmarks/crash_points.py` has every change, nine times as many."""
    assert check_points(operation, every=9) > 30


@pytest.fixture(scope="module")
def trained(few):
    """Two trained models, and a third to load into."""
    with contextlib.ExitStack() as stack:
        models = [stack.enter_context(DigitCNN(architecture="softmax", random_seed=3)) for _ in range(3)]
        for steps, model in enumerate(models, 1):
            model.train(few, few, steps=steps, verbose=False)
        yield models


@pytest.mark.parametrize("moment", ["decided", "not decided"])
def test_a_model_is_used_in_every_way_after_a_kill(trained, few, moment):
    old, new, other = trained
    old.save(1, "m")
    before = everything_in("m")
    is_new = moment == "decided"

    if is_new:
        content = content_of("m")
        leave_after(lambda: new.save(1, "m"), lambda: content_of("m") != content)
    else:
        with Disk("kill", 12), pytest.raises(KilledError):
            new.save(1, "m")
    assert everything_in("m") != before
    expected = new if is_new else old
    with DigitCNN.restore("m") as found:
        assert found.weights_sha256() == expected.weights_sha256() and found.history.equals(expected.history)
        assert found.evaluate(*few) == expected.evaluate(*few)
        found.export("exported")
    other.load(1, "m")
    np.testing.assert_array_equal(other.predict(few[0], True), expected.predict(few[0], True))
    before = everything_in("m", with_locks=True)
    for resume in (False, True):  # a refusal changes nothing, and advises what was not tried
        advice = "give another folder$" if resume else "or, to continue that training, resume=True"
        with pytest.raises(FileExistsError, match=f"m: expected a folder without saved models.*{advice}"):
            other.train(few, checkpoint_dir="m", resume=resume, verbose=False)
    assert everything_in("m", with_locks=True) == before


def test_what_an_earlier_kill_left_does_not_replace_a_newer_model(trained, few):
    """A kill leaves a model decided; another is saved under its number; then a training looks at the folder."""
    old, new, newest = trained
    old.save(1, "m")
    before = content_of("m")
    leave_after(lambda: new.save(1, "m"), lambda: content_of("m") != before)
    assert list(Path("m").glob(".model.ckpt-1.index-*"))
    newest.save(1, "m")
    earlier_version(OLD, 1, has_moved=False)  # as if a kill of an earlier version had come before
    with pytest.raises(FileExistsError), DigitCNN(architecture="softmax") as model:
        model.train(few, checkpoint_dir="m", resume=True, verbose=False)
    for _ in range(2):
        with DigitCNN.restore("m") as found:
            assert found.weights_sha256() == newest.weights_sha256()
        writing.finish_leftovers(Path("m"))
    assert not list(Path("m").glob(".model.ckpt-*"))


def test_a_save_that_cannot_finish_warns_and_is_whole(monkeypatch):
    """As on Windows, where a file that a reader has open cannot be replaced."""
    save(OLD, 1)
    replace = pathlib.Path.replace

    def held_open(file, target):
        if target.name == "model.ckpt-1.index":
            raise PermissionError(errno.EACCES, "held open")
        return replace(file, target)

    with (
        monkeypatch.context() as patch,
        pytest.warns(DigitCNNWarning, match="m/model.ckpt-1: saved, but .* no visible"),
    ):
        patch.setattr(pathlib.Path, "replace", held_open)
        save(NEW, 1)
    assert content_of("m") == variables_of(NEW)
    save(NEXT, 2)
    assert content_of("m", 1) == variables_of(NEW) and not list(Path("m").glob(".model*"))


def test_the_newest_run_is_found_while_its_training_removes_checkpoints(monkeypatch):
    save(OLD, 1, "run")
    glob = Path.glob
    monkeypatch.setattr(Path, "glob", lambda *arguments: [*glob(*arguments), Path("./run/model.ckpt-0.json")])
    assert newest_run(".") == Path("run")


@pytest.mark.parametrize("fault", FAULTS)
def test_export_and_results_are_whole_after_any_fault(fault, monkeypatch):
    def write_two_files(_, folder):
        folder.mkdir()
        (folder / "graph").write_bytes(b"g")
        (folder / "variables").write_bytes(b"v")

    monkeypatch.setattr(writer, "write_saved_model", write_two_files)
    exported, written = {"graph": b"g", "variables": b"v"}, {"settings.json": b"new"}
    for change, result, allowed in (
        (lambda: writer.write_export(None, Path("out/exported"), "savedmodel"), "out/exported", [{}, exported]),
        (
            lambda: write_whole(Path("out/settings.json"), b"new", is_durable=True),
            "out",
            [{"settings.json": b"old"}, written],
        ),
    ):
        for at in range(1, 100):
            Path("out").mkdir()
            if result == "out":
                Path("out/settings.json").write_bytes(b"old")
            error = None
            try:
                with Disk(fault, at) as disk:
                    change()
            except (KilledError, KeyboardInterrupt, OSError) as caught:
                error = caught
            found = everything_in(result) if Path(result).is_dir() else {}
            assert {name: content for name, content in found.items() if not name.startswith(".")} in allowed, at
            assert not isinstance(error, FileNotFoundError), "cleaning up hides the first error"
            shutil.rmtree("out")
            if disk.n_changes < at:
                break
        assert at > 3


def test_reading_beside_a_training_always_finds_a_whole_model():
    """A reader beside a process that writes and removes checkpoints as fast as it can."""
    whole, found = [variables_of(model) for model in (OLD, NEW, NEXT)], []

    def train():
        with Disk(), CheckpointFolder(Path("m"), max_to_keep=1) as folder:
            for step in range(2, 62):
                folder.save((OLD, NEW, NEXT)[step % 3], step, PLAN)

    checkpoint(OLD, 1)
    with ThreadPoolExecutor() as pool:
        training = pool.submit(train)
        while not training.done():
            found.append(content_of("m"))
        training.result()
    assert len(found) > 20 and all(content in whole for content in found)


def test_two_writers_of_one_number_wait_for_each_other():
    """The last record wins, whole; each reader finds one of them meanwhile."""
    save(OLD, 1)

    def write(model):
        for _ in range(15):
            save(model, 1)

    with Disk(), ThreadPoolExecutor() as pool:
        writers = [pool.submit(write, model) for model in (OLD, NEW, NEXT)]
        while not all(writer.done() for writer in writers):
            assert content_of("m", 1) in [variables_of(model) for model in (OLD, NEW, NEXT)]
        for ended in writers:
            ended.result()
    assert not list(Path("m").glob(".model*"))
    assert {path.name.partition(".")[0] for path in Path("m").iterdir()} == {"", "model", "checkpoint"}


def test_saving_on_a_file_system_without_locks(monkeypatch):
    def no_locks(*_, **__):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(lock.filelock.FileLock, "acquire", no_locks)
    save(OLD, 1)
    save(NEW, 1)
    assert content_of("m") == variables_of(NEW) and not list(Path("m").glob(".*"))


def test_a_writer_that_does_not_end_is_reported(monkeypatch):
    monkeypatch.setattr(lock, "MAX_SECONDS", 0.05)
    save(OLD, 1)
    with lock.writers_lock(Path("m")) as is_alone:
        assert is_alone
        with ThreadPoolExecutor() as pool, pytest.raises(OSError, match="one that holds .lock-saving for 0.05 seconds"):
            pool.submit(save, NEW, 1).result()
    assert content_of("m") == variables_of(OLD)


def test_removing_keeps_files_that_another_program_wrote():
    checkpoint(OLD, 1)
    Path("m/model.ckpt-1.data-00000-of-00001").write_bytes(b"TensorFlow's own")
    Path("m/model.ckpt-1.tflite").write_bytes(b"mine")
    writing.remove_checkpoint(Path("m/model.ckpt-1"))
    names = {file.name for file in Path("m").glob("model.ckpt-*")}
    assert names == {"model.ckpt-1.data-00000-of-00001", "model.ckpt-1.tflite"}
    assert content_of("m", 1) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_finishing_leaves_what_only_looks_like_a_remain():
    """In an untrusted folder: a named pipe, which would block, and what is no record."""
    save(OLD, 1)
    pipe, text = Path("m/.model.ckpt-2.removed-0123456789abcdef"), Path("m/.model.ckpt-3.removed-0123456789abcdef")
    os.mkfifo(pipe)
    text.write_bytes(b"\xff\xfe")
    Path("m/model.ckpt-3.index").write_bytes(b"another program's")
    save(NEW, 4)
    assert content_of("m") == variables_of(NEW) and content_of("m", 1) == variables_of(OLD)
    assert pipe.exists() and text.exists() and Path("m/model.ckpt-3.index").exists()


class LongModel(MadeModel):
    """A model with many rows of history."""

    def __init__(self, n_rows):
        super().__init__("long")
        self._n_rows = n_rows

    def record(self, plan=None):
        row = {"Epoch": self._n_rows, "Loss": 0.123456789012345, "Accuracy": 0.987654321098765}
        return dataclasses.replace(super().record(plan), history=[row] * self._n_rows)


def test_a_record_beyond_what_readers_take_is_refused_before_anything_changes(monkeypatch):
    save(OLD, 1)
    before = everything_in("m")
    with monkeypatch.context() as patch:
        patch.setattr(writing, "MAX_RECORD_BYTES", 50_000)
        with pytest.raises(OSError, match="record: expected at most 50,000 bytes, found .* with 1,000 rows of history"):
            save(LongModel(1_000), 1)
    assert everything_in("m") == before
    save(LongModel(1_000), 1)
    assert content_of("m") == variables_of(LongModel(1_000))


def test_a_history_of_47000_epochs_is_read():
    save(LongModel(47_000), 1)
    assert 4 << 20 < Path("m/model.ckpt-1.json").stat().st_size < MAX_RECORD_BYTES / 8
    assert content_of("m") == variables_of(LongModel(47_000))


def test_a_model_that_never_stays_ends_the_search(monkeypatch):
    save(OLD, 1)

    def changed(*_):
        raise reading._ChangedError

    monkeypatch.setattr(reading, "_SECONDS_BETWEEN_LOOKS", 0)
    monkeypatch.setattr(reading, "_places", changed)
    with pytest.raises(CheckpointError, match="m: expected a saved model that stays while it is opened"):
        content_of("m")
