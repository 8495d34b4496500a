"""Stopping, continuing and interrupting a training changes none of its results."""

import os
import signal
import threading

import numpy as np
import pytest

from digitcnn import DigitCNN


def weights(model):
    return model.sess.run(model.g.get_collection("variables"))


def same(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


def make(name="softmax", **settings):
    """A small model; without another name the one that is made soonest, as most tests are about steps and epochs."""
    small = {"conv_1_output_channels": 8, "conv_2_output_channels": 8, "fc_3_output_units": 32}
    return DigitCNN(architecture=name, random_seed=3, batchsize=50, **(small if name == "cnn" else {}), **settings)


@pytest.mark.parametrize("name", ["cnn", "slim"])
def test_same_seed_gives_the_same_bits(name, few):
    """The tests of resuming compare two models of every other network but `compact`."""
    with make(name) as a, make(name) as b:
        for model in (a, b):
            model.train(few, epochs=2, verbose=False)
        assert same(weights(a), weights(b)) and a.history.equals(b.history)


@pytest.mark.parametrize("name", ["cnn", "slim"])
def test_train_in_several_calls_equals_one_call(name, few):
    """The calls end before, at and after the end of an epoch of 3 batches."""
    with make(name) as whole, make(name) as parts:
        whole.train(few, few, epochs=4, verbose=False)
        for i, steps in enumerate((1, 2, 4, 2)):
            parts.train(few, few, steps=steps, initialize=i == 0, verbose=False)
        parts.train(few, few, epochs=1, initialize=False, verbose=False)
        assert parts.global_step == whole.global_step == 12
        assert same(weights(whole), weights(parts))
        assert whole.history.to_numpy().tolist() == parts.history.to_numpy().tolist()


def test_recipe_interrupted_saved_and_resumed_ends_the_same(few, monkeypatch):
    """Interrupt the second of three epochs; schedule, augmentation and moving averages continue too.

    Dropout, which the recipe `accurate` has besides, continues in `test_continue_after_sigint`.
    """
    settings = {"epochs": 3, "batchsize": 50, "random_seed": 3}
    with DigitCNN.from_recipe("fast", **settings) as whole:
        whole.train(few, few, verbose=False)
        with DigitCNN.from_recipe("fast", **settings) as interrupted:
            train_step, calls = interrupted._engine.train_step, []

            def interrupt(*batch, **options):
                if len(calls) == 5:
                    raise KeyboardInterrupt
                calls.append(True)
                return train_step(*batch, **options)

            monkeypatch.setattr(interrupted._engine, "train_step", interrupt)
            with pytest.raises(KeyboardInterrupt):
                interrupted.train(few, few, verbose=False)
            interrupted.save(path="m")
        with DigitCNN.restore("m") as again:
            assert again.global_step == 5
            again.train(few, few, epochs=2, initialize=False, verbose=False)
            assert same(weights(again), weights(whole))
            assert again.history.equals(whole.history)


def test_history_epochs_after_continued_training(few):
    with make() as cnn:
        cnn.train(few, steps=5, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, pytest.approx(1 + 2 / 3)]
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2]
        cnn.train(few, epochs=2, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2, 3, 4] and cnn.global_step == 12


@pytest.mark.parametrize("steps", [1, 299, 301])
def test_stop_close_to_the_end_of_an_epoch(digits, steps):
    """A fraction of an epoch of 300 batches is not rounded to a whole one."""
    with DigitCNN(architecture="softmax", batchsize=2, random_seed=1) as model:
        data = digits.train_images[:600], digits.train_labels[:600]
        model.train(data, steps=steps, verbose=False)
        assert model.history["Epoch"].iloc[-1] == pytest.approx(steps / 300, abs=1e-9)
        model.train(data, epochs=1, initialize=False, verbose=False)
        assert model.history["Epoch"].tolist() == ([1] if steps < 300 else [1, 2])


def test_continue_with_other_data_starts_a_new_epoch(few, digits):
    with make() as cnn:
        cnn.train(few, steps=2, verbose=False)
        other = digits.train_images[:140], digits.train_labels[:140]  # as many batches
        cnn.train(other, epochs=1, initialize=False, verbose=False)
        assert cnn.global_step == 2 + 3 and cnn.history["Epoch"].tolist() == [1]
        assert cnn._state.progress.n_images == 140


def test_continue_keeps_the_standardization(few, digits):
    with make() as cnn:
        cnn.train(few, steps=1, verbose=False)
        statistics = cnn.standardization
        cnn.train((digits.train_images[200:], digits.train_labels[200:]), steps=1, initialize=False, verbose=False)
        assert cnn.standardization is statistics


@pytest.mark.parametrize("n_manual_steps", [1, 2, 3, 7])
def test_continue_after_manual_steps(few, n_manual_steps):
    """sess.run("train_op") and sess.run(init_op) change global_step between calls of train."""
    with make() as cnn:
        cnn.train(few, epochs=1, verbose=False)
        for _ in range(n_manual_steps):
            cnn.sess.run("train_op", {"myInput:0": cnn.standardization(few[0]), "Y:0": np.eye(10)[few[1]]})
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2] and cnn.global_step == 3 + n_manual_steps + 3
        cnn.sess.run(cnn.init_op)
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1, 2, 3] and cnn.global_step == 3


def test_continue_after_interrupted_validation(few, monkeypatch):
    with make() as cnn:

        def interrupt(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(cnn._engine, "count", interrupt)
            with pytest.raises(KeyboardInterrupt):
                cnn.train(few, few, epochs=1, verbose=False)
        assert len(cnn.history) == 0
        cnn.train(few, few, epochs=1, initialize=False, verbose=False)
        assert cnn.history["Epoch"].tolist() == [1] and cnn.global_step == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
@pytest.mark.parametrize("at", ["train_step", "count"])
def test_continue_after_sigint(few, monkeypatch, at):
    """SIGINT takes effect after the step or the validation; a continued training ends with the same bits."""
    with make("cnn") as uninterrupted, make("cnn") as cnn:
        uninterrupted.train(few, few, epochs=4, verbose=False)
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
        assert same(weights(cnn), weights(uninterrupted))
        assert cnn.history.equals(uninterrupted.history)


def test_second_ctrl_c_acts_at_once(few, monkeypatch):
    with make() as cnn:

        def interrupt(*_, **__):
            for _ in range(2):
                signal.raise_signal(signal.SIGINT)
            raise AssertionError("not reached")

        monkeypatch.setattr(cnn._engine, "train_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            cnn.train(few, verbose=False)
        monkeypatch.undo()
        cnn.train(few, epochs=1, initialize=False, verbose=False)
        assert cnn.global_step == 3


def test_train_in_another_thread(few):
    """Only the main thread may set signal handlers."""
    with make() as cnn:
        thread = threading.Thread(target=lambda: cnn.train(few, epochs=1, verbose=False))
        thread.start()
        thread.join()
        assert cnn.global_step == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send")
def test_ctrl_c_in_a_python_program(tmp_path):
    """The program catches KeyboardInterrupt and uses the model."""
    import subprocess
    import sys

    program = """
import sys
from digitcnn import DigitCNN, load_dataset
digits = load_dataset()
with DigitCNN(architecture="softmax", random_seed=1, batchsize=50) as cnn:
    try:
        cnn.train(digits.split(200)[0], epochs=10_000, verbose="lines")
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
def test_verbose_selects_lines_and_bar(few, capsys, monkeypatch, verbose, lines, bar):
    monkeypatch.setattr("digitcnn._progress.bar_options", lambda *, show: {"disable": not show})
    with make() as cnn:
        cnn.train(few, epochs=2, verbose=verbose)
    captured = capsys.readouterr()
    assert ("Epoch 02: Training Avg. Loss:" in captured.out) is lines
    assert ("step/s" in captured.err) is bar


def test_train_shows_no_bar_outside_a_terminal(few, capsys):
    with make() as cnn:
        cnn.train(few, epochs=1)
    assert capsys.readouterr().err == ""


def test_epoch_line_without_validation(few, capsys):
    with make() as cnn:
        cnn.train(few, epochs=1)
        assert np.isnan(cnn.history["Accuracy"][0])
    assert "Validation" not in capsys.readouterr().out
