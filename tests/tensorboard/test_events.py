"""Read back with TensorBoard's own reader."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from digitcnn import DigitCNN


def read(folder):
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_the_graph_is_written(tmp_path):
    with DigitCNN(fc_3_output_units=8) as cnn:
        cnn.export_logs()
        names = {node.name for node in read(tmp_path / "logs").Graph().node}
        assert names == {op.name for op in cnn.g.get_operations()}


def test_scalars_of_training_and_validation(tmp_path, few):
    with DigitCNN(fc_3_output_units=8, batchsize=50) as cnn:
        cnn.train(few, few, epochs=2, verbose=False, logdir="run")
        cnn.train(few, few, epochs=1, verbose=False, logdir="run", initialize=False)
        history = cnn.history
    train = read(tmp_path / "run" / "train").Scalars("loss")
    assert [event.step for event in train] == [3, 6, 9]
    assert [event.value for event in train] == pytest.approx(history["Loss"])
    validation = read(tmp_path / "run" / "validation")
    assert [event.value for event in validation.Scalars("accuracy")] == pytest.approx(history["Accuracy"])
    assert len(validation.Scalars("loss")) == 3


def test_nothing_is_written_without_a_logdir(tmp_path, few):
    with DigitCNN(fc_3_output_units=8) as cnn:
        cnn.train(few, few, epochs=1, verbose=False)
    assert list(tmp_path.iterdir()) == []
