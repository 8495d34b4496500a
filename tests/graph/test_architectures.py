"""The graphs of the five tutorials and our own: parameter counts, names, shapes."""

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import ARCHITECTURES, DigitCNN
from digitcnn.cli.parser import NAMES

COUNTS = {"cnn": 1_111_946, "softmax": 7_850, "same": 3_274_634, "strided": 325_418, "batchnorm": 373_538}
OURS = {"compact": 185_258, "slim": 159_194, "deep": 374_826, "tapered": 370_010}
NOT_TRAINED = {
    "batchnorm": 1_040,
    "compact": 448,
    "slim": 416,
    "deep": 768,
    "tapered": 736,
}  # batch normalization's averages
COUNTS |= OURS


@pytest.fixture(scope="module")
def models():
    made = {name: DigitCNN(architecture=name, random_seed=1) for name in ARCHITECTURES}
    yield made
    for model in made.values():
        model.close()


def shape(model, name):
    return model.g.get_tensor_by_name(name).shape.as_list()


def dtype(model, name):
    return model.g.get_tensor_by_name(name).dtype


@pytest.mark.parametrize("name", COUNTS)
def test_parameter_counts(models, name, capsys):
    assert models[name].n_parameters == COUNTS[name]
    assert models[name].summary() is None
    text = capsys.readouterr().out
    total, trainable = (int(line.split()[-1].replace(",", "")) for line in text.splitlines()[-2:])
    assert total == COUNTS[name]
    assert trainable == total - NOT_TRAINED.get(name, 0)
    rows = [int(line.split()[-1].replace(",", "")) for line in text.splitlines()[2:-2]]
    assert sum(rows) == total


def test_compact_has_the_layers_of_slim(models):
    """So that tests of dear things take one of them; they differ in the channels of the first convolution."""
    compact, slim = ([(op.name, op.type) for op in models[name].g.get_operations()] for name in ("compact", "slim"))
    assert compact == slim


def test_summary_shows_shapes_of_every_layer(models, capsys):
    models["cnn"].summary()
    rows = capsys.readouterr().out.splitlines()[2:-2]
    assert [row.split()[0] for row in rows] == ["conv_1", "pool_1", "conv_2", "pool_2", "fc_3", "dropout_layer", "fc_4"]
    assert "[batch, 24, 24, 32]" in rows[0] and rows[0].endswith(" 832")
    assert "[batch, 4, 4, 64]" in rows[3] and rows[4].endswith("1,049,600")


def test_t1_tensor_names(models):
    cnn = models["cnn"]
    for name, kind, dimensions in (
        ("tf_x:0", tf.float32, [None, 784]),
        ("tf_y:0", tf.int32, [None]),
        ("fc_keep_prob:0", tf.float32, []),
        ("input_x_2dimages:0", tf.float32, [None, 28, 28, 1]),
        ("input_y_onehot:0", tf.float32, [None, 10]),
        ("conv_1/net_pre-activation:0", tf.float32, [None, 24, 24, 32]),
        ("conv_1/activation:0", tf.float32, [None, 24, 24, 32]),
        ("conv_2/net_pre-activation:0", tf.float32, [None, 8, 8, 64]),
        ("conv_2/activation:0", tf.float32, [None, 8, 8, 64]),
        ("fc_3/net_pre-activation:0", tf.float32, [None, 1024]),
        ("fc_3/activation:0", tf.float32, [None, 1024]),
        ("dropout_layer:0", tf.float32, [None, 1024]),
        ("fc_4/net_pre-activation:0", tf.float32, [None, 10]),
        ("probabilities:0", tf.float32, [None, 10]),
        ("labels:0", tf.int32, [None]),
        ("cross_entropy_loss:0", tf.float32, []),
        ("correct_preds:0", tf.bool, [None]),
        ("accuracy:0", tf.float32, []),
    ):
        assert dtype(cnn, name) == kind and shape(cnn, name) == dimensions, name
    assert cnn.g.get_operation_by_name("train_op").type == "NoOp"
    names = [v.op.name for v in cnn.g.get_collection("trainable_variables")]
    assert names == [
        f"{layer}/{kind}" for layer in ("conv_1", "conv_2", "fc_3", "fc_4") for kind in ("_weights", "_biases")
    ]
    for placeholder in ("tf_x", "tf_y"):
        assert cnn.g.get_operation_by_name(placeholder).type == "Placeholder"


def test_t2_tensor_names(models):
    softmax = models["softmax"]
    for name, dimensions in (
        ("myInput:0", [None, 784]),
        ("Y:0", [None, 10]),
        ("myOutput:0", [None, 10]),
        ("loss:0", []),
        ("accuracy:0", []),
    ):
        assert dtype(softmax, name) == tf.float32 and shape(softmax, name) == dimensions
    assert [v.op.name for v in softmax.g.get_collection("trainable_variables")] == ["W", "b"]


def test_t2_trains_by_tutorial_names(models, digits):
    """Feed pixels in 0..1 and one-hot labels by name, as in the tutorial."""
    softmax = models["softmax"]
    softmax.sess.run(softmax.init_op)
    assert not any(softmax.sess.run(v).any() for v in softmax.g.get_collection("trainable_variables"))
    feed = {"myInput:0": digits.train_images[:500] / 255, "Y:0": np.eye(10)[digits.train_labels[:500]]}
    assert softmax.sess.run("loss:0", feed) == pytest.approx(np.log(10), rel=1e-5)
    for _ in range(200):
        softmax.sess.run("train_op", feed)
    assert softmax.sess.run("accuracy:0", feed) > 0.8
    np.testing.assert_allclose(softmax.sess.run("myOutput:0", feed).sum(axis=1), 1, rtol=1e-5)


def test_t4_scopes_and_shapes(models):
    strided = models["strided"]
    scopes = {op.name.split("/")[0] for op in strided.g.get_operations() if "/" in op.name}
    assert scopes >= {"dnn", "loss", "train", "eval"}
    trained = {v.op.name: v.shape.as_list() for v in strided.g.get_collection("trainable_variables")}
    assert trained["dnn/conv_1/_weights"] == [5, 5, 1, 32] and "dnn/conv_1/_biases" not in trained
    assert shape(strided, "dnn/conv_1/net_pre-activation:0") == [None, 14, 14, 32]
    assert shape(strided, "dnn/conv_2/net_pre-activation:0") == [None, 4, 4, 64]
    assert trained["dnn/fc_3/_weights"] == [256, 1024]
    strided.sess.run(strided.init_op)
    weights = strided.sess.run("dnn/conv_2/_weights/Read/ReadVariableOp:0")
    assert np.abs(weights).max() <= 0.2 and 0.08 < weights.std() < 0.1  # truncated normal, 0.1


def test_t3_and_t5_shapes(models):
    assert shape(models["same"], "conv_2/activation:0") == [None, 14, 14, 64]
    trained = {v.op.name: v.shape.as_list() for v in models["same"].g.get_collection("trainable_variables")}
    assert trained["fc_3/_weights"] == [3136, 1024]
    trained = {v.op.name: v.shape.as_list() for v in models["batchnorm"].g.get_collection("trainable_variables")}
    assert trained["fc_6/_weights"] == [1152, 200] and trained["conv_5/_weights"] == [3, 3, 64, 128]


def test_top_level_of_t1_graph(models):
    """TensorBoard shows it first: boxes, and the names that the tutorial fetches, and nothing else."""
    boxes = {"conv_1", "pool_1", "conv_2", "pool_2", "fc_3", "dropout", "fc_4", "loss", "train", "eval"}
    tucked_away = {"save", "initialization"}
    tutorial = {"tf_x", "tf_y", "fc_keep_prob", "input_x_2dimages", "input_y_onehot", "dropout_layer"}
    tutorial |= {"probabilities", "labels", "cross_entropy_loss", "train_op", "correct_preds", "accuracy"}
    top = {op.name.split("/")[0] for op in models["cnn"].g.get_operations()}
    assert top == boxes | tucked_away | tutorial


@pytest.mark.parametrize("name", OURS)
def test_top_level_of_our_graphs(models, name):
    """Layers, the boxes around them, and T1's names; test_browser.py tests the tutorials' graphs."""
    graph = models[name].g
    layers = {layer.name for layer in models[name]._engine.layers}
    around = {"loss", "train", "eval", "save", "initialization", "is_training"}
    tutorial = {"tf_x", "tf_y", "input_x_2dimages", "input_y_onehot"}
    tutorial |= {"fc_keep_prob", "dropout"} if "dropout_layer" in layers else set()
    tutorial |= {"probabilities", "labels", "cross_entropy_loss", "train_op", "correct_preds", "accuracy"}
    assert {op.name.split("/")[0] for op in graph.get_operations()} == layers | around | tutorial


def test_moving_averages_change_only_in_training(models, few):
    model = models["batchnorm"]

    def averages():
        return [model.sess.run(v) for v in model.g.get_collection("model_variables")]

    model.train(few, steps=1, verbose=False)
    first = averages()
    assert len(first) == 12 and all((a != 0).any() for a in first)
    model.evaluate(*few)
    model.predict(few[0])
    assert all((a == b).all() for a, b in zip(first, averages(), strict=True))
    model.train(few, steps=1, initialize=False, verbose=False)
    assert all((a != b).any() for a, b in zip(first, averages(), strict=True))


@pytest.mark.parametrize("name", ["softmax", "batchnorm"])
def test_sizes_for_fixed_architecture_raise(name):
    with pytest.raises(ValueError, match=f"'{name}' has fixed layer sizes"):
        DigitCNN(architecture=name, fc_3_output_units=99)


def test_command_line_has_all_architectures():
    assert tuple(ARCHITECTURES) == NAMES["architecture"] == tuple(COUNTS)


def test_training_settings_add_only_boxes(few):
    """A schedule, augmentation, label smoothing and moving averages have boxes of their own."""

    def top(**settings):
        with DigitCNN(**settings) as cnn:
            return {op.name.split("/")[0] for op in cnn.g.get_operations()}

    all_of_them = {"schedule": "one_cycle", "rotation": 5, "scaling": 0.1, "shift": 1, "label_smoothing": 0.1}
    all_of_them |= {"average_decay": 0.9}
    assert top(**all_of_them) - top() == {"augmentation", "averages", "is_training"}
