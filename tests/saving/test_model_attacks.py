"""Models of strangers, with right checksums: CheckpointError, or the model that the files hold; never a signal."""

import json
import os
import shutil

import pytest
import tensorflow as tf
from model_attacks import (
    DATA,
    INDEX,
    RECORD,
    attack,
    block_of,
    entry_of,
    index_with,
    many_attacks,
    seal,
    table_of,
    varint,
)

from digitcnn import CheckpointError, DigitCNN
from digitcnn.graph.inspection import saved_variables
from digitcnn.saving.bundle import read_index
from digitcnn.saving.checkpoint import open_model
from digitcnn.saving.variables import read_variables

WHOLE = [(b"", b"\x08\x01")]  # a header: one data file
END = b"\0\0\0\0\1\0\0\0"


def set_entry(name="W", **parts):
    """A change of an entry's fields in the index."""

    def change(index):
        for part, value in parts.items():
            if part == "dims":
                del index.entries[name].shape.dim[:]
                for size in value:
                    index.entries[name].shape.dim.add(size=size)
            elif part == "unknown_rank":
                index.entries[name].shape.unknown_rank = value
            else:
                setattr(index.entries[name], part, value)

    return index_with(change)


def slices(*extents):
    """An index in which a variable is in slices."""

    def change(index):
        for start, length in extents:
            index.entries["W"].slices.add().extent.add(start=start, length=length)

    return index_with(change)


def header(**parts):
    """An index with another header."""

    def change(index):
        for part, value in parts.items():
            if part == "min_consumer":
                index.header.version.min_consumer = value
            else:
                setattr(index.header, part, value)

    return index_with(change)


def raw(content):
    """An index of these bytes."""
    return lambda _, n_data_bytes: content


def with_footer(index_handle):
    return lambda content, _: content[:-48] + (b"\0\0" + index_handle).ljust(40, b"\0") + content[-8:]


def pairs_with(change):
    """An index whose list of keys and values is changed."""
    return index_with(lambda index: table_of(block_of(change(index.pairs()))))


def rename(index, old, new):
    index.entries[new] = index.entries.pop(old)


INDEXES = {
    "empty": (raw(b""), "expected 48 to 1048576 bytes, found 0"),
    "too large": (raw(bytes(2 << 20)), "expected at most 1048576 bytes"),
    "zeros": (raw(bytes(500)), "found another file"),
    "footer alone": (lambda content, _: content[-48:], "expected blocks within"),
    "index block beyond the file": (with_footer(varint(1 << 40) + varint(9)), "expected blocks within"),
    "index block of 2^63 bytes": (with_footer(varint(0) + varint(1 << 63)), "expected blocks within"),
    "handle that does not end": (with_footer(b"\xff" * 30), "found one that does not end"),
    "compressed": (raw(table_of(block_of(WHOLE), compression=1)), "not compressed, found compression 1"),
    "unknown compression": (raw(table_of(block_of(WHOLE), compression=77)), "found compression 77"),
    "one block listed often": (
        raw(table_of(block_of(WHOLE), block_of(WHOLE), handles=[(0, 13)] * 50_000)),
        "one after the other",
    ),
    "overlapping blocks": (raw(table_of(block_of(WHOLE), handles=[(0, 13), (1, 12)])), "one after the other|too short"),
    "block beyond the footer": (raw(table_of(block_of(WHOLE), handles=[(0, 1 << 30)])), "expected blocks within"),
    "block of no bytes": (raw(table_of(b"")), "a block that is too short"),
    "no entries": (raw(table_of(END)), "an empty table"),
    "no blocks": (raw(table_of()), "an empty table"),
    "2^32 restarts": (raw(table_of(b"\xff" * 20)), "a block that is too short"),
    "first key shares bytes": (raw(table_of(entry_of(b"x", b"", n_shared=5) + END)), "one that is too long"),
    "key beyond the block": (raw(table_of(varint(0) + varint(1 << 40) + varint(0) + END)), "one that is too long"),
    "value beyond the block": (raw(table_of(varint(0) + varint(0) + varint(1 << 62) + END)), "one that is too long"),
    "number that does not end": (raw(table_of(b"\xff" * 30 + END)), "does not end"),
    "name of many bytes": (pairs_with(lambda pairs: [*pairs, (b"x" * 5000, b"")]), "one that is too long"),
    "names that grow without bound": (
        raw(table_of(entry_of(b"", b"\x08\x01") + entry_of(b"x" * 900, b"") + entry_of(b"y" * 900, b"", 900) + END)),
        "one that is too long",
    ),
    "no header": (pairs_with(lambda pairs: pairs[1:]), "expected a header"),
    "garbage header": (pairs_with(lambda pairs: [(b"", b"\xff\xff"), *pairs[1:]]), "expected the entry of header"),
    "two data files": (header(num_shards=2), "in one data file, found 2"),
    "2^31 data files": (header(num_shards=2**31 - 1), "in one data file, found 2147483647"),
    "negative number of data files": (header(num_shards=-1), "in one data file, found -1"),
    "big-endian": (header(endianness=1), "found big-endian"),
    "newer version": (header(min_consumer=99), "found a newer one"),
    "garbage entry": (pairs_with(lambda pairs: [(k, b"\xff" * 9 if k == b"W" else v) for k, v in pairs]), "entry of W"),
    "empty entry": (pairs_with(lambda pairs: [(k, b"" if k == b"W" else v) for k, v in pairs]), "variable W of shape"),
    "negative dimension": (set_entry(dims=[-784, -10]), "sizes of at least 0 for W"),
    "dimension of 2^62": (set_entry(dims=[2**62, 2**62]), "bytes for W, found shape"),
    "dimensions whose product wraps": (set_entry(dims=[2**32, 2**32, 0]), "bytes for W, found shape"),
    "100,000 dimensions": (set_entry(dims=[1] * 100_000), "at most 16 sizes"),
    "unknown rank": (set_entry(unknown_rank=True), "at most 16 sizes"),
    "two equal slices": (slices((0, 5), (0, 5)), "found W in slices"),
    "negative slice": (slices((-5, -5)), "found W in slices"),
    "negative offset": (set_entry(offset=-4), "found 31360 bytes at -4"),
    "offset beyond the file": (set_entry(offset=1 << 62), "expected W within"),
    "offset and size that wrap": (set_entry(offset=2**63 - 1, size=2**63 - 1), "expected W within"),
    "negative size": (set_entry(size=-1), "found -1 bytes"),
    "size of another shape": (set_entry(size=31_356), "expected 31356 bytes for W, found shape"),
    "shard that is not there": (set_entry(shard_id=1), "expected W within"),
    "unknown type": (set_entry(dtype=9999), "variable W of shape"),
    "type of a reference": (set_entry(dtype=101), "variable W of shape|expected 31360 bytes"),
    "text": (set_entry(dtype=7), "expected texts of 31360 bytes for W|found one that does not end"),
    "many texts": (set_entry(dtype=7, dims=[7840, 7840]), "expected at most 10000 texts for W, found 61465600"),
    "one text": (set_entry(dtype=7, dims=[0]), "expected texts of 31360 bytes for W, found 4"),
    "resource": (set_entry(dtype=20), "variable W of shape"),
    "variant": (set_entry(dtype=21), "variable W of shape"),
    "quantized": (set_entry(dtype=13), "variable W of shape"),
    "another type of the same size": (set_entry(dtype=3), "expected W of float32, found int32"),
    "transposed": (set_entry(dims=[10, 784]), r"variable W of shape \(784, 10\), found \[10, 784\]"),
    "names out of order": (pairs_with(lambda pairs: [pairs[0], *pairs[:0:-1]]), "names in their order"),
    "a name twice": (pairs_with(lambda pairs: [*pairs, pairs[-1]]), "names in their order"),
    "name that is no text": (pairs_with(lambda pairs: [*pairs, (b"\xff\xfe", pairs[-1][1])]), "utf-8"),
    "variable missing": (index_with(lambda index: rename(index, "W", "V")), "variable W of shape .* found none"),
    "20,000 variables": (
        pairs_with(lambda pairs: pairs[:1] + [(b"%05d" % n, b"\x08\x01\x12\x00\x28\x04") for n in range(20_000)]),
        "at most 10000 variables",
    ),
}
DATAS = {
    "empty": (lambda data, at: b"", "expected .* within 0 bytes"),
    "cut off": (lambda data, at: data[:-4], "expected .* within"),
    "2 MB more": (lambda data, at: data + bytes(2 << 20), "expected at most"),
    "step of -1": (lambda data, at: data[:at] + b"\xff" * 8 + data[at + 8 :], "number of training steps .* found -1"),
    "step of 2^62": (lambda data, at: data[:at] + bytes(7) + b"\x40" + data[at + 8 :], "number of training steps"),
}


def put(*names, value):
    """A change of a record: the value at that place."""

    def change(record):
        for name in names[:-1]:
            record = record[name]
        record[names[-1]] = value

    return change


HUGE = 10**400
RECORDS = {
    "files is a list": (put("files", value=[1]), "files: expected .index, .data"),
    "huge epoch": (put("progress", "epoch", value=HUGE), "progress.epoch: expected a whole number in 0..2147483647"),
    "fractional epoch": (put("progress", "epoch", value=0.5), "progress.epoch: expected a whole number"),
    "true epoch": (put("progress", "epoch", value=True), "progress.epoch: expected a whole number"),
    "batches of 0": (put("progress", "batchsize", value=0), "progress.batchsize: expected a whole number in 1.."),
    "step beyond int64": (put("progress", "epoch_start", value=2**63), "progress.epoch_start: expected"),
    "more right than seen": (put("progress", "n_correct", value=101), "expected n_correct <= n_samples <= n_images"),
    "unknown progress": (put("progress", "x", value=1), "progress: expected epoch, .* found x"),
    "loss is a list": (put("progress", "loss_sum", value=[1]), "progress.loss_sum: expected one value"),
    "huge loss": (put("progress", "loss_sum", value=HUGE), "progress.loss_sum: expected a number"),
    "huge epoch in the history": (put("history", 0, "Epoch", value=HUGE), "history.Epoch: expected a number"),
    "negative epoch in the history": (put("history", 0, "Epoch", value=-1), "Epoch: expected a number in 0.."),
    "NaN as an epoch": (put("history", 0, "Epoch", value="nan"), "Epoch: expected a number in 0.."),
    "history is an object": (put("history", value={"a": 1}), "history: expected a list, found an object of 1"),
    "row is a list": (put("history", 0, value=[1, 2, 3]), "history: expected Epoch, Loss, Accuracy, found a list of 3"),
    "tiny std": (put("standardization", "std", value=2e-45), "std: expected a positive number in 1e-06"),
    "huge mean": (put("standardization", "mean", 0, value=3e38), "mean: expected numbers in"),
    "mean is text": (put("standardization", "mean", 0, value="1"), "standardization.mean: expected a number"),
    "mean is deep": (put("standardization", "mean", value=[[1.0] * 784]), "standardization.mean: expected one value"),
    "std is true": (put("standardization", "std", value=True), "standardization.std: expected a number"),
    "class is a list": (put("class_name", value=["DigitCNN"]), "class_name: expected a text, found a list of 1"),
    "unknown field": (put("magic", value=1), "names: expected format, .* found magic"),
    "no plan": (lambda record: record.pop("plan"), "names: expected .* found no plan"),
    "plan of no steps": (put("plan", "last_step", value=0), "plan.last_step: expected a whole number in 1.."),
    "plan with a machine of lists": (put("plan", "machine", "cpu", value=[]), "plan.machine.cpu: expected one value"),
    "plan of another precision": (put("plan", "computes_in", value="x"), "plan.computes_in: expected 'float32' or"),
    "plan for one and a half": (put("plan", "epochs", value=1.5), "plan.epochs: expected a whole number"),
    "long text": (put("tensorflow", value="x" * 5000), "tensorflow: expected at most 4096 characters"),
    "long architecture": (
        put("settings", "architecture", value="x" * 4000),
        "architecture: expected one of",
    ),
    "architecture is an object": (put("settings", "architecture", value={}), "expected"),
    "size of an image is text": (put("settings", "image_shape", value=["a", "b"]), "image_shape: expected"),
    "huge image": (put("settings", "image_shape", value=[HUGE, 1]), "image_shape: expected"),
    "format version is true": (put("format_version", value=True), "expected format version 1 to"),
    "format version of many digits": (put("format_version", value=HUGE), "expected format version 1 to"),
}
TEXTS = {
    "NaN": (lambda text: text.replace('"std": ', '"std": NaN, "x": ', 1), "expected a finite number, found NaN"),
    "Infinity": (lambda text: text.replace('"epoch": ', '"epoch": -Infinity, "x": ', 1), "found -Infinity"),
    "1e999": (lambda text: text.replace('"std": ', '"std": 1e999, "x": ', 1), "found 1e999"),
    "a name twice": (lambda text: text.replace('"epoch": ', '"epoch": 1, "epoch": ', 1), "epoch: expected once"),
    "deep": (lambda text: text.replace('"plan": ', '"x": ' + "[" * 10**5 + "]" * 10**5 + ', "plan": '), "brackets"),
    "10,000 digits": (lambda text: text.replace('"epoch": ', '"epoch": 1' + "0" * 10**4 + ', "x": ', 1), "digits"),
    "long name": (lambda text: text.replace('"plan": ', f'"{"x" * 5000}": 1, "plan": ', 1), "4096 characters"),
}


@pytest.fixture(scope="module")
def whole(few, tmp_path_factory):
    """A folder with a checkpoint of a training, as model 1; and the model."""
    folder = tmp_path_factory.mktemp("whole")
    with DigitCNN(architecture="softmax", random_seed=3, batchsize=100) as model:
        model.train(few, few, steps=1, verbose=False, checkpoint_dir=folder)
        yield folder, model


@pytest.fixture
def stranger(whole, tmp_path):
    """A copy of the folder, to be damaged."""
    for name in (INDEX, DATA, RECORD):
        shutil.copyfile(whole[0] / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def is_refused(whole, few):
    def check(folder, message):
        with pytest.raises(CheckpointError, match=message):
            whole[1].load(1, folder)
        assert attack(whole[1], folder, few[0][:2]) == "refused"

    return check


def test_an_index_that_is_written_anew_loads(whole, few, stranger):
    """What the attacks below are made with is right but for what they change."""
    content = index_with(lambda index: None)((stranger / INDEX).read_bytes(), (stranger / DATA).stat().st_size)
    (stranger / INDEX).write_bytes(content)
    seal(stranger)
    assert attack(whole[1], stranger, few[0][:2]) == "loaded"


def test_an_index_of_several_blocks_loads(whole, few, stranger):
    change = index_with(lambda index: table_of(*(block_of([pair]) for pair in index.pairs())))
    (stranger / INDEX).write_bytes(change((stranger / INDEX).read_bytes(), (stranger / DATA).stat().st_size))
    seal(stranger)
    assert attack(whole[1], stranger, few[0][:2]) == "loaded"


def test_variables_are_those_that_tensorflow_reads(whole):
    folder, model = whole
    prefix = folder / RECORD.removesuffix(".json")
    with open_model(prefix) as saved:
        values = read_variables(saved, 1 << 20)
    reader = tf.train.load_checkpoint(str(prefix))
    assert set(values) == set(reader.get_variable_to_shape_map()) == set(saved_variables(model.g))
    for name, value in values.items():
        expected = reader.get_tensor(name)
        assert value.dtype == expected.dtype and value.tobytes() == expected.tobytes()


@pytest.mark.parametrize("kind", INDEXES)
def test_crafted_index_raises(stranger, is_refused, kind):
    change, message = INDEXES[kind]
    content = change((stranger / INDEX).read_bytes(), (stranger / DATA).stat().st_size)
    (stranger / INDEX).write_bytes(content)
    seal(stranger)
    is_refused(stranger, message)


@pytest.mark.parametrize("kind", DATAS)
def test_crafted_data_raises(stranger, is_refused, kind):
    change, message = DATAS[kind]
    data = (stranger / DATA).read_bytes()
    entries = read_index((stranger / INDEX).read_bytes(), len(data), checks_crc=True)
    (stranger / DATA).write_bytes(change(data, entries["global_step"].offset))
    seal(stranger)
    is_refused(stranger, message)


@pytest.mark.parametrize("kind", RECORDS)
def test_crafted_record_raises(stranger, is_refused, kind):
    change, message = RECORDS[kind]
    record = json.loads((stranger / RECORD).read_text())
    change(record)
    (stranger / RECORD).write_text(json.dumps(record))
    seal(stranger)
    is_refused(stranger, message)


@pytest.mark.parametrize("kind", TEXTS)
def test_json_that_python_would_take_raises(stranger, is_refused, kind):
    change, message = TEXTS[kind]
    text = (stranger / RECORD).read_text()
    assert change(text) != text
    (stranger / RECORD).write_text(change(text))
    is_refused(stranger, message)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no named pipes in folders")
@pytest.mark.parametrize("name", [INDEX, DATA, RECORD])
def test_a_pipe_in_place_of_a_file_raises(stranger, is_refused, name):
    (stranger / name).unlink()
    os.mkfifo(stranger / name)
    is_refused(stranger, "expected one of a saved model's files, found something else")


def test_random_damage_is_refused_or_a_model(whole, few, tmp_path):
    found = many_attacks(whole[1], whole[0], tmp_path, few[0][:2], range(200))
    assert sum(found.values()) == 200 and min(found.values()) > 10


def test_models_without_sha256_are_checked_by_tensorflow_checksums(stranger, is_refused, whole, few):
    record = json.loads((stranger / RECORD).read_text())
    for name in ("plan", "files", "sha256"):
        del record[name]
    for name in ("average_decay", "shear", "stretch", "cutout", "image_shape", "n_classes"):
        del record["settings"][name]
    for name in ("precision", "schedule", "label_smoothing", "rotation", "scaling", "shift"):
        del record["settings"][name]
    (stranger / RECORD).write_text(json.dumps(record | {"format_version": 1}))
    assert attack(whole[1], stranger, few[0][:2]) == "loaded"
    for name, at in ((DATA, 9_000), (INDEX, 60)):
        content = (stranger / name).read_bytes()
        (stranger / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        is_refused(stranger, "found damage")
        (stranger / name).write_bytes(content)


def test_a_network_that_does_not_fit_into_memory_raises(stranger, is_refused, monkeypatch):
    def too_large(*_, **__):
        raise MemoryError

    monkeypatch.setattr("digitcnn.saving.variables.read_index", too_large)
    is_refused(stranger, "expected variables that fit into memory, found 94,216 bytes")


def test_a_data_file_that_no_index_names_is_not_opened(stranger, whole, few):
    (stranger / DATA.replace("00000-of-00001", "00001-of-00002")).write_bytes(b"")
    assert attack(whole[1], stranger, few[0][:2]) == "loaded"
