"""`predict_file`, interrupted: resumes to the same bytes; mixes nothing, overwrites nothing, leaves nothing."""

import contextlib
import errno
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from answers import N, data, expected, images, is_equal, model, names

from digitcnn import (
    DigitCNN,
    FolderInUseError,
    ResumeError,
    Standardization,
    predict_file,
    write_idx,
)
from digitcnn.bulk import output as output_module
from digitcnn.bulk.output import partial_folder
from digitcnn.bulk.record import model_sha256
from digitcnn.engine.engine import Engine
from digitcnn.exceptions import DigitCNNWarning
from digitcnn.graph.inspection import model_variables


class StoppedError(Exception):
    """Stands for whatever ends a call."""


@contextlib.contextmanager
def stopping_after(n_batches, error=StoppedError):
    """Let the batch after so many raise; every batch is recorded."""
    classify, left = Engine.classify, [n_batches]

    def stop(self, *arguments):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return classify(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "classify", stop)
        patch.setattr(output_module, "MIN_SECONDS", 0)
        patch.setattr(output_module, "MAX_SHARE", 1e9)
        with pytest.raises(error):
            yield


@pytest.mark.parametrize(("form", "n_batches"), [("npy", 1), ("npy", 5), ("csv", 3)])
def test_stopped_call_resumes_to_the_same_bytes(model, data, form, n_batches):
    predict_file(model, data, f"whole.{form}", verbose=False)
    out = Path(f"out.{form}")
    with stopping_after(n_batches):
        predict_file(model, data, out, verbose=False)
    assert not out.exists() and partial_folder(out).is_dir()
    with (partial_folder(out) / "rows").open("ab") as rows:
        rows.write(b"half a row")  # as a kill leaves it
    result = predict_file(model, data, out, verbose=False)
    assert result.n_predicted == N - 1000 * n_batches
    assert out.read_bytes() == Path(f"whole.{form}").read_bytes() and not partial_folder(out).exists()


def test_moved_data_of_other_form_resume(model, data, images):
    """What counts are the pixels."""
    predict_file(model, data, "whole.npy", verbose=False)
    with stopping_after(2):
        predict_file(model, data, "out.npy", verbose=False)
    data.unlink()
    write_idx("moved", images.reshape(N, 28, 28))
    assert predict_file(model, "moved", "out.npy", verbose=False).n_predicted == N - 2000
    assert Path("out.npy").read_bytes() == Path("whole.npy").read_bytes()


def test_call_that_did_nothing_leaves_nothing(model, data):
    with stopping_after(0):
        predict_file(model, data, "out.npy", verbose=False)
    assert names() == ["x.npy"]


def test_complete_file_is_left_as_it_is(model, data):
    predict_file(model, data, "out.npy", verbose=False)
    before = Path("out.npy").stat()
    partial_folder(Path("out.npy")).mkdir()  # what a kill after the last rename leaves
    assert predict_file(model, data, "out.npy", verbose=False).n_predicted == 0
    after = Path("out.npy").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not partial_folder(Path("out.npy")).exists()


def change_images(images):
    np.save("x.npy", 255 - images)


def change_one_pixel(images):
    """With the time of the file as it was."""
    before = Path("x.npy").stat()
    with Path("x.npy").open("r+b") as stream:
        stream.seek(128 + 784 * 1500 + 400)
        stream.write(b"\x07")
    os.utime("x.npy", ns=(before.st_atime_ns, before.st_mtime_ns))


def change_length(images):
    np.save("x.npy", images[:-1])


CHANGES = {
    change_images: r"x\.npy: expected the 2,000 images with which out\.npy began, found others",
    change_one_pixel: r"x\.npy: expected the 2,000 images with which out\.npy began, found others",
    change_length: r"out\.npy: expected n_images=5203, with which it began, found 5202",
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_input_is_not_mixed_with_the_old_one(model, data, images, change):
    with stopping_after(2):
        predict_file(model, data, "out.npy", verbose=False)
    before = (partial_folder(Path("out.npy")) / "rows").read_bytes()
    change(images)
    with pytest.raises(ResumeError, match=CHANGES[change] + r".*remove \.out\.npy\.partial"):
        predict_file(model, data, "out.npy", verbose=False)
    assert (partial_folder(Path("out.npy")) / "rows").read_bytes() == before


def test_other_model_or_shard_is_refused_by_name(model, data, few):
    with stopping_after(2):
        predict_file(model, data, "out.npy", shard=(1, 2), verbose=False)
    with pytest.raises(ResumeError, match=r"out\.npy: expected shard='1/2', with which it began, found '1/1'"):
        predict_file(model, data, "out.npy", verbose=False)
    with DigitCNN(architecture="softmax", random_seed=1) as other:
        other.train(few, steps=7, verbose=False)
        with pytest.raises(ResumeError, match=r"out\.npy: expected model='[0-9a-f]{64}', with which it began"):
            predict_file(other, data, "out.npy", shard=(1, 2), verbose=False)
        predict_file(model, data, "out.npy", shard=(1, 2), verbose=False)
        with pytest.raises(FileExistsError, match=r"out\.npy: expected a new file, .* found one of model="):
            predict_file(other, data, "out.npy", shard=(1, 2), verbose=False)


class Averaging(DigitCNN):
    """A small graph with moving averages."""

    def build(self):
        tf_x = tf.compat.v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = tf.compat.v1.placeholder(tf.int32, [None], name="tf_y")
        is_training = tf.compat.v1.placeholder_with_default(False, [], name="is_training")
        logits = self.batch_norm_layer(self.fc_layer(tf_x, "fc", 10), "norm", is_training)
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        tf.compat.v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")


def test_weights_averages_and_standardization_decide_whether_a_model_is_the_same(few):
    with Averaging(random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        path = model.save(1, "m")
        found = [model_sha256(model)]
        for variable in model_variables(model.g):
            before = model.sess.run(variable)
            model._engine.assign({variable.op.name: before + 1})
            found.append(model_sha256(model))
            model._engine.assign({variable.op.name: before})
        assert model_sha256(model) == found[0]
        model.standardization = Standardization.unit()
        assert len({*found, model_sha256(model)}) == len(model_variables(model.g)) + 2 == 8
    with Averaging.restore(path) as again:
        assert model_sha256(again) == found[0]


def test_damaged_rows_are_detected(model, data):
    with stopping_after(2):
        predict_file(model, data, "out.npy", verbose=False)
    rows = partial_folder(Path("out.npy")) / "rows"
    content = bytearray(rows.read_bytes())
    content[500] ^= 1
    rows.write_bytes(content)
    with pytest.raises(ResumeError, match=r"rows: expected the rows that were written, found others: damaged"):
        predict_file(model, data, "out.npy", verbose=False)
    (rows.parent / "progress.json").write_text("{")
    with pytest.raises(ResumeError, match=r"progress\.json: expected a record of predictions, found: .*to begin anew"):
        predict_file(model, data, "out.npy", verbose=False)


def test_other_files_are_not_overwritten(model, data):
    Path("mine.npy").write_text("mine")
    Path("free.npy.json").write_text('{"mine": 1}')
    predict_file(model, data, "changed.npy", verbose=False)
    with Path("changed.npy").open("ab") as stream:
        stream.write(b"x")
    Path("folder.npy").mkdir()
    for out, found in (
        ("mine.npy", "found one that was not written so"),
        ("free.npy", r"free\.npy\.json: expected a new file, found another program's"),
        ("changed.npy", "found one that has changed since it was written"),
        ("x.npy", "found one that was not written so"),
        ("folder.npy", "expected a name of a file to write, found a folder"),
        ("nowhere/a.npy", "expected a folder that exists, found no nowhere"),
    ):
        before = names()
        with pytest.raises(OSError, match=found):
            predict_file(model, data, out, verbose=False)
        assert names() == before
    assert Path("mine.npy").read_text() == "mine"
    with pytest.raises(ValueError, match=r"out\.txt: expected a name that ends in \.npy or \.csv"):
        predict_file(model, data, "out.txt", verbose=False)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit of this kind")
def test_full_disk_costs_nothing_that_was_recorded(model, data, expected, monkeypatch):
    import resource

    monkeypatch.setattr(output_module, "MIN_SECONDS", 0)
    monkeypatch.setattr(output_module, "MAX_SHARE", 1e9)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(
            OSError, match=r"out\.npy: expected a file that can be written.*same command resumes"
        ) as caught:
            predict_file(model, data, "out.npy", verbose=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.errno == errno.EFBIG and not Path("out.npy").exists()
    assert predict_file(model, data, "out.npy", verbose=False).n_predicted == N - 2000
    assert is_equal(np.load("out.npy"), expected)


def test_no_room_is_said_before_hours_of_work(model, data, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.warns(DigitCNNWarning, match=r"out\.npy: expected room for at least 0 MB, found 0 MB"):
        predict_file(model, data, "out.npy", verbose=False)


def test_second_writer_of_a_file_is_refused(model, data):
    """In another thread of the process; tests/cli has another process."""
    begun, go_on = threading.Event(), threading.Event()
    classify = Engine.classify

    def wait(self, *arguments):
        if not begun.is_set():
            begun.set()
            go_on.wait(60)
        return classify(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "classify", wait)
        thread = threading.Thread(target=predict_file, args=(model, data, "out.npy"), kwargs={"verbose": False})
        thread.start()
        begun.wait(60)
        try:
            with pytest.raises(FolderInUseError, match=r"out\.npy: expected a file that no other process writes"):
                predict_file(model, data, "out.npy", verbose=False)
        finally:
            go_on.set()
            thread.join()
    assert Path("out.npy").exists()
