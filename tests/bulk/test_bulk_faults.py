"""Each change of the file system that a file of answers needs fails once: the next call gives the same bytes."""

import contextlib
import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from digitcnn import Standardization
from digitcnn.bulk import output, predicting
from digitcnn.bulk.output import partial_folder
from digitcnn.data.image_sequence import open_images

N = 2_100
FAULTS = ("kill", "EIO", "EIO for ever", "ENOSPC", "Ctrl-C", "Ctrl-C after")


class MadeEngine:
    """Answers that are functions of the pixels, without a session."""

    def check_trained(self):
        """As Engine's."""

    def check_batch(self, n_images, name):
        """As Engine's."""

    def classify(self, X, _standardization):
        """Labels and probabilities."""
        sums = X.astype(np.float32) @ np.arange(48, dtype=np.float32).reshape(16, 3)
        return sums.argmax(axis=1).astype(np.int32), sums


@pytest.fixture
def predict(monkeypatch, rng):
    """A function that predicts x.npy into out.npy, each batch recorded."""
    np.save("x.npy", rng.integers(0, 256, (N, 16), dtype=np.uint8))
    model = SimpleNamespace(
        _engine=MadeEngine(),
        standardization=Standardization.unit(16),
        computes_in="float32",
        image_shape=(4, 4),
        n_classes=3,
    )
    monkeypatch.setattr(predicting, "model_sha256", lambda _: hashlib.sha256().hexdigest())
    monkeypatch.setattr(predicting, "this_machine", dict)
    monkeypatch.setattr(os, "fsync", lambda _: None)  # takes milliseconds
    monkeypatch.setattr(output, "MIN_SECONDS", 0)
    monkeypatch.setattr(output, "MAX_SHARE", 1e9)

    def run(out="out.npy"):
        with open_images("x.npy") as images:
            return predicting.predict_images(model, images, out, verbose=False)

    return run


@pytest.mark.parametrize("fault", FAULTS)
def test_call_after_a_fault_completes_to_the_same_bytes(fault, predict, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    from failing_disk import Disk, KilledError, everything_in

    with Disk() as disk:
        predict()
    expected, n_changes = everything_in("."), disk.n_changes
    assert n_changes > 15
    for at in range(1, n_changes + 1):
        for name in ("out.npy", "out.npy.json"):
            Path(name).unlink()
        with contextlib.suppress(OSError, KilledError, KeyboardInterrupt), Disk(fault, at):
            predict()
        predict()
        assert everything_in(".") == expected, at


def test_fault_keeps_what_was_recorded(predict, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tests" / "benchmarks")
    from failing_disk import Disk

    with Disk() as disk:
        predict()
    for name in ("out.npy", "out.npy.json"):
        Path(name).unlink()
    with (
        pytest.raises(OSError, match=r"expected a file that can be written"),
        Disk("EIO for ever", disk.n_changes // 2),
    ):
        predict()
    assert partial_folder(Path("out.npy")).is_dir()
    assert 0 < predict().n_predicted < N


def test_name_that_is_too_long_is_refused_at_the_start(predict):
    """Not when the answers are to get it, after hours."""
    for length in range(230, 256):
        out = "x" * (length - 4) + ".npy"
        try:
            predict(out)
        except OSError as error:
            assert "found a name that is too long" in str(error)
            assert sorted(path.name for path in Path().iterdir()) == ["x.npy"]
        else:
            for path in (Path(out), Path(f"{out}.json")):
                path.unlink()


def test_rows_are_on_the_disk_before_a_record_says_so(predict, monkeypatch):
    """A power failure keeps what was flushed, in no order."""
    rows, write_record, n_flushed, n_records = partial_folder(Path("out.npy")) / "rows", output.write_record, [0], []

    def flush(handle):
        if os.path.samestat(os.fstat(handle), rows.stat()):
            n_flushed.append(os.fstat(handle).st_size)

    def write(file, record):
        assert record.progress.n_bytes == n_flushed[-1]
        n_records.append(record.progress.n_done)
        write_record(file, record)

    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(output, "write_record", write)
    monkeypatch.setattr("digitcnn._files.sync_folder", lambda _: None)
    monkeypatch.setattr(output, "sync_folder", lambda _: None)
    predict()
    assert n_records == [1000, 2000, N, N]
