"""A saved model that is damaged, missing or another's raises, executes nothing and changes nothing."""

import json
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from saved import SMALL, trained, weights

from digitcnn import CheckpointError, DigitCNN
from digitcnn.saving.record import record_sha256


def change_bytes(name, change):
    """Return a function that passes a file's bytes through `change`."""

    def apply(folder):
        file = folder / name
        content = file.read_bytes()
        file.write_bytes(change(content))

    return apply


def edit_record(change):
    """Return a function that changes the model's record and renews its checksum."""

    def apply(folder):
        file = folder / "model.ckpt-2.json"
        record = json.loads(file.read_text())
        change(record)
        record.pop("sha256")
        file.write_text(json.dumps({**record, "sha256": record_sha256(record)}))

    return apply


def replace_by_link(name):
    """Return a function that moves a file out of its folder and links to it."""

    def apply(folder):
        (folder / name).rename(folder.parent / "elsewhere")
        (folder / name).symlink_to(folder.parent / "elsewhere")

    return apply


PLAN = ("initialize", "epochs", "steps", "computes_in", "training_set", "validation_set", "machine", "last_step")
DAMAGES = {
    "no weights": (
        lambda folder: (folder / "model.ckpt-2.index").unlink(),
        "index: expected one of a saved model's files",
    ),
    "no data": (lambda folder: next(folder.glob("*.data*")).unlink(), "data-.*: expected one of a saved model's files"),
    "data cut off": (
        change_bytes("model.ckpt-2.data-00000-of-00001", lambda content: content[: len(content) // 2]),
        "as they were written, found damage",
    ),
    "data changed": (
        change_bytes("model.ckpt-2.data-00000-of-00001", lambda c: c[:2000] + bytes([c[2000] ^ 1]) + c[2001:]),
        "as they were written, found damage",
    ),
    "data file of a terabyte": (
        lambda folder: os.truncate(folder / "model.ckpt-2.data-00000-of-00001", 1 << 40),
        "data-.*: expected at most .* bytes, found 1099511627776",
    ),
    "link out of the folder": (replace_by_link("model.ckpt-2.index"), "expected a file in its folder, found a link"),
    "deeply nested record": (
        change_bytes("model.ckpt-2.json", lambda c: c[:-2].rstrip() + b', "x": ' + b"[" * 994 + b"]" * 994 + b"}"),
        "expected (JSON|the record as it was written|a complete record)",
    ),
    "record of many bytes": (change_bytes("model.ckpt-2.json", lambda c: c + b" " * (64 << 20)), "expected at most"),
    "index is nonsense": (change_bytes("model.ckpt-2.index", lambda content: b"x" * 99), "found damage"),
    "digit of the record changed": (
        change_bytes("model.ckpt-2.json", lambda content: content.replace(b'"n_samples": 0', b'"n_samples": 1')),
        "expected the record as it was written, found damage",
    ),
    "record cut off": (change_bytes("model.ckpt-2.json", lambda content: content[:500]), "expected JSON"),
    "record is binary": (change_bytes("model.ckpt-2.json", lambda content: b"\xff\xfe\x00"), "expected UTF-8"),
    "record is a web page": (
        change_bytes("model.ckpt-2.json", lambda content: b"<!DOCTYPE html><html>"),
        "expected JSON, found a web page; download the file itself",
    ),
    "variables are a Git LFS pointer": (
        change_bytes("model.ckpt-2.index", lambda content: b"version https://git-lfs.github.com/spec/v1\noid sha256:0"),
        "found a Git LFS pointer in place of the file; fetch",
    ),
    "record is another file": (
        change_bytes("model.ckpt-2.json", lambda content: b"[1, 2]"),
        "expected a record with format",
    ),
    "record of a newer version": (
        edit_record(lambda r: r.update(format_version=6)),
        "expected format version 1 to 5, found 6",
    ),
    "record without history": (edit_record(lambda r: r.pop("history")), "expected a complete record"),
    "mean too short": (edit_record(lambda r: r["standardization"]["mean"].pop()), "expected a complete record"),
    "incomplete plan": (edit_record(lambda r: r.update(plan={"epochs": 1})), "plan: expected initialize"),
    "plan without SHA-256 of the data": (
        edit_record(lambda r: r.update(plan=dict.fromkeys(PLAN, 5) | {"initialize": True, "computes_in": "float32"})),
        "training_set: expected a SHA-256",
    ),
    "files outside the folder": (
        edit_record(lambda r: r["files"].update({"/../../x": "0"})),
        "files: expected .index, .data",
    ),
    "unknown setting": (edit_record(lambda r: r["settings"].update(magic=1)), "settings: expected batchsize.*magic"),
    "no seed": (edit_record(lambda r: r["settings"].update(random_seed=None)), "random_seed: expected a whole number"),
    "progress is text": (edit_record(lambda r: r["progress"].update(epoch="two")), "expected a complete record"),
    "loss is text": (edit_record(lambda r: r["history"][0].update(Loss="x")), "expected a complete record"),
    "history of other columns": (edit_record(lambda r: r["history"][0].pop("Loss")), "expected Epoch, Loss, Accuracy"),
    "setting is missing": (
        edit_record(lambda r: r["settings"].pop("batchsize")),
        "settings: expected batchsize, epochs",
    ),
    "no progress": (edit_record(lambda r: r.update(progress={})), "progress: expected epoch, epoch_start"),
    "no loss": (edit_record(lambda r: r["progress"].update(loss_sum=None)), "expected a complete record"),
    "no statistics": (edit_record(lambda r: r.update(standardization={})), "standardization: expected mean, std"),
    "huge number": (
        edit_record(lambda r: r["settings"].update(learning_rate=10**400)),
        "learning_rate: expected a number",
    ),
    "huge std": (edit_record(lambda r: r["standardization"].update(std=1e300)), "std: expected a positive number"),
    "bad setting": (edit_record(lambda r: r["settings"].update(dropout=2)), "dropout: expected a probability"),
    "unknown architecture": (
        edit_record(lambda r: r["settings"].update(architecture="x")),
        "architecture: expected one of",
    ),
    "other sizes": (
        edit_record(lambda r: r["settings"].update(fc_3_output_units=17)),
        "expected a variable fc_3/_weights",
    ),
    "other architecture": (
        edit_record(lambda r: r["settings"].update(architecture="same")),
        "expected a variable fc_3",
    ),
}


@pytest.mark.parametrize("fault", DAMAGES)
def test_restore_damaged_model_raises(trained, tmp_path, fault):
    model, folder = trained
    damage, message = DAMAGES[fault]
    shutil.copytree(folder, "m")
    damage(tmp_path / "m")
    before, history = weights(model), model.history
    with pytest.raises(CheckpointError, match=message) as caught:
        DigitCNN.restore("m")
    assert "model.ckpt-2" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(CheckpointError):
        model.load(epoch=2, path="m")
    for a, b in zip(weights(model), before, strict=True):
        np.testing.assert_array_equal(a, b)
    assert model.history is history


AUDITED = """
import os, sys
from digitcnn import DigitCNN

DigitCNN(architecture="softmax").close()  # so that TensorFlow's own imports come before the audit
seen = []

def audit(event, arguments):
    if event in ("pickle.find_class", "os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect"):
        seen.append(event)
    if event == "open" and "outside" in str(arguments[0]):
        seen.append(arguments[0])

sys.addaudithook(audit)
with DigitCNN.restore("m") as model:
    print(model.global_step, seen)
"""


def test_restore_executes_nothing_from_the_folder(few, tmp_path):
    """Only the record and the tensors of an untrusted folder are read; the graph is the package's."""
    with DigitCNN(architecture="softmax", random_seed=3) as model:
        model.train(few, steps=2, verbose=False)
        model.save(epoch=2, path="m")
        model.save(epoch=2, path="outside")
    folder = tmp_path / "m"
    (folder / "model.ckpt-2.meta").write_bytes(b"not a graph")
    (folder / "model.ckpt-2.pkl").write_bytes(pickle.dumps(os.getcwd))
    (folder / "checkpoint").write_text('model_checkpoint_path: "../outside/model.ckpt-2"')
    done = subprocess.run([sys.executable, "-c", AUDITED], capture_output=True, text=True, check=False)
    assert done.stdout == "2 []\n", done.stderr


def test_restore_missing_model_raises(trained):
    with pytest.raises(FileNotFoundError, match="nowhere: expected a folder with a saved model"):
        DigitCNN.restore("nowhere")
    model, folder = trained
    with pytest.raises(FileNotFoundError, match="expected model.ckpt-3.json, found model.ckpt-2"):
        model.load(epoch=3, path=folder)


def test_load_another_architecture_raises(trained, few):
    for settings in ({"architecture": "softmax"}, SMALL | {"fc_3_output_units": 17}):
        with DigitCNN(**settings) as other:
            other.train(few, steps=1, verbose=False)
            before = weights(other)
            with pytest.raises(CheckpointError, match=f"expected {[*settings][-1]}=.* as in this model"):
                other.load(path=trained[1])
            assert all((a == b).all() for a, b in zip(before, weights(other), strict=True))
