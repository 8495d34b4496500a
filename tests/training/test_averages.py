"""Moving averages of weights: against NumPy, through interruptions, in what is saved."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import CheckpointError, DigitCNN

v1 = tf.compat.v1
DECAY = 0.8
SIZES = {"conv_1_output_channels": 8, "conv_2_output_channels": 8, "fc_3_output_units": 32}


class Small(DigitCNN):
    """A graph of one's own with batch normalization and a fast rate, so that weights move far."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
        is_training = v1.placeholder_with_default(False, [], name="is_training")
        net = self.batch_norm_layer(self.fc_layer(tf_x, "fc_1", 6), "bn_1", is_training)
        logits = self.fc_layer(tf.nn.relu(net), "fc_2", 10)
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")


def make(kind=Small, **settings):
    settings = {"random_seed": 3, "batchsize": 50, "epochs": 3, "learning_rate": 0.02} | settings
    return kind(**{"average_decay": DECAY} | settings)


def variables(model):
    return model._engine.variables()


def trained_names(model):
    return [variable.op.name for variable in model.g.get_collection("trainable_variables")]


def same(a, b):
    return a.keys() == b.keys() and all(a[name].tobytes() == b[name].tobytes() for name in a)


def watch(model):
    """The values of all variables before the first step of the next training, and after each one."""
    train_step, seen = model._engine.train_step, []

    def watched(*arguments, **options):
        if not seen:
            seen.append(variables(model))
        done = train_step(*arguments, **options)
        seen.append(variables(model))
        return done

    model._engine.train_step = watched
    return seen


def averaged(seen, names, decay=DECAY):
    """The averages after the last of these steps, in float64."""
    averages = {name: seen[0][name].astype(float) for name in names}
    for n, values in enumerate(seen[1:]):
        kept = min(decay, (1 + n) / (10 + n))
        averages = {name: kept * averages[name] + (1 - kept) * values[name] for name in names}
    return averages


@pytest.mark.parametrize(
    ("kind", "settings"),
    [(Small, {}), (DigitCNN, {**SIZES, "architecture": "strided", "precision": "auto", "dropout": 0.1})],
)
def test_averages_equal_numpy_and_become_the_weights(kind, settings, few):
    with make(kind, **settings) as model:
        seen = watch(model)
        model.train(few, few, epochs=12, verbose=False)
        names, end = trained_names(model), variables(model)
        assert len(seen) == 37 and DECAY < (1 + 36) / (10 + 36)  # both sides of the minimum are met
        for step in (1, 2, 36):
            for name, expected in averaged(seen[: step + 1], names).items():
                np.testing.assert_allclose(seen[step][f"averages/{name}"], expected, rtol=1e-5, atol=1e-6)
        for name in names:
            assert end[name].tobytes() == seen[-1][f"averages/{name}"].tobytes() != seen[-1][name].tobytes()
        others = end.keys() - names - {"averages/n_updates"}
        assert all(end[name].tobytes() == seen[-1][name].tobytes() for name in others)


def test_optimizer_goes_on_from_the_plain_weights(few):
    """With averages and validation, without both: the same steps up to the last one."""
    plain = []
    for settings, validation in (({"average_decay": 0.0}, None), ({}, few)):
        with make(**settings) as model:
            seen = watch(model)
            model.train(few, validation, verbose=False)
            plain.append([[values[name].tobytes() for name in trained_names(model)] for values in seen])
    assert plain[0] == plain[1]


def test_no_decay_adds_nothing_to_the_graph():
    with make(average_decay=0.0) as none, make() as model:
        graphs = [{op.name: op.type for op in one.g.get_operations()} for one in (none, model)]
        added = [name for name in graphs[1] if name not in graphs[0]]
        assert {name.split("/")[0] for name in added} == {"averages", "save"}
        assert model.n_parameters == none.n_parameters


def test_exchange_is_exact_however_it_ends(few):
    with make() as model:
        averages = model._engine.averages
        interrupt_at(model, 3)
        with pytest.raises(KeyboardInterrupt):
            model.train(few, verbose=False)
        before, names = variables(model), trained_names(model)
        with averages.in_use():
            inside = variables(model)
        assert same(variables(model), before)
        for name in names:
            assert inside[name].tobytes() == before[f"averages/{name}"].tobytes() != before[name].tobytes()
            assert inside[f"averages/{name}"].tobytes() == before[name].tobytes()
        for error in (KeyboardInterrupt, SystemExit, MemoryError):
            with pytest.raises(error), averages.in_use():
                raise error
            assert same(variables(model), before)
        run = averages._session.run
        with pytest.MonkeyPatch.context() as patch:  # Ctrl-C just after the exchange
            patch.setattr(averages._session, "run", lambda *a: (run(*a), patch.undo(), signal.raise_signal(2)))
            with pytest.raises(KeyboardInterrupt), averages.in_use():
                raise AssertionError
        assert same(variables(model), before)


def interrupt():
    raise KeyboardInterrupt


def interrupt_at(model, step, action=interrupt):
    """Act before training step number `step` of this model, counted from 1 here."""
    train_step, calls = model._engine.train_step, []

    def watched(*arguments, **options):
        calls.append(1)
        if len(calls) == step:
            action()
        return train_step(*arguments, **options)

    model._engine.train_step = watched


@pytest.fixture(scope="module")
def whole(few):
    """Variables and history of a training of three epochs of three steps that nothing interrupts."""
    with make() as model:
        model.train(few, few, verbose=False)
        return variables(model), model.history


@pytest.mark.parametrize("step", [1, 4, 9])
def test_interrupted_training_goes_on_with_its_averages(few, whole, step):
    with make() as model:
        interrupt_at(model, step)
        with pytest.raises(KeyboardInterrupt):
            model.train(few, few, verbose=False)
        model.train(few, few, verbose=False, steps=10 - step, initialize=step == 1)
        assert same(variables(model), whole[0]) and model.history.equals(whole[1])


def test_training_that_is_continued_begins_its_averages_anew(few):
    with make() as model:
        model.train(few, few, steps=5, verbose=False)
        seen = watch(model)
        model.train(few, few, steps=2, initialize=False, verbose=False)
        assert seen[0]["averages/n_updates"] == 0
        for name, expected in averaged(seen, trained_names(model)).items():
            assert seen[0][name].tobytes() == seen[0][f"averages/{name}"].tobytes()
            np.testing.assert_allclose(variables(model)[name], expected, rtol=1e-5, atol=1e-6)


MOMENTS = {
    "validation": ("digitcnn.engine.engine", "Engine.count", 2),
    "within saving the best": ("digitcnn.saving.model_parts", "ModelParts.write", 3),
    "the last save": ("digitcnn.saving.checkpoint_folder", "CheckpointFolder.save", 6),
    "after the last save": ("digitcnn.tensorboard.training_log", "TrainingLog.finish", 1),
}


class PowerFailure(Exception):
    """Ends a training; what it leaves in files counts."""


def stop_at(patch, moment, action):
    module, path, number = MOMENTS[moment]
    owner = getattr(sys.modules[module], path.split(".")[0])
    method, calls = getattr(owner, path.split(".")[1]), []

    def stopping(*arguments, **options):
        calls.append(1)
        if len(calls) == number:
            action()
        return method(*arguments, **options)

    patch.setattr(owner, path.split(".")[1], stopping)


@pytest.mark.parametrize("moment", MOMENTS)
def test_resume_after_a_failure_at_any_moment(moment, few, whole, monkeypatch):
    options = {"checkpoint_dir": "run", "checkpoint_every": 2, "verbose": False}

    def fail():
        raise PowerFailure

    with make() as model, monkeypatch.context() as patch:
        stop_at(patch, moment, fail)
        with pytest.raises(PowerFailure):
            model.train(few, few, **options)
    with make() as model:
        model.train(few, few, resume=True, **options)
        assert same(variables(model), whole[0]) and model.history.equals(whole[1])


KILLED = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import pytest
from digitcnn import load_dataset
from test_averages import make, stop_at

digits = load_dataset()
few = digits.train_images[:130], digits.train_labels[:130]
stop_at(pytest.MonkeyPatch(), sys.argv[2], lambda: os.kill(os.getpid(), signal.SIGKILL))
make().train(few, few, verbose=False, checkpoint_dir="run", checkpoint_every=2)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_resume_after_a_kill_while_averages_are_in_use(few, whole):
    command = [sys.executable, "-c", KILLED, str(Path(__file__).parent), "within saving the best"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with make() as model:
        model.train(few, few, verbose=False, checkpoint_dir="run", checkpoint_every=2, resume=True)
        assert same(variables(model), whole[0]) and model.history.equals(whole[1])


def test_best_checkpoint_has_the_averages_as_weights(few, whole):
    """It predicts as the history says, and a training resumes from it with the plain weights."""
    validation = few[0][:9], few[1][:9]
    with make(epochs=5, learning_rate=0.05) as model:
        seen = watch(model)
        model.train(few, validation, verbose=False, checkpoint_dir="run")
        history, end = model.history, variables(model)
    with Small.restore("run/best") as best:
        step, names = best.global_step, trained_names(best)
        assert step < 15  # else it is the last one
        assert best.evaluate(*validation)["accuracy"] == history["Accuracy"].max()
        found = variables(best)
        for name in names:
            assert found[name].tobytes() == seen[step][f"averages/{name}"].tobytes()
        weights = best.weights_sha256()
        best.save(path="copy")
        with Small.restore("copy") as copy:
            assert copy.weights_sha256() == weights
        seen = watch(best)
        best.train(few, steps=1, initialize=False, verbose=False)  # from the weights that it has
        assert all(seen[0][name].tobytes() == found[name].tobytes() for name in names)
    with make(epochs=5, learning_rate=0.05) as model:
        model.train(few, validation, verbose=False, checkpoint_dir="run/best", resume=True)
        assert same(variables(model), end) and model.history.equals(history)


def test_signal_saves_plain_weights_within_a_training_and_averages_at_its_end(few, whole):
    def stop():
        signal.raise_signal(signal.SIGINT)

    for call, step in ((4, 4), (5, 9)):  # within an epoch, and in the last step, which ends the training
        with make() as model:
            interrupt_at(model, call, stop)
            with pytest.raises(KeyboardInterrupt):
                model.train(few, few, checkpoint_dir="run", resume=True, verbose=False)
            assert model.global_step == step
            assert (variables(model)["averages/n_updates"] == 0) == (step == 9)
    with make() as model, Small.restore("run") as again:
        assert same(variables(again), whole[0])
        model._engine.restore(whole[0])
        model.standardization = again.standardization
        np.testing.assert_array_equal(again.predict(few[0], True), model.predict(few[0], True))


def test_weights_of_other_programs_and_of_the_package_begin_without_averages(few):
    with DigitCNN.pretrained(average_decay=0.9) as model:
        names, before = trained_names(model), variables(model)
        seen = watch(model)
        model.train((few[0][:20], few[1][:20]), steps=1, initialize=False, verbose=False)
        assert all(seen[0][f"averages/{name}"].tobytes() == before[name].tobytes() for name in names)
    with DigitCNN(architecture="softmax", random_seed=3) as plain:
        plain.train(few, steps=2, verbose=False)
        prefix = plain.save()
        with pytest.raises(CheckpointError, match=r"expected average_decay=0.9 as in this model, found 0.0"):
            make(DigitCNN, architecture="softmax", average_decay=0.9).load(path=prefix)
        with DigitCNN.import_checkpoint(prefix, architecture="softmax", average_decay=0.9) as model:
            assert model.weights_sha256() == plain.weights_sha256() and model.global_step == 2


@pytest.mark.parametrize("value", [1, 1.5, -0.1, float("nan")])
def test_bad_decay_raises(value):
    with pytest.raises(ValueError, match=r"average_decay: expected a fraction, 0 <= average_decay < 1, found"):
        Small(average_decay=value)
