"""A process that was forked after TensorFlow had started raises an error, where TensorFlow would wait for ever."""

import functools
import gc
import multiprocessing
import os
import signal
import warnings

import pytest
import tensorflow as tf

from digitcnn import DigitClassifier, DigitCNN
from digitcnn.engine import process

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
SECONDS = 20  # until a child that waits for ever is killed


def in_a_child(function):
    """What a function returns, or the error that it raises, as text, in a forked process; '' if it never ends."""
    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns about forks beside threads
        child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        try:
            text = str(function())
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


@pytest.fixture(scope="module")
def model(few):
    with DigitCNN(architecture="strided", random_seed=1) as cnn:
        cnn.train(few, steps=2, verbose=False)
        yield cnn


CALLS = {
    "predict": lambda cnn, few: cnn.predict(few[0]),
    "evaluate": lambda cnn, few: cnn.evaluate(*few),
    "train": lambda cnn, few: cnn.train(few, steps=1, verbose=False),
    "train on": lambda cnn, few: cnn.train(few, steps=1, verbose=False, initialize=False),
    "save": lambda cnn, few: cnn.save(path="saved"),
    "load": lambda cnn, few: cnn.load(path="here"),
    "export": lambda cnn, few: cnn.export("exported"),
    "weights": lambda cnn, few: cnn.weights_sha256(),
    "sess.run": lambda cnn, few: cnn.sess.run("train/global_step:0"),
    "sess.make_callable": lambda cnn, few: cnn.sess.make_callable("train/global_step:0"),
}


@pytest.mark.parametrize("name", CALLS)
def test_forked_child_raises(model, few, name, tmp_path):
    model.save(path="here")
    text = in_a_child(lambda: CALLS[name](model, few))
    assert text.startswith("RuntimeError: this model: expected the process that made it") and "'spawn'" in text
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert len(model.predict(few[0])) == 130  # the parent works on


@pytest.mark.parametrize("architecture", ["softmax", "strided"])
def test_new_model_in_a_forked_child_raises(model, few, architecture):
    text = in_a_child(lambda: DigitCNN(architecture=architecture).train(few, steps=1, verbose=False))
    assert text.startswith("RuntimeError: a new model: expected a process in which TensorFlow can run")


def test_restored_model_in_a_forked_child_raises(model):
    model.save(path="here")
    assert in_a_child(lambda: DigitCNN.restore("here")).startswith("RuntimeError: a new model: ")


def test_classifier_in_a_pool_of_forked_processes_raises(model, few):
    """As under joblib's backend "multiprocessing"."""
    classifier = DigitClassifier(architecture="softmax", epochs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pool = multiprocessing.get_context("fork").Pool(1)
    with pool:
        answer = pool.apply_async(functools.partial(classifier.fit, *few))
        with pytest.raises(RuntimeError, match="a new model: expected a process in which TensorFlow can run"):
            answer.get(timeout=SECONDS)


def test_forked_child_may_drop_and_close_a_model(model, few):
    """Neither waits, nor takes the parent's model away."""
    models = [DigitCNN(architecture="softmax", random_seed=1)]
    models[0].train(few, steps=1, verbose=False)

    def drop():
        model.close()
        models.clear()
        gc.collect()
        return "done"

    assert in_a_child(drop) == "done"
    assert len(model.predict(few[0])) == len(models[0].predict(few[0])) == 130
    models[0].close()


def test_new_model_after_a_fork_of_eager_tensorflow_raises(model, monkeypatch):
    """The parent has run TensorFlow, but no model."""
    float(tf.reduce_sum(tf.ones([9, 9])))
    monkeypatch.setattr(process, "_first_process", None)
    text = in_a_child(lambda: DigitCNN(architecture="softmax"))
    if process._THREADS.is_dir():
        assert text.startswith("RuntimeError: a new model: expected a process in which TensorFlow can run")
    DigitCNN(architecture="softmax").close()  # here it can
