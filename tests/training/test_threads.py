"""One model in several threads: one trains, others may predict; what would mix steps or weights raises an error."""

import threading

import numpy as np
import pytest

from digitcnn import DigitCNN, UntrainedModelError

SECONDS = 30  # that a thread may take


def make():
    return DigitCNN(architecture="strided", random_seed=3, batchsize=50)


class InTraining:
    """Trains a model in a thread, which waits before its third step until the block ends."""

    def __init__(self, model, few):
        self._waits, self._goes_on = threading.Event(), threading.Event()
        self.error = None
        self._train_step, self._n = model._engine.train_step, 0
        self._thread = threading.Thread(target=self._train, args=(model, few), name="first")
        model._engine.train_step = self._step

    def _step(self, *arguments, **options):
        self._n += 1
        if self._n == 3:
            self._waits.set()
            assert self._goes_on.wait(SECONDS)
        return self._train_step(*arguments, **options)

    def _train(self, model, few):
        try:
            model.train(few, few, epochs=2, verbose=False)
        except Exception as error:
            self.error = error

    def __enter__(self):
        self._thread.start()
        assert self._waits.wait(SECONDS)
        return self

    def __exit__(self, *_):
        self._goes_on.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()


@pytest.fixture(scope="module")
def alone(few):
    """SHA-256 and history of a training without other threads."""
    with make() as model:
        model.train(few, few, epochs=2, verbose=False)
        return model.weights_sha256(), model.history.to_csv()


MIXING = {
    "train": lambda model, few: model.train(few, verbose=False),
    "train, initialize": lambda model, few: model.train(few, verbose=False, initialize=False),
    "save": lambda model, few: model.save(path="m"),
    "load": lambda model, few: model.load(path="before"),
    "export": lambda model, few: model.export("exported"),
}


@pytest.mark.parametrize("name", MIXING)
def test_second_thread_raises(few, alone, name, tmp_path):
    with make() as model:
        model.train(few, steps=1, verbose=False)
        model.save(path="before")
        with (
            InTraining(model, few) as first,
            pytest.raises(RuntimeError, match=f"^{name[:5].strip(',')}.*: expected a model that is not.*'first'; wait"),
        ):
            MIXING[name](model, few)
        assert first.error is None and (model.weights_sha256(), model.history.to_csv()) == alone
        assert [path.name for path in tmp_path.iterdir()] == ["before"]
        MIXING[name](model, few)  # now it may


def test_predict_while_another_thread_trains(few, alone):
    with make() as model:
        with InTraining(model, few) as first:
            probabilities = model.predict(few[0], return_proba=True)
            assert model.evaluate(*few)["global_step"] == model.global_step == 2
            assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
        assert first.error is None and (model.weights_sha256(), model.history.to_csv()) == alone


def test_save_in_the_training_thread(few, alone):
    """As a subclass's update_history may do."""

    class Saving(DigitCNN):
        def update_history(self, entry):
            super().update_history(entry)
            self.save(path="m")

    with Saving(architecture="strided", random_seed=3, batchsize=50) as model:
        model.train(few, few, epochs=2, verbose=False)
        assert model.weights_sha256() == alone[0]


def test_failed_training_lets_the_next_begin(few, monkeypatch):
    with make() as model:
        with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
            patch.setattr(model._engine, "train_step", lambda *_, **__: 1 // 0)
            model.train(few, steps=1, verbose=False)
        model.train(few, steps=1, verbose=False)


def test_close_while_another_thread_trains(few):
    model = make()
    with InTraining(model, few) as first:
        model.close()
    assert isinstance(first.error, UntrainedModelError) and "this model is closed" in str(first.error)


CLOSED = {
    "predict": lambda model, few: model.predict(few[0], batch_size=1),
    "evaluate": lambda model, few: [model.evaluate(*few) for _ in range(1000)],
    "train": lambda model, few: model.train(few, steps=10_000, verbose=False),
    "save": lambda model, few: [model.save(i, path="m") for i in range(1000)],
    "sess.run": lambda model, few: [model.sess.run(["train/global_step:0"]) for _ in range(100_000)],
}


@pytest.mark.parametrize("name", CLOSED)
def test_close_during_a_run_of_another_thread(few, name):
    """TensorFlow cancels the run."""
    model, errors, begun = make(), [], threading.Event()
    model.train(few, steps=1, verbose=False)
    images = np.tile(few[0], (20, 1)), np.tile(few[1], 20)

    def work():
        begun.set()
        try:
            CLOSED[name](model, images)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait(SECONDS)
    thread.join(0.05)
    model.close()
    thread.join(SECONDS)
    assert not thread.is_alive()
    (error,) = errors
    assert isinstance(error, UntrainedModelError) and str(error).startswith("this model is closed"), error
