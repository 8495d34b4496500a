"""`predict_file`: the answers of `predict`, bit for bit, in parts, resumed; what it refuses, and what it leaves."""

import contextlib
import errno
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import (
    DigitCNN,
    FolderInUseError,
    ResumeError,
    Standardization,
    UntrainedModelError,
    predict_file,
    write_idx,
)
from digitcnn.bulk import output as output_module
from digitcnn.bulk.output import partial_folder
from digitcnn.bulk.record import model_sha256
from digitcnn.engine.engine import Engine
from digitcnn.exceptions import DigitCNNWarning
from digitcnn.graph.inspection import model_variables

N = 5_203  # five batches of 1000 and one of 203


@pytest.fixture(scope="module")
def images(digits):
    """uint8 [5203, 784], shifted copies of the bundled digits."""
    copies = [np.roll(digits.train_images.reshape(-1, 28, 28), shift, axis=2) for shift in range(4)]
    return np.concatenate(copies)[:N].reshape(N, 784)


@pytest.fixture(scope="module")
def model(few):
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=6, verbose=False)
        yield model


@pytest.fixture(scope="module")
def convolutions(few):
    """A model whose rounding depends on the size of a batch."""
    with DigitCNN(architecture="strided", random_seed=1) as model:
        model.train(few, steps=6, verbose=False)
        yield model


@pytest.fixture(scope="module")
def expected(model, images):
    """Labels and probabilities that `predict` gives for all images at once."""
    return model.predict(images, verbose=False), model.predict(images, return_proba=True, verbose=False)


@pytest.fixture
def data(images):
    np.save("x.npy", images)
    return Path("x.npy")


def names():
    return sorted(path.name for path in Path().iterdir())


def is_equal(rows, expected):
    return np.array_equal(rows["label"], expected[0]) and np.array_equal(rows["probabilities"], expected[1])


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


def test_answers_are_those_of_predict_bit_for_bit(convolutions, data, images):
    expected = convolutions.predict(images, verbose=False), convolutions.predict(images, True, verbose=False)
    result = predict_file(convolutions, data, "out.npy", verbose=False)
    rows = np.load("out.npy", mmap_mode="r")
    assert rows.dtype == [("label", "<i4"), ("probabilities", "<f4", (10,))] and is_equal(rows, expected)
    assert (result.first, result.stop, result.n_images, result.n_predicted) == (0, N, N, N)
    assert names() == ["out.npy", "out.npy.json", "x.npy"]
    record = json.loads(Path("out.npy.json").read_text())
    assert record["progress"]["n_done"] == N and record["data"] == "x.npy"
    for i in (1, 2):
        predict_file(convolutions, data, f"{i}.npy", shard=(i, 2), verbose=False)
    assert is_equal(np.concatenate([np.load("1.npy"), np.load("2.npy")]), expected)


def test_idx_gives_the_same_file_as_npy(model, data, images):
    write_idx("x-images-idx3-ubyte", images.reshape(N, 28, 28))
    for name, out in (("x.npy", "a.npy"), ("x-images-idx3-ubyte", "b.npy")):
        predict_file(model, name, out, verbose=False)
    assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()


def test_csv_gives_every_bit_back(model, data, expected):
    predict_file(model, data, "out.csv", shard=(2, 2), verbose=False)
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == "image,label," + ",".join(f"probability_{label}" for label in range(10))
    table = np.array([line.split(",") for line in lines[1:]], float)
    assert np.array_equal(table[:, 0], np.arange(3000, N)) and np.array_equal(table[:, 1], expected[0][3000:])
    assert np.array_equal(table[:, 2:].astype(np.float32), expected[1][3000:])


@pytest.mark.parametrize("n_shards", [2, 3, 6])
def test_union_of_shards_is_the_whole(model, data, expected, n_shards):
    parts = [f"{i}.npy" for i in range(1, n_shards + 1)]
    stops = [0]
    for i, part in enumerate(parts, 1):
        result = predict_file(model, data, part, shard=(i, n_shards), verbose=False)
        assert result.first == stops[-1] and result.first % 1000 == 0
        stops.append(result.stop)
    assert stops[-1] == N and max(np.diff(stops)) <= 1000 * -(-6 // n_shards)
    assert is_equal(np.concatenate([np.load(part) for part in parts]), expected)


def test_folder_of_files_is_one_sequence(model, data, images, expected):
    data.unlink()
    Path("in").mkdir()
    for number, (start, stop) in enumerate([(0, 7), (7, 2500), (2500, N)]):
        np.save(f"in/part-{number}.npy", images[start:stop])
    predict_file(model, "in", "in/out.npy", verbose=False)  # into the folder itself: no image file for the next call
    assert is_equal(np.load("in/out.npy"), expected)
    assert predict_file(model, "in", "in/out.npy", verbose=False).n_predicted == 0


def test_few_images_and_floats(images):
    X = (images[:1005] / 255).astype(np.float32)
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train((X[:100], np.arange(100) % 10), steps=2, verbose=False)
        for n in (1, 8, 1000, 1005):
            np.save("x.npy", X[:n].astype(">f8"))
            predict_file(model, "x.npy", f"{n}.npy", verbose=False)
            found = model.predict(X[:n], verbose=False), model.predict(X[:n], return_proba=True, verbose=False)
            assert is_equal(np.load(f"{n}.npy"), found)


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


def test_bad_images_are_named_and_the_batches_before_stay(images):
    X = (images[:2500] / 255).astype(np.float32)
    X[2120, 5] = np.nan  # not in the sample that is looked at first
    np.save("x.npy", X)
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train((X[:100], np.arange(100) % 10), steps=2, verbose=False)
        with pytest.raises(ValueError, match=r"x\.npy\[2000:2500\]: expected finite numbers, .* in image 120"):
            predict_file(model, "x.npy", "out.npy", verbose=False)
        X[2120, 5] = 0
        np.save("x.npy", X)
        assert predict_file(model, "x.npy", "out.npy", verbose=False).n_predicted == 500
        np.save("raw.npy", images[:10])
        with pytest.raises(ValueError, match=r"raw\.npy: expected floats scaled as the training set was"):
            predict_file(model, "raw.npy", "raw-out.npy", verbose=False)
    assert names() == ["out.npy", "out.npy.json", "raw.npy", "x.npy"]


def test_range_is_judged_by_the_whole_input(model, images):
    """A dim first batch is no reason to warn; a dim whole is."""
    X = images.copy()
    X[:1000] = X[:1000] // 16
    np.save("x.npy", X)
    predict_file(model, "x.npy", "out.npy", verbose=False)
    np.save("dim.npy", images // 16)
    with pytest.warns(DigitCNNWarning, match=r"dim\.npy: expected pixels in about 0\.\.255, .* found 0\.\.15"):
        predict_file(model, "dim.npy", "dim-out.npy", verbose=False)


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0), (1, 7), (1.0, 2), "1/2", None, (1, 2, 3), (True, 2)])
def test_wrong_shard_is_refused(model, data, shard):
    with pytest.raises((TypeError, ValueError), match="shard"):
        predict_file(model, data, "out.npy", shard=shard, verbose=False)
    assert names() == ["x.npy"]


def test_untrained_or_closed_model_and_other_sizes_raise_first(data, images):
    with DigitCNN(architecture="softmax") as model, pytest.raises(UntrainedModelError):
        predict_file(model, data, "out.npy", verbose=False)
    with pytest.raises(UntrainedModelError):
        predict_file(model, data, "out.npy", verbose=False)
    with DigitCNN(architecture="softmax", image_shape=(8, 8)) as model:
        model.train(
            (np.zeros((20, 64), np.uint8) + np.arange(64, dtype=np.uint8), np.zeros(20)), steps=1, verbose=False
        )
        with pytest.raises(ValueError, match=r"x\.npy: expected images of 8 x 8, as the model takes them, found 5203"):
            predict_file(model, data, "out.npy", verbose=False)
    assert names() == ["x.npy"]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's /proc")
def test_memory_does_not_grow_with_the_input(few):
    """A sparse file of 200,000 blank images, 157 MB; a memory map of it would count as memory."""

    def peak():
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) << 10

    write_idx("small", np.full((2000, 28, 28), 200, np.uint8))
    header = bytearray(Path("small").read_bytes()[:16])
    header[4:8] = (200_000).to_bytes(4, "big")
    Path("big").write_bytes(header)
    os.truncate("big", 16 + 784 * 200_000)
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False)
        predict_file(model, "small", "small.npy", verbose=False)
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = peak()
        predict_file(model, "big", "big.npy", verbose=False)
        assert peak() - before < 40 << 20
    assert len(np.load("big.npy", mmap_mode="r")) == 200_000
