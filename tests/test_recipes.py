"""Recipes: what is in them, what overrides them, and that each of them trains."""

import numpy as np
import pytest

from digitcnn import ARCHITECTURES, RECIPES, DigitCNN


def test_the_tutorials_recipe_is_the_tutorial():
    with DigitCNN.from_recipe("tutorial", random_seed=1) as cnn, DigitCNN(epochs=30, random_seed=1) as plain:
        assert cnn.settings == plain.settings
        own = RECIPES["tutorial"].settings
        assert {name: own[name] for name in ARCHITECTURES["cnn"].settings} == ARCHITECTURES["cnn"].settings


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_a_recipe_trains_and_comes_back(name, few, tmp_path):
    with DigitCNN.from_recipe(name, random_seed=1, batchsize=50, precision="float32") as cnn:
        assert cnn.settings == {
            **DigitCNN(random_seed=1).settings,
            **RECIPES[name].settings,
            "batchsize": 50,
            "precision": "float32",
        }
        cnn.train(few, few, epochs=12, verbose=False)
        assert cnn.history["Accuracy"].iloc[-1] > 0.6
        cnn.save(path=tmp_path)
        with DigitCNN.restore(tmp_path) as again:
            assert again.settings == cnn.settings
            assert (again.predict(few[0], True) == cnn.predict(few[0], True)).all()


def test_a_recipe_is_a_copy():
    DigitCNN.from_recipe("fast", epochs=1).close()
    assert RECIPES["fast"].settings["epochs"] != 1


def test_mistakes_are_told():
    with pytest.raises(ValueError, match="recipe: expected one of tutorial, fast, accurate, found 'slow'"):
        DigitCNN.from_recipe("slow")
    with pytest.raises(TypeError, match="momentum"):
        DigitCNN.from_recipe("fast", momentum=0.9)


def test_label_smoothing_is_for_training_and_the_loss_told_is_without_it(few):
    """A smoothed model is not sure of itself: it is to give the label 1 - 0.9 * smoothing."""
    found = {}
    for smoothing in (0.0, 0.5):
        with DigitCNN(random_seed=1, fc_3_output_units=64, learning_rate=1e-3, label_smoothing=smoothing) as cnn:
            cnn.train(few, epochs=40, verbose=False)
            probabilities = cnn.predict(few[0], return_proba=True)
            found[smoothing] = probabilities[range(130), few[1]].mean()
            loss = -np.log(probabilities[range(130), few[1]]).mean()
            assert cnn.evaluate(*few)["loss"] == pytest.approx(loss, rel=0.02)
    assert found[0.0] > 0.97 and 0.3 < found[0.5] < 0.6


def test_bad_label_smoothing_is_told():
    with pytest.raises(ValueError, match="label_smoothing: expected a share, 0 <= label_smoothing < 1, found 1"):
        DigitCNN(label_smoothing=1)
