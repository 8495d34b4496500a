"""Files of images that are read piece by piece: NPY and IDX, folders, and what is refused with which words."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from conftest import write_set

from digitcnn import IDXError, load_dataset, write_idx
from digitcnn.data.image_sequence import open_images

SHAPES = {"pixels": (7, 784), "rows": (7, 28, 28), "channel": (7, 28, 28, 1)}


@pytest.fixture
def images(rng):
    """Seven images, uint8 [7, 28, 28], no two alike."""
    return rng.integers(0, 256, (7, 28, 28), dtype=np.uint8)


def read_all(path, piece=3):
    with open_images(path) as sequence:
        sequence.check_size((28, 28))
        n = len(sequence)
        return np.concatenate([sequence.read(start, min(start + piece, n)) for start in range(0, n, piece)])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["u1", "<i4", ">i2", "<f4", ">f8", "<f2"])
def test_npy_of_each_shape_and_type_is_read_as_numpy_reads_it(images, shape, dtype):
    np.save("x.npy", images.reshape(SHAPES[shape]).astype(dtype))
    found = read_all("x.npy")
    assert found.dtype == np.dtype(dtype).newbyteorder("=") and found.dtype.isnative
    assert np.array_equal(found, images.reshape(7, 784))


def test_npy_of_format_2_is_read(images):
    with Path("x.npy").open("wb") as stream:
        np.lib.format.write_array(stream, images, version=(2, 0))
    assert np.array_equal(read_all("x.npy"), images.reshape(7, 784))


def test_idx_is_read_whatever_its_name(images):
    write_idx("my images [1]", images)
    assert np.array_equal(read_all("my images [1]"), images.reshape(7, 784))


def test_folder_is_read_by_name_without_labels_hidden_files_and_others(images):
    folder = Path("data [x]")
    folder.mkdir()
    write_idx(folder / "b-images-idx3-ubyte", images[:2])
    np.save(folder / "a.npy", images[2:5].reshape(3, 784))
    write_idx(folder / "c.bin", images[5:])
    write_idx(folder / "b-labels-idx1-ubyte", np.arange(2, dtype=np.uint8))
    write_idx(folder / "qmnist-train-labels-idx2-int", np.zeros((2, 8), np.int32))
    np.save(folder / "answers.npy", np.zeros(7, [("label", "<i4"), ("probabilities", "<f4", (10,))]))
    np.save(folder / ".hidden.npy", images)
    (folder / "README.md").write_text("text")
    (folder / "below").mkdir()
    np.save(folder / "below" / "d.npy", images)
    expected = np.concatenate([images[2:5], images[:2], images[5:]]).reshape(7, 784)
    for piece in (1, 2, 7):
        assert np.array_equal(read_all(folder, piece), expected)


def test_gzip_beside_its_unpacked_file_is_left_out(images):
    """As `gunzip -k` leaves them."""
    write_set(Path("mnist"))
    with pytest.raises(ValueError, match=r"t10k-images-idx3-ubyte.gz: expected an IDX or NPY file.*gunzip -k"):
        open_images("mnist")
    for file in Path("mnist").glob("*-images-*.gz"):
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
    with open_images("mnist") as sequence:
        assert len(sequence) == 12


def test_emnist_is_turned_upright_as_load_dataset_does(rng):
    images = rng.integers(0, 256, (6, 28, 28), dtype=np.uint8)
    for part in ("train", "test"):
        write_idx(f"emnist-digits-{part}-images-idx3-ubyte", images)
        write_idx(f"emnist-digits-{part}-labels-idx1-ubyte", np.arange(6, dtype=np.uint8))
    assert np.array_equal(read_all("emnist-digits-test-images-idx3-ubyte"), load_dataset(Path.cwd()).test_images)


def test_sample_is_of_the_whole_and_whole_for_few():
    np.save("x.npy", np.zeros((5000, 4)))
    with open_images("x.npy") as sequence:
        limits = sequence.sample()
        assert limits[0][0] == 0 and limits[-1][1] == 5000 and sum(stop - start for start, stop in limits) == 1024
        assert max(np.diff([start for start, _ in limits])) < 200
    np.save("few.npy", np.zeros((1024, 4)))
    with open_images("few.npy") as sequence:
        assert sequence.sample() == [(0, 1024)]


def hostile(name, images):
    """A file of that kind."""
    path = Path(name)
    np.save(path, images)
    whole = path.read_bytes()

    def header(text):
        text = text.ljust(117).encode() + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text

    def described(descr="'|u1'", order=False, shape="(7, 28, 28)"):
        return header(f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}}}") + whole[128:]

    contents = {
        "truncated": whole[:-1],
        "longer": whole + b"x",
        "header alone": whole[:128],
        "half a header": whole[:60],
        "magic alone": whole[:6],
        "empty": b"",
        "version 3": whole[:6] + b"\x03" + whole[7:],
        "no header": header("(((((((((("),
        "deep header": header("{" * 90),
        "fortran": described(order=True),
        "negative": described(shape="(-7, 28, 28)"),
        "huge": described(shape="(4611686018427387904, 28, 28)"),
        "none": described(shape="(0, 28, 28)"),
        "objects": described(descr="'|O'"),
        "complex": described(descr="'<c8'"),
        "scalar": described(shape="()"),
        "zip": b"PK\x03\x04" + whole,
        "gzip": gzip.compress(whole),
        "pickle": b"\x80\x04" + whole,
        "idx truncated": struct.pack(">4B3I", 0, 0, 8, 3, 7, 28, 28) + b"x" * 100,
        "idx huge": struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3) + b"x" * 100,
        "idx type": struct.pack(">4B3I", 0, 0, 7, 3, 7, 28, 28),
        "labels": struct.pack(">4BI", 0, 0, 8, 1, 3) + b"\1\2\3",
    }
    path.write_bytes(contents[name.removesuffix(".npy")])
    return path


FOUND = {
    "truncated": "expected 5,616 bytes (7 x 28 x 28 of uint8), found 5,615: truncated",
    "longer": "found 5,617: more after the images",
    "header alone": "found 128: truncated",
    "half a header": "expected the header of an NPY file",
    "magic alone": "expected the header of an NPY file",
    "empty": "found an empty file",
    "version 3": "found version 3.0",
    "no header": "expected the header of an NPY file",
    "deep header": "expected the header of an NPY file",
    "fortran": "found an array in Fortran order; save numpy.ascontiguousarray(array)",
    "negative": "expected sizes of at least 0, found -7 x 28 x 28",
    "huge": "truncated, or a damaged header",
    "none": "expected at least one image, found 0 x 28 x 28",
    "objects": "found Python objects, which are not opened",
    "complex": "expected images as whole numbers or floats",
    "scalar": "expected at least one image",
    "zip": "found a zip archive",
    "gzip": "unpack it first (gunzip -k)",
    "pickle": "found a Python pickle",
    "idx truncated": "found 116: truncated",
    "idx huge": "truncated, or a damaged header",
    "idx type": "expected a type code among",
    "labels": "found one number or record a row, such as labels or answers",
}


@pytest.mark.parametrize("kind", FOUND)
def test_wrong_file_is_refused_by_name(kind, images):
    path = hostile(f"{kind}.npy", images)
    with pytest.raises(ValueError, match=r"expected") as caught:
        open_images(path)
    assert str(caught.value).startswith(f"{path}: expected ") and FOUND[kind] in str(caught.value)
    if kind in ("empty", "truncated", "idx truncated"):  # a copy that failed is not left out of a folder
        with pytest.raises(ValueError, match=kind):
            open_images(Path.cwd())


def test_folder_with_other_sizes_or_types_is_refused_with_both_names(images):
    np.save("a.npy", images)
    np.save("b.npy", images[:, :20, :20])
    with open_images(Path.cwd()) as sequence, pytest.raises(ValueError, match=r"b\.npy: expected images of 28 x 28"):
        sequence.check_size((28, 28))
    np.save("b.npy", images / 255)
    with pytest.raises(ValueError, match=r"one type of pixels, found uint8 in a\.npy and float64 in b\.npy"):
        open_images(Path.cwd())


def test_path_without_images_says_what_to_do():
    Path("pictures").mkdir()
    Path("pictures/1.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(FileNotFoundError, match="pictures: expected a folder with IDX or NPY files.*without --data"):
        open_images("pictures")
    with pytest.raises(FileNotFoundError, match="mnist: expected .* found nothing there; `digitcnn evaluate --data"):
        open_images("mnist")
    with pytest.raises(FileNotFoundError, match="did you mean 'pictures'"):
        open_images("picture")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
def test_pipe_and_dead_link_are_refused_at_once():
    os.mkfifo("pipe")
    Path("link").symlink_to("nowhere")
    with pytest.raises(ValueError, match="pipe: expected an IDX or NPY file of images, found no plain file"):
        open_images("pipe")
    with pytest.raises(FileNotFoundError, match="link: expected .* found a link that leads nowhere"):
        open_images("link")


def test_file_that_is_cut_while_it_is_read_raises_and_names_the_image(images):
    """A memory map would end the process by SIGBUS."""
    np.save("x.npy", images)
    with open_images("x.npy") as sequence:
        assert len(sequence.read(0, 3)) == 3
        os.truncate("x.npy", 128 + 4 * 784 + 5)
        assert len(sequence.read(3, 4)) == 1
        with pytest.raises(OSError, match=r"x\.npy: expected 7 images, as its header says, found an end in image 4"):
            sequence.read(3, 7)


def test_slice_of_a_file_is_named_in_errors(images):
    write_idx("a-images-idx3-ubyte", images)
    np.save("b.npy", images)
    with open_images(Path.cwd()) as sequence:
        assert sequence.where(7, 10).endswith("b.npy[0:3]")
        assert sequence.where(5, 10).endswith("images 5 to 9 of all files")


def test_errors_are_the_idx_readers():
    write_idx("x", np.zeros((3, 28, 28), np.uint8))
    os.truncate("x", 100)
    with pytest.raises(IDXError, match="x: expected 2,368 bytes"):
        open_images("x")
