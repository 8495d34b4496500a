"""Recipes: their settings, replacing a setting, and training with each."""

import numpy as np
import pytest

from digitcnn import ARCHITECTURES, RECIPES, DigitCNN


def test_tutorial_recipe_equals_the_tutorial():
    with DigitCNN.from_recipe("tutorial", random_seed=1) as cnn, DigitCNN(epochs=30, random_seed=1) as plain:
        assert cnn.settings == plain.settings
        recipe = RECIPES["tutorial"].settings
        assert {name: recipe[name] for name in ARCHITECTURES["cnn"].settings} == ARCHITECTURES["cnn"].settings


@pytest.mark.parametrize("name", ["fast", "accurate"])
def test_recipe_trains_and_restores(name, few, tmp_path):
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


def test_from_recipe_does_not_change_the_recipe():
    DigitCNN.from_recipe("fast", epochs=1).close()
    assert RECIPES["fast"].settings["epochs"] != 1


def test_from_recipe_bad_arguments_raise():
    with pytest.raises(ValueError, match="recipe: expected one of tutorial, small, fast, accurate, found 'slow'"):
        DigitCNN.from_recipe("slow")
    with pytest.raises(TypeError, match="momentum"):
        DigitCNN.from_recipe("fast", momentum=0.9)


def test_label_smoothing_affects_training_but_not_the_reported_loss(few):
    """Smoothed labels lower the probability of the true class to 1 - 0.9 * smoothing."""
    probability = {}
    for smoothing in (0.0, 0.5):
        widths = {"conv_1_output_channels": 8, "conv_2_output_channels": 16, "fc_3_output_units": 64}
        with DigitCNN(random_seed=1, learning_rate=3e-3, label_smoothing=smoothing, **widths) as cnn:
            cnn.train(few, epochs=40, verbose=False)
            probabilities = cnn.predict(few[0], return_proba=True)
            probability[smoothing] = probabilities[range(130), few[1]].mean()
            loss = -np.log(probabilities[range(130), few[1]]).mean()
            assert cnn.evaluate(*few)["loss"] == pytest.approx(loss, rel=0.02)
    assert probability[0.0] > 0.97 and 0.3 < probability[0.5] < 0.6


def test_bad_label_smoothing_raises():
    with pytest.raises(ValueError, match="label_smoothing: expected a fraction, 0 <= label_smoothing < 1, found 1"):
        DigitCNN(label_smoothing=1)
