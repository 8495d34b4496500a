"""The engine asks whether there are weights before it runs anything that needs them; what it does, it does silently."""

import subprocess
import sys

import pytest
from conftest import environment_of_a_user

from digitcnn import DigitCNN, UntrainedModelError

# TensorFlow logs a run that fails as an error, which this process hides by TF_CPP_MIN_LOG_LEVEL=3.
ASK = """
import os
import numpy as np
from digitcnn import DigitCNN, UntrainedModelError
from digitcnn.engine import constants

constants.CALLS = 2  # the second prediction makes a copy of the graph with constants
X = np.random.default_rng(0).integers(0, 256, (20, 784)).astype(np.uint8)
with DigitCNN(architecture="slim", batchsize=20, random_seed=1) as model:
    os.write(2, b"<built>")
    for _ in range(2):
        try:
            model._engine.global_step()
        except UntrainedModelError:
            print("untrained")
    model.sess.run(model.init_op)
    print(model._engine.global_step())
    os.write(2, b"<asked>")
    model.train((X, np.arange(20) % 10), steps=1, verbose=False)
    for _ in range(3): model.predict(X[:1])
    print(model._engine._calls._constants._frozen is not None)
"""


@pytest.fixture(scope="module")
def asked():
    """Lines of output, and errors, of a process as a user starts it."""
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, env=environment_of_a_user(), check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split(), done.stderr


def test_global_step_of_untrained_model_raises_without_failing_run(asked):
    output, errors = asked
    assert output[:3] == ["untrained", "untrained", "0"]
    assert errors.partition("<built>")[2].partition("<asked>")[:2] == ("", "<asked>")


def test_making_a_copy_with_constants_says_nothing(asked):
    output, errors = asked
    assert output[3:] == ["True"] and errors == "<built><asked>"


def test_global_step_of_closed_model_raises(few):
    model = DigitCNN(architecture="softmax", random_seed=1)
    model.train(few, steps=2, verbose=False)
    engine = model._engine
    assert engine.global_step() == 2 and isinstance(engine.global_step(), int)
    model.close()
    with pytest.raises(UntrainedModelError, match="this model is closed"):
        engine.global_step()
