"""`predict_file`: the answers of `predict`, bit for bit, in parts, in constant memory; what images it refuses."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from answers import N, data, expected, images, is_equal, model, names

from digitcnn import (
    DigitCNN,
    UntrainedModelError,
    predict_file,
    write_idx,
)
from digitcnn.exceptions import DigitCNNWarning


@pytest.fixture(scope="module")
def convolutions(few):
    """A model whose rounding depends on the size of a batch."""
    with DigitCNN(architecture="strided", random_seed=1) as model:
        model.train(few, steps=6, verbose=False)
        yield model


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
