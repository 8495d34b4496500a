"""The engine asks whether there are weights before it runs anything that needs them."""

import subprocess
import sys

import pytest
from conftest import environment_of_a_user

from digitcnn import DigitCNN, UntrainedModelError

# TensorFlow logs a run that fails as an error, which this process hides by TF_CPP_MIN_LOG_LEVEL=3.
ASK = """
import os
from digitcnn import DigitCNN, UntrainedModelError

with DigitCNN(architecture="softmax") as model:
    os.write(2, b"<built>")
    for _ in range(2):
        try:
            model._engine.global_step()
        except UntrainedModelError:
            print("untrained")
    model.sess.run(model.init_op)
    print(model._engine.global_step())
"""


def test_global_step_of_untrained_model_raises_without_failing_run():
    environment = environment_of_a_user()
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.split() == ["untrained", "untrained", "0"], done.stderr
    assert done.stderr.partition("<built>")[1:] == ("<built>", "")


def test_global_step_of_closed_model_raises(few):
    model = DigitCNN(architecture="softmax", random_seed=1)
    model.train(few, steps=2, verbose=False)
    engine = model._engine
    assert engine.global_step() == 2 and isinstance(engine.global_step(), int)
    model.close()
    with pytest.raises(UntrainedModelError, match="this model is closed"):
        engine.global_step()
