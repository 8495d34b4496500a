"""Going on, stopping anywhere, being interrupted: where training stands leaves no trace."""

import os
import signal
import threading

import numpy as np
import pytest

from digitcnn import ARCHITECTURES, DigitCNN


def weights(model):
    return model.sess.run(model.g.get_collection("variables"))


def same(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


def make(name="cnn", **settings):
    small = {"fc_3_output_units": 32} if ARCHITECTURES[name].has_widths else {}
    return DigitCNN(architecture=name, random_seed=3, batchsize=50, **small, **settings)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_two_runs_with_one_seed_are_equal_to_the_bit(name, few):
    with make(name) as a, make(name) as b:
        for model in (a, b):
            model.train(few, epochs=2, verbose=False)
        assert same(weights(a), weights(b)) and a.history.equals(b.history)


@pytest.mark.parametrize("name", ["cnn", "batchnorm"])
def test_training_in_pieces_is_training_at_once(name, few):
    """3 batches an epoch; the pieces end before, at and after an epoch's end."""
    with make(name) as whole, make(name) as pieces:
        whole.train(few, few, epochs=4, verbose=False)
        for i, steps in enumerate((1, 2, 4, 2)):
            pieces.train(few, few, steps=steps, initialize=i == 0, verbose=False)
        pieces.train(few, few, epochs=1, initialize=False, verbose=False)
        assert pieces.global_step == whole.global_step == 12
        assert same(weights(whole), weights(pieces))
        assert whole.history.to_numpy().tolist() == pieces.history.to_numpy().tolist()


@pytest.mark.parametrize("recipe", ["fast", "accurate"])
def test_a_recipe_interrupted_saved_and_gone_on_with_leaves_no_trace(recipe, few, monkeypatch):
    """Schedule, warps and averages too; in the second epoch of three, 3 batches each."""
    settings = {"epochs": 3, "batchsize": 50, "random_seed": 3}
    with DigitCNN.from_recipe(recipe, **settings) as whole:
        whole.train(few, few, verbose=False)
        with DigitCNN.from_recipe(recipe, **settings) as broken:
            take, taken = broken._engine.train_step, []

            def step(*batch):
                if len(taken) == 5:
                    raise KeyboardInterrupt
                taken.append(True)
                return take(*batch)

            monkeypatch.setattr(broken._engine, "train_step", step)
            with pytest.raises(KeyboardInterrupt):
                broken.train(few, few, verbose=False)
            broken.save(path="m")
        with DigitCNN.restore("m") as again:
            assert again.global_step == 5
            again.train(few, few, epochs=2, initialize=False, verbose=False)
            assert same(weights(again), weights(whole))
            assert again.history.equals(whole.history)


def test_history_of_steps_and_of_going_on(few):
    with make() as cnn:
        cnn.train(few, steps=5, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, pytest.approx(1 + 2 / 3)]
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2]
        cnn.train(few, epochs=2, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2, 3, 4] and cnn.global_step == 12


@pytest.mark.parametrize("steps", [1, 299, 301])
def test_a_stop_close_to_an_epochs_end(digits, steps):
    """300 batches an epoch: what is unfinished is not rounded to what is finished."""
    with DigitCNN(architecture="softmax", batchsize=2, random_seed=1) as model:
        data = digits.train_images[:600], digits.train_labels[:600]
        model.train(data, steps=steps, verbose=False)
        assert model.history["Epoch"].iloc[-1] == pytest.approx(steps / 300, abs=1e-9)
        model.train(data, epochs=1, initialize=False, verbose=False)
        assert model.history["Epoch"].tolist() == ([1] if steps < 300 else [1, 2])


def test_going_on_with_other_data_begins_an_epoch(few, digits):
    with make() as cnn:
        cnn.train(few, steps=2, verbose=False)
        other = digits.train_images[:140], digits.train_labels[:140]  # as many batches
        cnn.train(other, epochs=1, initialize=False, verbose=False)
        assert cnn.global_step == 2 + 3 and cnn.history["Epoch"].tolist() == [1]
        assert cnn._progress.n_images == 140


def test_going_on_keeps_the_standardization(few, digits):
    with make() as cnn:
        cnn.train(few, steps=1, verbose=False)
        statistics = cnn.standardization
        cnn.train((digits.train_images[200:], digits.train_labels[200:]), steps=1, initialize=False, verbose=False)
        assert cnn.standardization is statistics


@pytest.mark.parametrize("by_hand", [1, 2, 3, 7])
def test_steps_taken_by_hand_do_not_confuse(few, by_hand):
    """sess.run("train_op") and sess.run(init_op) move or reset global_step behind train's back."""
    with make() as cnn:
        cnn.train(few, epochs=1, verbose=False)
        for _ in range(by_hand):
            cnn.sess.run("train_op", {"tf_x:0": cnn.standardization(few[0]), "tf_y:0": few[1]})
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2] and cnn.global_step == 3 + by_hand + 3
        cnn.sess.run(cnn.init_op)
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2, 3] and cnn.global_step == 3


def test_interrupted_in_the_last_validation(few, monkeypatch):
    with make() as cnn:

        def interrupt(*_):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(cnn._engine, "evaluate", interrupt)
            with pytest.raises(KeyboardInterrupt):
                cnn.train(few, few, epochs=1, verbose=False)
        assert len(cnn.history) == 0
        cnn.train(few, few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1] and cnn.global_step == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("at", ["train_step", "evaluate"])
def test_interrupted_and_gone_on_with(few, monkeypatch, at):
    """SIGINT within a step or a validation: both are finished first, and nothing tells in the end."""
    with make() as untouched, make() as cnn:
        untouched.train(few, few, epochs=4, verbose=False)
        calls, real = [], getattr(cnn._engine, at)

        def interrupt(*args, **kwargs):
            calls.append(1)
            if len(calls) == (8 if at == "train_step" else 2):
                os.kill(os.getpid(), signal.SIGINT)
            return real(*args, **kwargs)

        monkeypatch.setattr(cnn._engine, at, interrupt)
        with pytest.raises(KeyboardInterrupt):
            cnn.train(few, few, epochs=4, verbose=False)
        monkeypatch.undo()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert cnn.history["Epoch"].tolist() == [1, 2]
        assert cnn.global_step == (8 if at == "train_step" else 6)
        assert cnn.predict(few[0]).shape == (130,)
        cnn.train(few, few, epochs=2, initialize=False, verbose=False)
        assert same(weights(cnn), weights(untouched))
        assert cnn.history.equals(untouched.history)


def test_a_second_ctrl_c_acts_at_once(few, monkeypatch):
    with make() as cnn:

        def interrupt(*_):
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
            raise AssertionError("not reached")

        monkeypatch.setattr(cnn._engine, "train_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            cnn.train(few, verbose=False)
        monkeypatch.undo()
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.global_step == 3


def test_training_in_another_thread(few):
    """Signals belong to the main thread; training does not need them."""
    with make() as cnn:
        thread = threading.Thread(target=lambda: cnn.train(few, epochs=1, verbose=False))
        thread.start()
        thread.join()
        assert cnn.global_step == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_a_real_ctrl_c(tmp_path):
    """SIGINT to a process that trains from Python."""
    import subprocess
    import sys

    program = """
import sys
from digitcnn import DigitCNN, load_dataset
digits = load_dataset()
with DigitCNN(random_seed=1, batchsize=50) as cnn:
    try:
        cnn.train(digits.split(200)[0], epochs=1000, verbose="lines")
    except KeyboardInterrupt:
        n = cnn.global_step
        print("usable", len(cnn.history) >= 2, cnn.predict(digits.test_images).shape, n >= 50, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        for line in iter(process.stdout.readline, ""):
            if line.startswith("Epoch 02"):
                process.send_signal(signal.SIGINT)
                break
        assert "usable True (360,) True" in process.stdout.read()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("verbose", "lines", "bar"),
    [(True, True, True), (False, False, False), ("lines", True, False), ("bar", False, True)],
)
def test_verbose_turns_either_off(few, capsys, monkeypatch, verbose, lines, bar):
    monkeypatch.setattr("digitcnn.training.loop.bar_options", lambda show: {"disable": not show})
    with make() as cnn:
        cnn.train(few, epochs=2, verbose=verbose)
    captured = capsys.readouterr()
    assert ("Epoch 02: Training Avg. Loss:" in captured.out) is lines
    assert ("step/s" in captured.err) is bar


def test_no_bar_into_a_file(few, capsys):
    with make() as cnn:
        cnn.train(few, epochs=1)
    assert capsys.readouterr().err == ""


def test_line_without_validation(few, capsys):
    with make() as cnn:
        cnn.train(few, epochs=1)
        assert np.isnan(cnn.history["Accuracy"][0])
    assert "Validation" not in capsys.readouterr().out
