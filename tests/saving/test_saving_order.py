"""Which model was saved last, and what stands in the way of saving, on made models without a session."""

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tensorflow as tf
from conftest import ROOT

from digitcnn import CheckpointError, DigitCNN
from digitcnn.exceptions import DamagedError, DigitCNNWarning, FolderInUseError
from digitcnn.saving import checkpoint as reading
from digitcnn.saving import lock
from digitcnn.saving.checkpoint_folder import CheckpointFolder
from digitcnn.saving.layout import saved_numbers
from digitcnn.saving.record_file import read_record
from digitcnn.saving.writing import remove_checkpoint

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(ROOT / "tests" / "benchmarks")
    from crash_points import NEW, OLD, checkpoint, earlier_version, leave_after, save
    from failing_disk import PLAN, content_of, variables_of


def test_the_model_saved_last_is_the_last_whatever_the_clock_says():
    save(OLD, 9)
    in_an_hour = time.time() + 3600
    os.utime("m/checkpoint", (in_an_hour, in_an_hour))  # as if the clock was set back since
    save(NEW, 2)
    assert reading.find_checkpoint("m").name == "model.ckpt-2"


def test_of_two_models_that_cannot_finish_the_later_one_is_the_last():
    Path("m/checkpoint/held").mkdir(parents=True)  # which no file can replace
    os.utime("m/checkpoint", (1, 1))
    for number in (3, 2):
        with pytest.warns(DigitCNNWarning, match="saved, but"):
            save(OLD, number)
        time.sleep(0.02)  # file systems have coarse clocks
    assert reading.find_checkpoint("m").name == "model.ckpt-2"


def test_a_new_training_finds_what_an_earlier_version_left():
    """Its hidden folder is a saved model, which the training would meet at that step."""
    Path("m").mkdir()
    earlier_version(OLD, 1, has_moved=False)
    assert saved_numbers(Path("m")) == [1] and not list(Path("m").glob("model.ckpt-*"))
    with pytest.raises(FileExistsError, match=r"found model\.ckpt-1"), CheckpointFolder(Path("m"), 2):
        pass


def test_a_training_keeps_a_model_that_was_saved_into_best():
    record = Path("m/best/model.ckpt-1.json")
    with CheckpointFolder(Path("m"), 2) as folder:
        save(OLD, 1, "m/best")
        before = record.read_bytes()
        with pytest.raises(FileExistsError, match="another model's files"):
            folder._save_best(NEW, 1, NEW.record(PLAN))
    assert record.read_bytes() == before


def test_a_folder_in_use_is_told_from_a_full_disk(monkeypatch):
    monkeypatch.setattr(lock, "MAX_SECONDS", 0.05)
    save(OLD, 1)
    with lock.writers_lock(Path("m")), ThreadPoolExecutor() as pool, pytest.raises(FolderInUseError):
        pool.submit(save, NEW, 1).result()


@pytest.mark.skipif(os.name == "nt", reason="Windows has other locks")
def test_a_file_system_without_locks(monkeypatch):
    """Training and saving work there; only the lock itself is missing."""
    fcntl = pytest.importorskip("fcntl")

    def no_locks(*_):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with CheckpointFolder(Path("m"), 2) as folder:
        folder.check_empty()
        checkpoint(OLD, 1)
    assert reading.find_checkpoint("m").name == "model.ckpt-1"


@pytest.mark.parametrize(("number", "is_damage"), [(errno.EIO, True), (errno.EACCES, False), (errno.EMFILE, False)])
def test_what_cannot_be_read_now_is_not_damaged(monkeypatch, number, is_damage):
    """A resumed training would replace a damaged checkpoint."""
    save(OLD, 1)

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match="a file that can be read") as caught:
        read_record(Path("m/model.ckpt-1"))
    assert isinstance(caught.value, DamagedError) == is_damage


@pytest.mark.skipif(os.name == "nt", reason="Windows needs rights to make links")
def test_a_record_that_is_a_dangling_link_is_no_model():
    save(OLD, 1)
    Path("m/model.ckpt-2.json").symlink_to("nothing")
    assert saved_numbers(Path("m")) == [1]


def test_a_killed_save_is_the_last_whatever_the_clock_says():
    """The kill comes after the record has its name, and before the file `checkpoint` has."""
    save(OLD, 1)
    in_an_hour = time.time() + 3600
    os.utime("m/checkpoint", (in_an_hour, in_an_hour))
    leave_after(lambda: save(NEW, 2), lambda: Path("m/model.ckpt-2.json").exists())
    assert list(Path("m").glob(".model.ckpt-2.state-*")) and reading.find_checkpoint("m").name == "model.ckpt-2"
    save(OLD, 0)
    assert reading.find_checkpoint("m").name == "model.ckpt-0" and not list(Path("m").glob(".model*"))


def test_tensorflow_reads_which_model_was_saved_last(few):
    with DigitCNN(architecture="softmax") as model:
        model.train(few, steps=1, verbose=False)
        for number in (3, 2):
            model.save(number, "m")
    assert tf.train.latest_checkpoint("m") == str(Path("m", "model.ckpt-2"))


def test_one_place_that_cannot_be_opened_does_not_hide_another():
    """A folder in place of a visible file, which the new file cannot replace."""
    Path("m/model.ckpt-1.index/held").mkdir(parents=True)
    with pytest.warns(DigitCNNWarning, match="saved, but"):
        save(NEW, 1)
    assert content_of("m", 1) == variables_of(NEW)


def test_removing_a_checkpoint_whose_record_is_no_text_goes_on():
    """What names its files is lost, so they stay."""
    checkpoint(OLD, 1)
    Path("m/model.ckpt-1.json").write_bytes(b"\xff\xfe{}")
    remove_checkpoint(Path("m/model.ckpt-1"))
    assert saved_numbers(Path("m")) == []


def test_without_the_lock_of_a_folder_that_has_locks_nothing_is_saved(monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    save(OLD, 1)
    monkeypatch.setattr(lock.filelock.FileLock, "acquire", refuse)
    with pytest.raises(OSError, match="could not save a model as m/model.ckpt-1: "):
        save(NEW, 1)
    assert content_of("m") == variables_of(OLD)
