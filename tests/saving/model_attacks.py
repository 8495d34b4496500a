"""Damages saved models on purpose, with right checksums, so that the damage gets past them."""

import dataclasses
import hashlib
import json
import random
import warnings

import google_crc32c
import numpy as np
from tensorflow.core.protobuf import tensor_bundle_pb2

from digitcnn import CheckpointError
from digitcnn.exceptions import DigitCNNWarning
from digitcnn.saving.bundle import read_index
from digitcnn.saving.record import VARIABLE_FILES, Record, record_sha256

PREFIX = "model.ckpt-1"
INDEX, DATA = (f"{PREFIX}{suffix}" for suffix in VARIABLE_FILES)
RECORD = f"{PREFIX}.json"
MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")


def varint(number):
    """A number of 7 bits a byte, as the table has it."""
    content = b""
    while number > 127:
        content, number = content + bytes([number & 127 | 128]), number >> 7
    return content + bytes([number])


def sealed(block, compression=0):
    """A block with its trailer: compression, and the checksum as TensorFlow masks it."""
    block += bytes([compression])
    crc = google_crc32c.value(block)
    return block + (((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF).to_bytes(4, "little")


def entry_of(key, value, n_shared=0):
    """One entry of a block, whose key begins with `n_shared` bytes of the key before it."""
    return varint(n_shared) + varint(len(key)) + varint(len(value)) + key + value


def block_of(pairs, restarts=b"\0\0\0\0\1\0\0\0"):
    """A block with whole keys, and the list of entries at its end."""
    return b"".join(entry_of(key, value) for key, value in pairs) + restarts


def table_of(*blocks, compression=0, handles=None):
    """A table of these blocks; `handles` replace the (offset, size) of each."""
    content, places = b"", []
    for block in blocks:
        places.append((len(content), len(block)))
        content += sealed(block, compression)
    listed = [(b"~%d" % n, varint(at) + varint(size)) for n, (at, size) in enumerate(handles or places)]
    meta = varint(len(content)) + varint(8)
    content += sealed(b"\0\0\0\0\1\0\0\0")
    index = block_of(listed)
    footer = meta + varint(len(content)) + varint(len(index))
    return content + sealed(index) + footer.ljust(40, b"\0") + MAGIC


class Index:
    """The content of an index, to be changed: a header, and entries by name."""

    def __init__(self, content, n_data_bytes):
        self.header = tensor_bundle_pb2.BundleHeaderProto(num_shards=1)
        self.header.version.producer = 1
        self.entries = {}
        for name, entry in read_index(content, n_data_bytes, checks_crc=True).items():
            made = self.entries[name] = tensor_bundle_pb2.BundleEntryProto()
            made.dtype = {"float32": 1, "int64": 9}[entry.dtype.name]
            made.offset, made.size, made.crc32c = entry.offset, entry.size, entry.crc32c
            for side in entry.shape:
                made.shape.dim.add(size=side)

    def pairs(self):
        """Keys and values, in the order of the keys."""
        entries = {name.encode(): entry.SerializeToString() for name, entry in self.entries.items()}
        return [(b"", self.header.SerializeToString()), *sorted(entries.items())]


def index_with(change):
    """A function from an index's bytes to those of a changed one: `change(index)` may return other bytes."""

    def apply(content, n_data_bytes):
        index = Index(content, n_data_bytes)
        found = change(index)
        return found if isinstance(found, bytes) else table_of(block_of(index.pairs()))

    return apply


def sealed_record(content, files):
    """A record with the SHA-256 of `files`, bytes by suffix, and its own; one that is no object stays as it is."""
    try:
        record = json.loads(content)
        for suffix, written in files.items():
            if isinstance(record.get("files"), dict) and suffix in record["files"]:
                record["files"][suffix] = hashlib.sha256(written).hexdigest()
        record.pop("sha256", None)
        return json.dumps({**record, "sha256": record_sha256(record)}).encode()
    except (ValueError, AttributeError, RecursionError):
        return content


def seal(folder):
    """Write the SHA-256 of the files, and its own, into the record, if that is an object."""
    files = {suffix: (folder / f"{PREFIX}{suffix}").read_bytes() for suffix in VARIABLE_FILES}
    (folder / RECORD).write_bytes(sealed_record((folder / RECORD).read_bytes(), files))


# What a value of a record may become.
ODD = (None, True, -1, 0, 1, 2**31, 10**400, 1e308, -1e-320, 0.5, "", "nan", "inf", "x" * 5000, [], {}, [[]], {"a": 1})


def mutated_record(content, draws):
    """The record with a value replaced, removed, added or doubled at a random place; or with random bytes."""
    record = json.loads(content)
    place = record
    while True:
        names = list(place) if isinstance(place, dict) else list(range(len(place)))
        name = draws.choice(names)
        inner = place[name]
        if not isinstance(inner, (dict, list)) or not inner or draws.random() < 0.3:
            break
        place = inner
    kind = draws.randrange(5)
    if kind == 0:
        del place[name]
    elif kind == 1 and isinstance(place, dict):
        place[draws.choice(["magic", "", "epoch", "mean"])] = draws.choice(ODD)
    elif kind == 2:
        return flipped(content, draws)
    else:
        place[name] = draws.choice(ODD)
    return json.dumps(record).encode()


def flipped(content, draws):
    """Bytes replaced, cut out, doubled or added at a few random places."""
    content = bytearray(content)
    for _ in range(draws.choice([1, 1, 2, 5])):
        at = draws.randrange(len(content) + 1)
        length = draws.choice([1, 1, 1, 2, 4, 8, 50])
        twice = content[at : at + length] * 2
        new = draws.choice([draws.randbytes(length), b"\xff" * length, b"\0" * length, twice, b""])
        content[at : at + draws.choice([length, length, 0])] = new
    return bytes(content)


def mutated_index(content, n_data_bytes, draws):
    """An index with random bytes, in one of its protos, or in the table around them."""
    index = Index(content, n_data_bytes)
    kind = draws.randrange(3)
    if kind == 0:
        return flipped(content, draws)
    if kind == 1:
        pairs = index.pairs()
        at = draws.randrange(len(pairs))
        pairs[at] = tuple(flipped(part, draws) if draws.random() < 0.6 else part for part in pairs[at])
        if draws.random() < 0.3:
            draws.shuffle(pairs)
        return table_of(block_of(pairs))
    entry = index.entries[draws.choice(list(index.entries))]
    odd = draws.choice([-1, 0, 1, 2**31, 2**62, -(2**63), 784, 7840])
    field = draws.choice(["offset", "size", "dim", "dims", "dtype", "shard_id", "slices"])
    if field in ("offset", "size"):
        setattr(entry, field, odd)
    elif field in ("dtype", "shard_id"):
        setattr(entry, field, draws.randrange(130))
    elif field == "slices":
        for _ in range(2):
            entry.slices.add().extent.add(start=odd, length=draws.choice([-5, 5]))
    else:
        for _ in range(draws.choice([1, 40])):
            entry.shape.dim.add(size=odd)
    return table_of(block_of(index.pairs()))


def damage(whole, folder, draws):
    """Write a copy of a saved model, a file of which is damaged, with right checksums."""
    files = {name: (whole / name).read_bytes() for name in (INDEX, DATA, RECORD)}
    kind = draws.choice([INDEX, INDEX, DATA, RECORD, RECORD])
    if kind == INDEX:
        files[INDEX] = mutated_index(files[INDEX], len(files[DATA]), draws)
    elif kind == DATA:
        files[DATA] = flipped(files[DATA], draws)
    else:
        files[RECORD] = mutated_record(files[RECORD], draws)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if draws.random() < 0.95:
        seal(folder)


def attack(model, folder, images):
    """Load an untrusted model into `model`: it is refused, and nothing changes, or it works.

    Returns 'refused' or 'loaded'.
    """
    before, history = model.weights_sha256(), model.history
    try:
        model.load(1, folder)
    except CheckpointError as error:
        assert PREFIX in str(error) and "\n" not in str(error) and len(str(error)) < 10_000
        assert model.weights_sha256() == before and model.history is history
        return "refused"
    with np.errstate(all="ignore"), warnings.catch_warnings():  # weights of 1e38 overflow
        warnings.simplefilter("ignore", DigitCNNWarning)  # the range of the training's pixels may be another now
        if model.standardization is not None:
            assert np.isfinite(model.standardization(images)).all()
            assert model.predict(images).shape == (len(images),)
    assert model.global_step >= 0
    record = dataclasses.replace(model._parts.record(), files=dict.fromkeys(VARIABLE_FILES, "0" * 64))
    Record.from_json(record.to_json(), folder / RECORD)  # the next save can be loaded
    return "loaded"


def many_attacks(model, whole, folder, images, seeds):
    """Damage and load a model once for each seed; return how many were refused and loaded."""
    found = {"refused": 0, "loaded": 0}
    for seed in seeds:
        damage(whole, folder, random.Random(seed))
        found[attack(model, folder, images)] += 1
    return found
