"""Exports of an ensemble as one model, run by their runtimes and compared with the ensemble."""

import numpy as np
import pytest
from benchmarks.runtimes import NEEDED, RUNTIMES

from digitcnn import DigitCNN, Ensemble
from digitcnn.ensemble.combining import RULES


def export_or_skip(ensemble, path, format, **arguments):
    for module in NEEDED[format]:
        pytest.importorskip(module, reason=f"{module} is not installed")
    return ensemble.export(path, format, **arguments)


def trained(data, seed, **settings):
    model = DigitCNN(**({"precision": "float32", "random_seed": seed, "learning_rate": 1e-3} | settings))
    model.train(data, steps=8, verbose=False)
    return model


@pytest.fixture(scope="module")
def members(digits):
    """Three architectures, two with other standardizations, so that votes differ."""
    data = digits.train_images, digits.train_labels
    made = [
        trained(data, 1, architecture="softmax", learning_rate=1e-2),
        trained(data, 2, architecture="strided"),
        trained(data, 3, architecture="cnn", fc_3_output_units=16),
    ]
    yield made
    for one in made:
        one.close()


def check(ensemble, path, format, images):
    """Probabilities within 1e-5 and equal labels, as of a single model; in batches of several sizes."""
    run = RUNTIMES[format](path)
    for n in (len(images), 1, 7):
        probabilities, labels = run(images[:n])
        assert probabilities.dtype == np.float32 and probabilities.shape == (n, 10)
        expected = ensemble.predict(images[:n], return_proba=True)
        np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
        assert labels.dtype == np.int32 and np.array_equal(labels, ensemble.predict(images[:n]))


# TFLite's files are made from a SavedModel.
@pytest.mark.parametrize(
    ("rule", "format"), [("mean", "savedmodel"), *((rule, format) for rule in RULES for format in ("tflite", "onnx"))]
)
def test_exported_ensemble_answers_as_predict_does(members, digits, rule, format):
    ensemble = Ensemble(members, rule)
    assert export_or_skip(ensemble, "one model", format) == "one model"
    check(ensemble, "one model", format, digits.test_images.reshape(-1, 28, 28))


def test_exported_ensemble_of_floats_takes_floats(few):
    floats = few[0].astype(np.float32) / 255 - 0.1
    with Ensemble([trained((floats, few[1]), seed, architecture="softmax") for seed in (1, 2)]) as ensemble:
        ensemble.export("exported")
        import tensorflow as tf

        signatures = tf.saved_model.load("exported").signatures
        assert set(signatures) == {"serving_default", "scaled"}
        ((name, spec),) = signatures["serving_default"].structured_input_signature[1].items()
        assert spec.dtype == tf.float32
        found = signatures["serving_default"](**{name: tf.constant(floats[:9])})["probabilities"].numpy()
        np.testing.assert_allclose(found, ensemble.predict(floats[:9], return_proba=True), atol=1e-5)


def test_int8_needs_images_and_agrees_mostly(members, digits):
    ensemble = Ensemble(members)
    with pytest.raises(ValueError, match="representative: expected a few hundred training images"):
        ensemble.export("x.tflite", "tflite-int8")
    with pytest.raises(ValueError, match="representative: expected shape"):
        ensemble.export("x.tflite", "tflite-int8", representative=np.zeros((3, 7), np.uint8))
    export_or_skip(ensemble, "x.tflite", "tflite-int8", representative=digits.train_images[:100])
    images = digits.test_images.reshape(-1, 28, 28)
    _, labels = RUNTIMES["tflite-int8"]("x.tflite")(images)
    assert np.mean(labels == ensemble.predict(images)) > 0.95


def test_members_of_an_own_graph_are_exported(few, digits):
    class Own(DigitCNN):
        """Its graph is frozen, not built again."""

        def build(self):
            super().build()

    data = digits.train_images, digits.train_labels
    own = Own(architecture="strided", precision="float32", random_seed=2)
    own.train(data, steps=5, verbose=False)
    with Ensemble([own, trained(data, 1, architecture="softmax")]) as ensemble:
        ensemble.export("exported")
        check(ensemble, "exported", "savedmodel", digits.test_images.reshape(-1, 28, 28))
        with pytest.raises(FileExistsError):
            ensemble.export("exported")
