"""Saving and restoring: every bit comes back, of every kind of variable, from every version."""

import json
import pathlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from saved import SMALL, small, train_small, trained, weights

from digitcnn import ARCHITECTURES, DigitCNN
from digitcnn.saving.record import record_sha256

# The others have the layers of these: `compact` and `tapered` those of `slim` and `deep`, `same` those of `cnn`.
RESTORED = [name for name in ARCHITECTURES if name not in ("compact", "tapered", "same")]
RESTORE_AND_PREDICT = """
import sys
import numpy as np
from digitcnn import DigitCNN, load_dataset

for name in sys.argv[1:]:
    with DigitCNN.restore(name) as model:
        np.save(f"{name}/again.npy", model.predict(load_dataset().test_images, return_proba=True))
        print(model.architecture, model.global_step, model.learning_rate, model.random_seed)
"""


def test_restore_in_a_new_process_predicts_the_same_bits(digits, few):
    """Each is restored from its folder alone."""
    expected = {}
    for name in RESTORED:
        with DigitCNN(architecture=name, random_seed=3, learning_rate=2e-3) as model:
            model.train(few, steps=3, verbose=False)
            model.save(path=name)
            expected[name] = model.predict(digits.test_images, return_proba=True)
    done = subprocess.run(
        [sys.executable, "-c", RESTORE_AND_PREDICT, *RESTORED], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{name} 3 0.002 3" for name in RESTORED]
    for name in RESTORED:
        again = np.load(f"{name}/again.npy")
        assert again.dtype == np.float32 and (again == expected[name]).all()


def test_restore_brings_back_the_whole_state(few):
    with train_small(few) as small, DigitCNN.restore(small.save(epoch=2)) as again:
        assert Path("digitCNN-model/model.ckpt-2.json").is_file()
        assert again.settings == small.settings and again.global_step == 6
        assert again.history.equals(small.history)
        assert (again.standardization.mean == small.standardization.mean).all()
        assert again.standardization.std == small.standardization.std
        for a, b in zip(weights(again), weights(small), strict=True):  # with Adam's slots
            np.testing.assert_array_equal(a, b)
        # Training continues in the same way.
        for model in (again, small):
            model.train(few, few, epochs=1, initialize=False, verbose=False)
        assert again.history.equals(small.history) and len(again.history) == 3
        for a, b in zip(weights(again), weights(small), strict=True):
            np.testing.assert_array_equal(a, b)


def test_save_within_an_epoch(small, few):
    small.train(few, steps=2, initialize=False, verbose=False)
    small.save(path="m")
    with DigitCNN.restore("m") as again:
        for model in (again, small):
            model.train(few, few, epochs=1, initialize=False, verbose=False)
        assert again.history.to_dict("list") == small.history.to_dict("list")
        assert again.history["Epoch"].tolist() == [1, 2, 3]


def test_restore_history_without_validation(few):
    with DigitCNN(architecture="softmax") as model:
        model.train(few, epochs=1, verbose=False)
        model.save(path="m")
        with DigitCNN.restore("m") as again:
            assert again.history.equals(model.history) and np.isnan(again.history["Accuracy"][0])


def test_save_several_epochs_in_one_folder(small, few):
    small.save(epoch=9)
    before = small.predict(few[0], return_proba=True)
    small.train(few, epochs=1, initialize=False, verbose=False)
    small.save(epoch=10)
    after = small.predict(few[0], return_proba=True)
    with DigitCNN.restore() as newest, DigitCNN.restore(epoch=9) as older:
        assert newest.global_step == 9 and older.global_step == 6
        np.testing.assert_array_equal(newest.predict(few[0], return_proba=True), after)
        np.testing.assert_array_equal(older.predict(few[0], return_proba=True), before)
    for epoch in range(11, 20):  # no earlier model is deleted
        small.save(epoch=epoch)
    with DigitCNN.restore(epoch=9) as older:
        assert older.global_step == 6


def test_restore_without_a_number_takes_the_last_saved(small, few, tmp_path, monkeypatch):
    small.save(epoch=30)
    small.train(few, epochs=1, initialize=False, verbose=False)
    prefix = small.save(epoch=3)
    assert tf.train.latest_checkpoint("digitCNN-model") == prefix
    for path in ("digitCNN-model", prefix):
        with DigitCNN.restore(path) as last:
            assert last.global_step == 9
    with DigitCNN.restore("digitCNN-model", epoch=30) as first:
        assert first.global_step == 6
    monkeypatch.chdir("digitCNN-model")
    with DigitCNN.restore(".") as last:
        assert last.global_step == 9
    (tmp_path / "digitCNN-model.json").write_text("another file")
    for nonsense in (
        b"nonsense",
        b"\xff\xfe\x00",
        b'model_checkpoint_path: "model.ckpt-' + b"9" * 5_000 + b'"',
        b'model_checkpoint_path: "../../model.ckpt-30"' + b"\n" * (1 << 17),
    ):
        (tmp_path / "digitCNN-model" / "checkpoint").write_bytes(nonsense)
        with DigitCNN.restore(tmp_path / "digitCNN-model") as highest:
            assert highest.global_step == 6


def test_load_keeps_settings_that_do_not_shape_the_graph(trained):
    model, folder = trained
    with DigitCNN(**SMALL, learning_rate=0.5, random_seed=99) as other:
        other.load(epoch=2, path=folder)
        assert other.learning_rate == 0.5 and other.random_seed == 99
        assert other.history.equals(model.history)


def test_tensorflow_reads_the_saved_files(few):
    with DigitCNN(random_seed=3, **SMALL, precision="float32") as small:  # as TensorFlow's tools compute
        small.train(few, steps=2, verbose=False)
        prefix, expected = small.save(epoch=2), small.predict(few[0][:5], return_proba=True)
    with tf.Graph().as_default() as graph, tf.compat.v1.Session(graph=graph) as session:
        saver = tf.compat.v1.train.import_meta_graph(f"{prefix}.meta")
        saver.restore(session, prefix)
        images = small.standardization(few[0][:5])
        np.testing.assert_array_equal(session.run("probabilities:0", {"tf_x:0": images}), expected)


NEW = {"average_decay", "shear", "stretch", "cutout"}
ADDED = {
    1: {*NEW, "precision", "schedule", "label_smoothing", "rotation", "scaling", "shift", "image_shape", "n_classes"},
    3: {*NEW, "image_shape", "n_classes"},
    4: NEW,
}


@pytest.mark.parametrize("version", ADDED)
def test_restore_earlier_format_version(few, tmp_path, version):
    """Settings that the version lacks get the values that were fixed then."""
    with DigitCNN(architecture="softmax", random_seed=3, precision="float32") as old:
        old.train(few, steps=2, verbose=False)
        old.save(epoch=2, path="m")
        file = tmp_path / "m" / "model.ckpt-2.json"
        record = json.loads(file.read_text())
        record["format_version"] = version
        record["settings"] = {name: value for name, value in record["settings"].items() if name not in ADDED[version]}
        for name in ("sha256", "plan", "files") if version < 3 else ("sha256",):
            del record[name]
        if version >= 3:
            record["sha256"] = record_sha256(record)
        file.write_text(json.dumps(record))
        with DigitCNN.restore("m") as again:
            assert again.settings == old.settings
            np.testing.assert_array_equal(again.predict(few[0], True), old.predict(few[0], True))


@pytest.mark.parametrize("loss", [float("inf"), float("nan")])
def test_save_after_diverged_training(small, loss):
    small.update_history([3, loss, 0.1])
    small._state.progress.loss_sum = loss
    small.save(path="m")
    with DigitCNN.restore("m") as again:
        assert again.history.equals(small.history)


def test_failed_save_keeps_the_earlier_model(small, few, monkeypatch, tmp_path):
    small.save(epoch=1)
    before = {file.name: file.read_bytes() for file in (tmp_path / "digitCNN-model").iterdir()}
    small.train(few, steps=1, initialize=False, verbose=False)

    def no_space(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="could not save.*No space left"):
        patch.setattr(small.saver, "save", no_space)
        small.save(epoch=1)
    assert {file.name: file.read_bytes() for file in (tmp_path / "digitCNN-model").iterdir()} == before
    with DigitCNN.restore() as again:
        assert again.global_step == 6
    replace = pathlib.Path.replace

    def held_open(file, target):  # as Windows refuses to rename a file that another program has open
        if file.name == "model.ckpt-1.meta":
            raise PermissionError("held open")
        return replace(file, target)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="held open"):
        patch.setattr(pathlib.Path, "replace", held_open)
        small.save(epoch=1)
    assert {file.name: file.read_bytes() for file in (tmp_path / "digitCNN-model").iterdir()} == before
    small.save(epoch=1)
    with DigitCNN.restore() as again:
        assert again.global_step == 7


@pytest.mark.parametrize("epoch", ["1", 1.0, -1, True])
def test_bad_epoch_number_raises(trained, epoch):
    for call in (trained[0].save, trained[0].load):
        with pytest.raises((TypeError, ValueError), match="epoch: expected a whole number"):
            call(epoch=epoch)


def test_save_to_a_file_path_raises(trained, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        trained[0].save(path="file")
    assert (tmp_path / "file").read_text() == "in the way"


def test_variables_of_every_kind_come_back(few, tmp_path):
    """A graph of one's own may have variables of any type, in parts, of an unknown shape, and TensorFlow 1's."""
    v1 = tf.compat.v1
    kinds = {"texts": ["a", "", "\u00e9" * 300], "text": "hello", "half": np.float16(0.1), "flag": True}

    class Own(DigitCNN):
        def build(self):
            tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
            tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
            parts = v1.get_variable("parts", [784, 10], partitioner=v1.fixed_size_partitioner(2), use_resource=False)
            for name, value in kinds.items():
                v1.get_variable(name, initializer=value, trainable=False, use_resource=True)
            v1.get_variable("any", initializer=tf.zeros([3]), trainable=False, validate_shape=False)
            logits = tf.matmul(tf_x, tf.convert_to_tensor(parts))
            tf.nn.softmax(logits, name="probabilities")
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf_y, logits)
            v1.train.AdamOptimizer().minimize(tf.reduce_mean(losses, name="cross_entropy_loss"), name="train_op")

    with Own(random_seed=3) as model:
        model.train(few, steps=1, verbose=False)
        with Own.restore(model.save(1, "m")) as again:
            for a, b in zip(weights(again), weights(model), strict=True):
                np.testing.assert_array_equal(a, b)
            assert again.sess.run("texts:0")[2].decode() == "\u00e9" * 300
