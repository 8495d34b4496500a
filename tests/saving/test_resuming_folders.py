"""The folder of a training: other files in it, links, locks, a full disk, and how many checkpoints are kept."""

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from resuming import files, interrupted_at, make, on_posix, started, started_once, state, steps_in, train, uninterrupted

from digitcnn import DigitCNN, FolderInUseError


def test_train_into_a_used_folder_raises(started, few):
    before = files("run")
    with make() as model, pytest.raises(FileExistsError, match=r"run: expected a folder without saved models.*ckpt-4"):
        train(model, few)
    assert files("run") == before


@pytest.mark.parametrize(("every", "kept"), [(None, [9, 12, 15, 18]), (5, [12, 15, 18]), (1000, [9, 12, 15, 18])])
def test_max_to_keep_and_the_best_checkpoint(few, every, kept):
    with make(epochs=6, learning_rate=2e-3) as model:
        train(model, few, checkpoint_every=every, max_to_keep=4)
        assert steps_in("run")[-3:] == kept[-3:] and len(steps_in("run")) == 4
        accuracies = model.history["Accuracy"].tolist()
    (best,) = steps_in("run/best")
    assert best == 3 * (1 + accuracies.index(max(accuracies)))
    with DigitCNN.restore("run/best") as model:
        assert model.evaluate(*few)["accuracy"] == max(accuracies)
    with DigitCNN.restore("run") as model:
        assert model.global_step == 18


def test_max_to_keep_of_numpy_is_a_number(few):
    """The negative of a number without a sign is a large one: all checkpoints would be beyond it."""
    with make(epochs=3) as model:
        train(model, few, max_to_keep=np.uint8(2))
    assert steps_in("run") == [8, 9]


def test_training_keeps_models_saved_by_hand(started, few, uninterrupted):
    with DigitCNN.restore("run") as model:
        model.save(epoch=1, path="run")
        model.save(epoch=99, path="run")
        model.save(epoch=6, path="run")
    with make() as model, pytest.raises(FileExistsError, match="model.ckpt-6: expected a free name"):
        train(model, few, resume=True)
    for file in Path("run").glob("model.ckpt-6.*"):
        file.unlink()
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted
    assert steps_in("run") == [1, 4, 6, 99]


def test_training_keeps_files_of_other_programs(started, few):
    """Only a file with the name of a new checkpoint stops the training."""
    Path("run/model.ckpt-6.index").write_text("another program's")
    Path("run/model.ckpt-3.tflite").write_text("another program's")
    with make() as model, pytest.raises(FileExistsError, match="model.ckpt-6: expected a free name"):
        train(model, few, resume=True, max_to_keep=1)
    assert Path("run/model.ckpt-6.index").read_text() == Path("run/model.ckpt-3.tflite").read_text()
    assert steps_in("run") == [4]
    Path("started-by-another").mkdir()
    Path("started-by-another/model.ckpt-9.index").write_text("another program's")
    with make() as model, pytest.raises(FileExistsError, match="found model.ckpt-9.index"):
        train(model, few, checkpoint_dir="started-by-another")


def test_cleaning_up_does_not_follow_links(started, few, uninterrupted):
    """An untrusted folder may hold links that look like incomplete checkpoints."""
    mine = Path("mine/new")
    mine.mkdir(parents=True)
    for file in (mine / "letter.txt", mine / "model.ckpt-9.json", Path("mine/ready")):
        file.write_text("mine")
    before = files("mine")
    Path("run/.model.ckpt-9-abc").symlink_to(Path("mine").resolve())
    Path("run/.model.ckpt-8-abc").mkdir()
    Path("run/.model.ckpt-8-abc/ready").touch()
    Path("run/.model.ckpt-8-abc/new").symlink_to(mine.resolve())
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted
    assert files("mine") == before and steps_in("run") == [4, 6]


def test_train_with_a_used_best_folder_raises(few):
    with make() as model:
        model.train(few, steps=1, verbose=False)
        model.save(epoch=1, path="run/best")
        with pytest.raises(FileExistsError, match="run/best: expected a folder without saved models"):
            train(model, few)
    assert steps_in("run/best") == [1]


def test_save_under_a_checkpoints_name_raises(started):
    before = files("run")
    with (
        DigitCNN.restore("run") as model,
        pytest.raises(FileExistsError, match="model.ckpt-4: expected a name to save"),
    ):
        model.save(epoch=4, path="run")
    assert files("run") == before


HOLDER = """
import sys
from pathlib import Path
from digitcnn.saving.lock import lock_folder
with lock_folder(Path("run")):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_train_in_a_locked_folder_raises(started, few, uninterrupted):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        before = files("run")
        with make() as model, pytest.raises(FolderInUseError, match="run: expected a folder that no other process"):
            train(model, few, resume=True)
        assert files("run") == before
        holder.kill()  # the system releases its lock
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted


@contextlib.contextmanager
def file_sizes_limited():
    """Yield a function that limits the size of files, in bytes, until the block ends."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@on_posix
@pytest.mark.parametrize(
    ("n_bytes", "logdir", "message"),
    [
        (50_000, None, r"could not save a model as run/(best/)?model\.ckpt-6"),
        (10, "run", "could not write for TensorBoard into run/validation"),
    ],
)
def test_train_full_disk_raises(few, uninterrupted, n_bytes, logdir, message):
    """No file can grow from step 5 on; the earlier checkpoint stays whole."""
    with (
        file_sizes_limited() as limit,
        make() as model,
        interrupted_at(model, 5, lambda: limit(n_bytes)),
        pytest.raises(OSError, match=message),
    ):
        train(model, few, max_to_keep=1, logdir=logdir)
    assert steps_in("run") == [4]
    with make() as model:
        train(model, few, resume=True, logdir=logdir)
        assert state(model) == uninterrupted


def test_train_folder_deleted_during_training_raises(few):
    with make() as model, interrupted_at(model, 5, lambda: shutil.rmtree("run")):
        with pytest.raises(FileNotFoundError, match="run: expected the folder that this training began in"):
            train(model, few)
        assert model.global_step == 6 and model.predict(few[0]).shape == (130,)
    assert not Path("run").exists()


def test_train_folder_that_cannot_be_made_raises(few):
    Path("file").write_text("in the way")
    for folder in ("file", "file/run"):
        with make() as model, pytest.raises(OSError, match=f"{folder}: expected a folder that can be written"):
            train(model, few, checkpoint_dir=folder)
    assert Path("file").read_text() == "in the way"
