"""Data sets by name and by folder: where they are looked for, and what is wrong with them."""

import re
import sys

import numpy as np
import pytest
from conftest import write_set

from digitcnn import IDXError, load_dataset, load_mnist, read_idx, write_idx
from digitcnn.cli.main import main
from digitcnn.data.datasets import DATASET_NAMES
from digitcnn.data.layouts import DATA_FOLDER


@pytest.mark.parametrize("joint", ["-", "."])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dataset_type", ["train", "t10k"])
def test_load_mnist_reads_both_name_styles(tmp_path, joint, suffix, dataset_type):
    images = write_set(tmp_path, joint, suffix)
    X, y = load_mnist(tmp_path, dataset_type=dataset_type)
    assert X.dtype == y.dtype == np.uint8
    np.testing.assert_array_equal(X, images.reshape(6, 784))
    np.testing.assert_array_equal(y, range(6))


def test_load_mnist_inconsistent_files_raise(tmp_path):
    write_set(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.arange(5, dtype=np.uint8))
    with pytest.raises(IDXError, match="train-images.*expected 5 x 28 x 28 elements, found 6 x 28 x 28"):
        load_mnist(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.array([0, 1, 2, 10, 4, 5], np.uint8))
    with pytest.raises(IDXError, match="train-labels.*expected labels 0..9, found 10 at index 3"):
        load_mnist(tmp_path)
    write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", np.zeros((6, 32, 32), np.uint8))
    with pytest.raises(IDXError, match="expected 6 x 28 x 28 elements, found 6 x 32 x 32"):
        load_mnist(tmp_path, "t10k")


def test_missing_files_and_folders_raise(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte.gz"):
        load_mnist(tmp_path)
    with pytest.raises(FileNotFoundError, match="found nothing there"):
        load_mnist(tmp_path / "no")
    with pytest.raises(ValueError, match="expected 'train' or 't10k', found 'test'"):
        load_mnist(tmp_path, "test")
    with pytest.raises(FileNotFoundError, match="a-file: expected a folder of IDX files, found a file"):
        (tmp_path / "a-file").write_text("no folder")
        load_mnist(tmp_path / "a-file")


def test_bundled_digits_are_complete_and_in_mnists_form(digits):
    """In a box of at most 20x20, with the centre of mass within half a pixel of the middle."""
    assert digits.train_images.shape == (1437, 784) and digits.test_images.shape == (360, 784)
    assert np.bincount(digits.train_labels).min() > 130
    images = digits.train_images.reshape(-1, 28, 28).astype(float)
    for image in images[::50]:
        rows, columns = np.nonzero(image.max(axis=1))[0], np.nonzero(image.max(axis=0))[0]
        assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        centre = [(image.sum(axis=axis) @ np.arange(0.5, 28)) / image.sum() for axis in (0, 1)]
        assert np.abs(np.subtract(centre, 14)).max() <= 0.5


def test_make_bundled_reproduces_the_bundled_files(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn, the source of the bundled digits, is not installed")
    import runpy

    from conftest import ROOT

    script = runpy.run_path(str(ROOT / "data" / "make_bundled.py"))
    made = tmp_path / "made.py"
    script["main"].__globals__["__file__"] = str(made)
    script["main"]()
    for file in (tmp_path / "bundled").iterdir():
        # Compare arrays, since zlib's output differs from version to version.
        np.testing.assert_array_equal(read_idx(file), read_idx(ROOT / "data" / "bundled" / file.name))


def test_split_takes_the_last_images_for_validation(digits):
    (X, y), (Xv, yv) = digits.split(37)
    assert len(X) == len(y) == 1400 and len(Xv) == len(yv) == 37
    np.testing.assert_array_equal(np.concatenate([X, Xv]), digits.train_images)
    assert digits.split(0)[1] is None
    for n in (-1, 1437, 1.5):
        with pytest.raises((ValueError, TypeError), match="n_validation: expected a whole number in 0..1436"):
            digits.split(n)


def test_data_dir_is_searched_before_the_environment(tmp_path, monkeypatch):
    for place, n in (("argument", 3), ("environment", 4)):
        write_set(tmp_path / place / "kmnist", n=n)
    monkeypatch.setenv("DIGITCNN_DATA", str(tmp_path / "environment"))
    assert len(load_dataset("kmnist").train_labels) == 4
    assert len(load_dataset("kmnist", tmp_path / "argument").train_labels) == 3
    (tmp_path / "argument" / "kmnist").rename(tmp_path / "argument" / "mine")
    assert len(load_dataset("kmnist", tmp_path / "argument").train_labels) == 4
    mine = load_dataset("mine", tmp_path / "argument")
    assert mine.name == "mine" and mine.folder == tmp_path / "argument" / "mine"
    monkeypatch.setenv("DIGITCNN_DATA", str(tmp_path / "nowhere"))
    assert load_dataset().name == "bundled"


def test_a_path_is_not_taken_for_a_name(tmp_path, monkeypatch):
    write_set(tmp_path / "environment" / "kmnist", n=4)
    write_set(tmp_path / "kmnist", n=7)
    monkeypatch.setenv("DIGITCNN_DATA", str(tmp_path / "environment"))
    for path in ("./kmnist", tmp_path / "kmnist"):
        assert len(load_dataset(path).train_labels) == 7


def test_a_folder_without_data_raises_one_sentence(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("no data")
    for name in ("mine", tmp_path / "mine"):
        with pytest.raises(FileNotFoundError) as caught:
            load_dataset(name)
        assert str(caught.value) == f"{name}: expected {DATA_FOLDER}, found neither in it"


def test_a_folder_that_lacks_a_file_raises(tmp_path):
    write_set(tmp_path / "mine")
    (tmp_path / "mine" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"mine: expected t10k-labels-idx1-ubyte.gz, or t10k-labels.*, found neither$"
    ):
        load_dataset("mine", tmp_path)


@pytest.mark.parametrize("name", ["mnist", "bundled", "mine", "./mine"])
def test_a_data_dir_that_does_not_exist_raises(tmp_path, monkeypatch, capsys, name):
    """It is neither made nor downloaded to."""
    monkeypatch.setattr("digitcnn.data.datasets.download", lambda *_: pytest.fail("a download was begun"))
    with pytest.raises(
        FileNotFoundError,
        match=r"such.dir: expected a folder that has data sets in it, found nothing there; make it first, or leave out",
    ):
        load_dataset(name, "no/such/dir")
    assert main(["train", "--data", "mnist", "--data-dir", "no/such/dir"]) == 1
    assert "error: no/such/dir: expected a folder that has data sets in it" in capsys.readouterr().err.replace(
        "\\", "/"
    )
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FileNotFoundError, match="file: expected a folder that has data sets in it, found a file"):
        load_dataset(name, "file")


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("mnits", "; did you mean 'mnist'?"),
        ("MNIST", "; did you mean 'mnist'?"),
        ("fashion", "; did you mean 'fashion-mnist'?"),
        ("kmnits", "; did you mean 'kmnist'?"),
        ("bundle", "; did you mean 'bundled'?"),
        ("cifar", ", but no folder of that name"),
    ],
)
def test_misspelt_data_set_names_get_a_suggestion(name, suggestion):
    expected = f"data set: expected {', '.join(DATASET_NAMES)}, or {DATA_FOLDER}, found {name!r}"
    with pytest.raises(ValueError) as caught:
        load_dataset(name)
    assert str(caught.value) == expected + suggestion


@pytest.mark.parametrize(("dataset_type", "suggestion"), [("trian", "'train'"), ("t10", "'t10k'"), ("test", "'t10k'")])
def test_misspelt_dataset_types_get_a_suggestion(digits, dataset_type, suggestion):
    with pytest.raises(ValueError, match=f"found '{dataset_type}'; did you mean {suggestion}"):
        load_mnist(digits.folder, dataset_type)


def test_repr_of_a_data_set_is_one_line(digits, tmp_path):
    assert repr(digits) == "<Dataset 'bundled': 1,437 training and 360 test images of 28x28, 10 classes>"
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte", np.zeros((3, 5, 7), np.uint8))
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte", np.array([0, 11, 3], np.uint8))
    name = str(tmp_path)
    assert repr(load_dataset(name)) == f"<Dataset {name!r}: 3 training and 3 test images of 5x7, 12 classes>"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows reports other errors for such paths")
def test_paths_that_cannot_be_used_are_explained(tmp_path):
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "loop").symlink_to("loop")
    long = "n" * 300
    expected = "expected a folder of IDX files, found"
    for path, error, found in (
        ("file/below", NotADirectoryError, "a file where its path needs a folder"),
        ("loop", OSError, "symbolic links that lead in a circle"),
        (long, OSError, "a name that is too long"),
    ):
        with pytest.raises(error, match=f"^{path}: {expected} {found}$"):
            load_mnist(path)
        with pytest.raises(error, match=f"^{path}: expected a folder that has data sets in it, found {found}; make it"):
            load_dataset("mnist", path)
    for name in (long, f"./{long}"):
        expected = re.escape(f"{long}: expected {DATA_FOLDER}, found a name that is too long")
        with pytest.raises(OSError, match=f"{expected}$"):
            load_dataset(name)


def test_a_folder_without_permission_is_explained(tmp_path, monkeypatch):
    monkeypatch.delenv("DIGITCNN_DATA", raising=False)  # a bare name would be looked for there first
    write_set(tmp_path / "mine")

    def no_permission(*_, **__):
        raise PermissionError(13, "Permission denied", "mine")

    monkeypatch.setattr("pathlib.Path.is_file", no_permission)
    for call in (lambda: load_dataset("./mine"), lambda: load_dataset("mine"), lambda: load_mnist("mine")):
        with pytest.raises(PermissionError, match="^mine: expected a folder of IDX files or .*, found no permission"):
            call()
