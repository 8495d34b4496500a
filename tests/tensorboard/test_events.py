"""Event files, read back with TensorBoard's own reader and with `read_scalars`."""

import os

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from digitcnn import DigitCNN
from digitcnn.tensorboard.events import EventFiles, read_scalars


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_export_logs_writes_graph(tmp_path):
    with DigitCNN(fc_3_output_units=8) as cnn:
        cnn.export_logs()
        names = {node.name for node in read(tmp_path / "logs").Graph().node}
        assert names == {op.name for op in cnn.g.get_operations()}


def test_train_writes_scalars_of_training_and_validation(tmp_path, few):
    with DigitCNN(fc_3_output_units=8, batchsize=50) as cnn:
        cnn.train(few, few, epochs=2, verbose=False, logdir="run")
        cnn.train(few, few, epochs=1, verbose=False, logdir="run", initialize=False)
        history = cnn.history
    train = read(tmp_path / "run" / "train").Scalars("loss")
    assert [event.step for event in train] == [3, 6, 9]
    assert [event.value for event in train] == pytest.approx(history["Loss"])
    assert read_scalars(tmp_path / "run" / "train", "loss") == {event.step: event.value for event in train}
    validation = read(tmp_path / "run" / "validation")
    assert [event.value for event in validation.Scalars("accuracy")] == pytest.approx(history["Accuracy"])
    assert len(validation.Scalars("loss")) == 3


def test_train_without_logdir_writes_nothing(tmp_path, few):
    with DigitCNN(fc_3_output_units=8) as cnn:
        cnn.train(few, few, epochs=1, verbose=False)
    assert list(tmp_path.iterdir()) == []


def write(logdir, start, **accuracies):
    """A file of the run `train`; keywords are `step_N`. Returns it."""
    before = set(logdir.glob("train/*"))
    with EventFiles(logdir) as events:
        if start is not None:
            events.start_at(start)
        for step, accuracy in accuracies.items():
            events.scalars("train", int(step.removeprefix("step_")), loss=9.0, accuracy=accuracy)
    (file,) = set(logdir.glob("train/*")) - before
    return file


def test_read_scalars_later_file_wins(tmp_path):
    logdir = tmp_path / "[a]*?$ é"  # no pattern of names, and no formula
    write(logdir, 1, step_3=0.25, step_6=0.5, step_9=0.75)
    write(logdir, 7, step_9=0.875)  # resumed after step 6
    assert read_scalars(logdir / "train", "accuracy") == {3: 0.25, 6: 0.5, 9: 0.875}
    assert read_scalars(logdir / "train", "loss") == {3: 9.0, 6: 9.0, 9: 9.0}
    write(logdir, 1, step_5=0.125)  # begun anew
    assert read_scalars(logdir / "train", "accuracy") == {5: 0.125}
    write(logdir, None, step_4=0.5, step_5=0.25)
    assert read_scalars(logdir / "train", "accuracy") == {4: 0.5, 5: 0.25}


def test_read_scalars_missing_folder_or_tag(tmp_path):
    assert read_scalars(tmp_path / "none", "accuracy") == {}
    write(tmp_path, 1, step_3=0.25)
    assert read_scalars(tmp_path / "train", "speed") == {}


@pytest.mark.parametrize("kind", ["truncated", "empty", "zeros", "text", "link", "folder", "pipe", "another's record"])
def test_read_scalars_damaged_file_is_skipped(kind, tmp_path, capfd):
    write(tmp_path, 1, step_3=0.25)
    file = write(tmp_path, 4, step_6=0.5, step_9=0.75)
    content = file.read_bytes()
    file.unlink()
    damaged = {"truncated": content[:-5], "empty": b"", "zeros": bytes(len(content)), "text": b"some text " * 99}
    if kind in damaged:
        file.write_bytes(damaged[kind])
    elif kind == "link":
        file.symlink_to("nowhere")
    elif kind == "folder":
        file.mkdir()
    elif kind == "pipe":
        if not hasattr(os, "mkfifo"):
            pytest.skip("no named pipes here")
        os.mkfifo(file)
    else:
        with tf.io.TFRecordWriter(str(file)) as writer:
            writer.write(b"no event")
    expected = {3: 0.25, 6: 0.5} if kind == "truncated" else {3: 0.25}
    assert read_scalars(tmp_path / "train", "accuracy") == expected
    assert capfd.readouterr() == ("", "")
