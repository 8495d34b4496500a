"""DigitCNN: the tutorial's program, its fixed faults, custom graphs and wrong arguments."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import digitcnn
from digitcnn import DigitCNN, UntrainedModelError, batch_generator, load_mnist
from digitcnn.graph.inspection import operations_before

v1 = tf.compat.v1


def weights(model):
    return model.sess.run(model.g.get_collection("trainable_variables"))


def same(a, b):
    return all((x == y).all() for x, y in zip(a, b, strict=True))


@pytest.fixture
def cnn():
    """A model in float32, so that NumPy gives the same numbers."""
    with DigitCNN(random_seed=27, fc_3_output_units=64, precision="float32") as model:
        yield model


def test_tutorial_program_runs_unchanged(tmp_path, capsys):
    """The code of T1, on the bundled digits."""
    from pathlib import Path

    package = Path(digitcnn.__file__).parent
    path = next(p for p in (package / "bundled", package.parent / "data" / "bundled") if p.exists())

    X_train, y_train = load_mnist(path, dataset_type="train")
    X_test, y_test = load_mnist(path, dataset_type="t10k")
    mean_vals, std_val = np.mean(X_train, axis=0), np.std(X_train)
    X_centered, X_test_centered = (X_train - mean_vals) / std_val, (X_test - mean_vals) / std_val
    X, y = X_centered[:1200], y_train[:1200]
    Xv, yv = X_centered[1200:], y_train[1200:]

    cnn = DigitCNN(epochs=6, random_seed=27)
    cnn.export_logs()
    cnn.train(training_set=(X, y), validation_set=(Xv, yv), initialize=True)
    cnn.save(epoch=30)
    assert list(cnn.history["Epoch"]) == [1, 2, 3, 4, 5, 6]
    assert cnn.history["Loss"].is_monotonic_decreasing and cnn.history["Accuracy"].iloc[-1] > 0.9
    assert isinstance(cnn.history, pd.DataFrame)
    labels = cnn.predict(X_test_centered)
    probabilities = cnn.predict(X_test_centered, return_proba=True)
    assert labels.shape == (360,) and probabilities.shape == (360, 10)
    np.testing.assert_array_equal(probabilities.argmax(axis=1), labels)
    assert (labels == y_test).mean() > 0.8

    other = DigitCNN()
    other.load(epoch=30, path="./digitCNN-model/")
    np.testing.assert_array_equal(other.predict(X_test_centered, return_proba=True), probabilities)
    cnn.train(training_set=(X_centered, y_train), initialize=True)
    assert len(cnn.history) == 6
    assert (tmp_path / "digitCNN-model" / "model.ckpt-30.index").exists()
    assert len(list((tmp_path / "logs").glob("events*"))) == 1
    assert sum(len(b) for _, b in batch_generator(X, y, batch_size=64, shuffle=True, random_seed=1)) == 1200

    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert lines[0].startswith("Epoch 01: Training Avg. Loss:   ") and " , Validation Acc:   0." in lines[0]
    assert float(lines[0].split("Loss:")[1].split(",")[0]) == pytest.approx(cnn.history["Loss"][0], rel=0.2)


def test_attributes_and_defaults_match_the_tutorial():
    with DigitCNN() as cnn:
        assert isinstance(cnn.g, tf.Graph) and isinstance(cnn.sess, v1.Session)
        assert isinstance(cnn.init_op, tf.Operation) and isinstance(cnn.saver, v1.train.Saver)
        assert list(cnn.history.columns) == ["Epoch", "Loss", "Accuracy"] and len(cnn.history) == 0
        assert (cnn.batchsize, cnn.epochs, cnn.learning_rate, cnn.dropout) == (100, 10, 1e-4, 0.5)
        assert (cnn.conv_1_output_channels, cnn.conv_2_output_channels) == (32, 64)
        assert cnn.fc_3_output_units == 1024 and cnn.shuffle is True
        assert 0 <= cnn.random_seed < 2**31
    with DigitCNN(50, 3, 1e-3, 5, 7, 0.25, 11, False, 13) as cnn:  # in the tutorial's order
        assert cnn.settings == {
            "batchsize": 50,
            "epochs": 3,
            "learning_rate": 1e-3,
            "conv_1_output_channels": 5,
            "conv_2_output_channels": 7,
            "dropout": 0.25,
            "fc_3_output_units": 11,
            "shuffle": False,
            "random_seed": 13,
            "architecture": "cnn",
            "precision": "auto",
            "schedule": "constant",
            "label_smoothing": 0.0,
            "average_decay": 0.0,
            "rotation": 0.0,
            "scaling": 0.0,
            "shift": 0.0,
            "shear": 0.0,
            "stretch": 0.0,
            "cutout": 0,
            "image_shape": (28, 28),
            "n_classes": 10,
        }
        shapes = [v.shape.as_list() for v in cnn.g.get_collection("trainable_variables")]
        assert shapes[0] == [5, 5, 1, 5] and shapes[2] == [5, 5, 5, 7] and shapes[4] == [112, 11]


def test_session_fetches_variables_by_name(cnn, few):
    """sess.run('conv_1/_weights:0') returns the weights, not their resource handle."""
    cnn.train(few, steps=1, verbose=False)
    expected = weights(cnn)
    names = [v.name for v in cnn.g.get_collection("trainable_variables")]
    assert names[:2] == ["conv_1/_weights:0", "conv_1/_biases:0"]
    assert same(cnn.sess.run(names), expected)
    assert cnn.sess.run("conv_1/_weights:0").shape == (5, 5, 1, 32)
    fetched = cnn.sess.run({"w": "fc_4/_weights:0", "step": cnn.g.get_tensor_by_name("train/global_step:0")})
    assert fetched["step"] == 1 and (fetched["w"] == expected[-2]).all()


def test_saver_works_outside_the_graph_context(cnn, few):
    cnn.train(few, steps=1, verbose=False)
    before = weights(cnn)
    prefix = cnn.saver.save(cnn.sess, "./model.ckpt", global_step=7)
    cnn.train(few, steps=1, verbose=False, initialize=False)
    assert tf.train.latest_checkpoint(".") == prefix == "./model.ckpt-7"
    cnn.saver.restore(cnn.sess, prefix)
    assert same(before, weights(cnn))


def test_gradients_at_named_tensors(few):
    class Salient(DigitCNN):
        def build(self):
            super().build()
            loss = self.g.get_tensor_by_name("cross_entropy_loss:0")
            names = ("conv_1/activation:0", "conv_2/net_pre-activation:0", "tf_x:0")
            self.maps = tf.gradients(loss, [self.g.get_tensor_by_name(name) for name in names])

    with Salient(random_seed=1, fc_3_output_units=16) as cnn:
        cnn.train(few, steps=1, verbose=False)
        maps = cnn.sess.run(cnn.maps, {"tf_x:0": cnn.standardization(few[0]), "tf_y:0": few[1]})
        assert [m.shape[1:] for m in maps] == [(24, 24, 32), (8, 8, 64), (784,)] and all(m.any() for m in maps)


# ---- faults of the tutorial, fixed -------------------------------------------------------------


@pytest.mark.parametrize("dropout", [0.25, 0.9])
def test_dropout_is_the_probability_of_dropping(few, dropout):
    with DigitCNN(dropout=dropout, random_seed=1) as cnn:
        fed = []
        callable_of = cnn.sess._make_callable_from_options

        def spy(options):
            run = callable_of(options)

            def call(*values, **rest):
                fed.append(dict(zip(options.feed, values, strict=True)).get("fc_keep_prob:0"))
                return run(*values, **rest)

            return call

        cnn.sess._make_callable_from_options = spy
        cnn.train(few, steps=1, verbose=False)
        assert pytest.approx(1 - dropout) in fed
        feed = {"tf_x:0": np.ones((1, 784)), "fc_keep_prob:0": 1 - dropout}
        dropped, before = cnn.sess.run(["dropout_layer:0", "fc_3/activation:0"], feed)
        dropped_share = (dropped[before > 0] == 0).mean()
        assert dropped_share == pytest.approx(dropout, abs=0.1)
        # By default fc_keep_prob is 1, and nothing is dropped.
        dropped, before = cnn.sess.run(["dropout_layer:0", "fc_3/activation:0"], {"tf_x:0": np.ones((1, 784))})
        np.testing.assert_array_equal(dropped, before)


def test_batchsize_reaches_the_batches(few):
    with DigitCNN(batchsize=32, epochs=2, random_seed=1, fc_3_output_units=8) as cnn:
        cnn.train(few, verbose=False)
        assert cnn.global_step == 2 * 5  # 130 images: four batches of 32 and one of 2


def test_random_seed_reaches_shuffle_dropout_and_weights(few):
    def traces(seed, **settings):
        """Initial weights, images in training order, dropout mask at step 1, final weights."""
        with DigitCNN(random_seed=seed, batchsize=40, fc_3_output_units=500, **settings) as cnn:
            seen, train_step = [], cnn._engine.train_step
            cnn._engine.train_step = lambda X, y, *rest, **more: (
                seen.append((X[:, 300:500], y)),
                train_step(X, y, *rest, **more),
            )[1]
            cnn.sess.run(cnn.init_op)
            first = weights(cnn)[0]
            cnn.train(few, epochs=2, verbose=False)
            final = weights(cnn)[-2]
            # The same weights for every seed make the same units positive.
            for v in cnn.g.get_collection("trainable_variables"):
                cnn.sess.run(v.initializer, {v.initializer.inputs[1]: np.full(v.shape, 0.1)})
            feed = {"tf_x:0": np.ones((1, 784)), "fc_keep_prob:0": 0.5}
            mask = cnn.sess.run("dropout_layer:0", feed) == 0
            return first, np.concatenate([X for X, _ in seen]), mask, final

    first, again, other = traces(5), traces(5), traces(6)
    for a, b, c in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()
    assert (first[2] != other[2]).mean() == pytest.approx(0.5, abs=0.1)
    in_order = traces(5, shuffle=False)[1]
    np.testing.assert_array_equal(in_order, np.tile(few[0][:, 300:500], (2, 1)))
    assert not np.array_equal(first[1][:130], first[1][130:])  # a new order in each epoch


def test_epoch_loss_is_the_mean_over_samples(cnn, few):
    """With a negligible learning rate, the loss of an epoch is that of the whole set."""
    with DigitCNN(learning_rate=1e-30, dropout=0.0, batchsize=50, epochs=1, random_seed=2) as model:
        model.train(few, verbose=False)  # batches of 50, 50 and 30
        assert model.history["Loss"][0] == pytest.approx(model.evaluate(*few)["loss"], rel=1e-5)


def test_export_logs_keeps_the_weights(cnn, few):
    cnn.train(few, steps=3, verbose=False)
    before = weights(cnn)
    cnn.export_logs("somewhere")
    assert same(before, weights(cnn)) and cnn.global_step == 3


def test_initialize_clears_the_history(cnn, few):
    cnn.train(few, epochs=3, verbose=False)
    cnn.train(few, epochs=2, initialize=True, verbose=False)
    assert list(cnn.history["Epoch"]) == [1, 2]


def test_graph_gets_at_most_one_batch(cnn, few, digits, monkeypatch):
    cnn.train(few, steps=1, verbose=False)
    sizes = []
    scale = digitcnn.engine.engine.to_float

    def spy(X, standardization):
        sizes.append(len(X))
        return scale(X, standardization)

    monkeypatch.setattr("digitcnn.engine.engine.to_float", spy)
    X = digits.train_images
    whole = cnn.predict(X, return_proba=True, batch_size=500)
    cnn.evaluate(X, digits.train_labels)
    assert max(sizes) == 1_000 and sizes[:3] == [500, 500, 437]
    np.testing.assert_allclose(cnn.predict(X, return_proba=True, batch_size=7), whole, atol=1e-6)


def test_raw_pixels_are_standardized_by_the_training_set(digits):
    """An image is predicted the same alone and in a batch; the numbers match the tutorial's formula."""
    X, y = digits.train_images, digits.train_labels
    cnn = DigitCNN(random_seed=27, fc_3_output_units=64, precision="float32")
    cnn.train((X, y), epochs=2, verbose=False)
    raw = cnn.predict(digits.test_images, return_proba=True)
    np.testing.assert_allclose(cnn.predict(digits.test_images[3:4], return_proba=True)[0], raw[3], atol=1e-5)
    scaled = (digits.test_images - X.mean(axis=0)) / X.std()
    np.testing.assert_allclose(cnn.sess.run("probabilities:0", {"tf_x:0": scaled}), raw, atol=1e-5)


def test_global_step_is_in_the_graph_and_saved(cnn, few):
    cnn.train(few, steps=5, verbose=False)
    assert tf.compat.v1.train.get_global_step(cnn.g).name == "train/global_step:0" and cnn.global_step == 5
    with DigitCNN.restore(cnn.save() and "./digitCNN-model/") as other:
        assert other.global_step == 5
    assert "global_step" in tf.train.load_checkpoint("./digitCNN-model/").get_variable_to_shape_map()


def test_data_are_neither_copied_whole_nor_changed(rng):
    """Training, validation and prediction take less than a quarter of the data's memory."""
    X = rng.normal(size=(20_000, 784))  # float64: 125 MB
    y = rng.integers(0, 10, 20_000)
    X.setflags(write=False)
    before = X[::100].copy()
    with DigitCNN(random_seed=1, architecture="softmax", batchsize=1000) as model:
        tracemalloc.start()
        model.train((X, y), (X, y), epochs=1, verbose=False)
        model.predict(X)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < X.nbytes / 4
    np.testing.assert_array_equal(X[::100], before)


# ---- custom graphs -----------------------------------------------------------------------------


class TutorialStyle(DigitCNN):
    """A custom graph as the tutorial builds its own, without global_step."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, shape=[None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, shape=[None], name="tf_y")
        keep = v1.placeholder(tf.float32, name="fc_keep_prob")
        images = tf.reshape(tf_x, shape=[-1, 28, 28, 1], name="input_x_2dimages")
        onehot = tf.one_hot(indices=tf_y, depth=10, dtype=tf.float32, name="input_y_onehot")
        h1 = self.conv_layer(images, name="conv_1", kernel_size=(3, 3), n_output_channels=5, strides=(1, 2, 2, 1))
        h2 = self.fc_layer(h1, name="fc_2", n_output_units=33, activation_fn=tf.nn.relu)
        h2 = tf.nn.dropout(h2, rate=1 - keep, name="dropout_layer")
        h3 = self.fc_layer(h2, name="fc_3", n_output_units=10, activation_fn=None)
        tf.nn.softmax(h3, name="probabilities")
        labels = tf.cast(tf.argmax(h3, axis=1), tf.int32, name="labels")
        loss = tf.reduce_mean(
            tf.nn.softmax_cross_entropy_with_logits(logits=h3, labels=onehot), name="cross_entropy_loss"
        )
        v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")
        correct = tf.equal(labels, tf_y, name="correct_preds")
        tf.reduce_mean(tf.cast(correct, tf.float32), name="accuracy")


def test_custom_graph_trains_saves_and_restores(digits):
    with TutorialStyle(random_seed=1, learning_rate=1e-3, epochs=5) as own:
        assert own.n_parameters == 9 * 5 + 5 + 14 * 14 * 5 * 33 + 33 + 330 + 10
        own.train(digits.split(200)[0], digits.split(200)[1], verbose=False)
        assert own.history["Accuracy"].iloc[-1] > 0.85
        assert own.global_step == 5 * 13
        expected = own.predict(digits.test_images, return_proba=True)
        own.save(epoch=5, path="own")
    with TutorialStyle.restore("own") as again:
        np.testing.assert_array_equal(again.predict(digits.test_images, return_proba=True), expected)
    with pytest.raises(digitcnn.CheckpointError, match="class DigitCNN, found one of TutorialStyle"):
        DigitCNN.restore("own")


class LeastGraph(DigitCNN):
    """The smallest graph that DigitCNN accepts: a linear network."""

    def build(self):
        tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
        logits = self.fc_layer(tf_x, "fc_1", 10)
        self.add_labels(tf.nn.softmax(logits, name="probabilities"))
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")

    def add_labels(self, probabilities):
        """Nothing: the package adds `labels`."""


def test_least_custom_graph_gets_predictions(digits):
    """The package adds `labels`, `correct_preds` and `accuracy` to a graph that lacks them."""
    with LeastGraph(random_seed=1) as model:
        added = {name: model.g.get_tensor_by_name(f"{name}:0") for name in ("labels", "correct_preds", "accuracy")}
        assert {name: (tensor.dtype, tensor.shape.as_list()) for name, tensor in added.items()} == {
            "labels": (tf.int32, [None]),
            "correct_preds": (tf.bool, [None]),
            "accuracy": (tf.float32, []),
        }
        model.sess.run(model.init_op)
        X, y = digits.test_images[:13] / 255, digits.test_labels[:13]
        fetched = model.sess.run({**added, "probabilities": "probabilities:0"}, {"tf_x:0": X, "tf_y:0": y})
    np.testing.assert_array_equal(fetched["labels"], fetched["probabilities"].argmax(axis=1))
    np.testing.assert_array_equal(fetched["correct_preds"], fetched["labels"] == y)
    assert fetched["accuracy"] == pytest.approx(np.mean(fetched["labels"] == y))


def test_least_custom_graph_trains_saves_and_restores(digits):
    training, validation = digits.split(200)
    with LeastGraph(random_seed=1, learning_rate=1e-3, epochs=3) as model:
        model.train(training, validation, verbose=False)
        assert model.global_step == 3 * 13 and model.history["Accuracy"].iloc[-1] > 0.8
        labels = model.predict(digits.test_images)
        probabilities = model.predict(digits.test_images, return_proba=True)
        measured = model.evaluate(digits.test_images, digits.test_labels)
        model.save(path="least")
    np.testing.assert_array_equal(labels, probabilities.argmax(axis=1))
    assert measured["accuracy"] == pytest.approx(np.mean(labels == digits.test_labels))
    with LeastGraph.restore("least") as restored:
        np.testing.assert_array_equal(restored.predict(digits.test_images, return_proba=True), probabilities)
        assert restored.evaluate(digits.test_images, digits.test_labels) == measured


def test_custom_graph_keeps_its_own_labels(few):
    """`correct_preds` follows the graph's own `labels`."""

    class ReversedLabels(LeastGraph):
        def add_labels(self, probabilities):
            tf.argmin(probabilities, axis=1, output_type=tf.int32, name="labels")

    with ReversedLabels(random_seed=1, learning_rate=1e-3) as model:
        assert model.g.get_operation_by_name("labels").type == "ArgMin"
        model.train(few, steps=5, verbose=False)
        labels = model.predict(few[0])
        np.testing.assert_array_equal(labels, model.predict(few[0], return_proba=True).argmin(axis=1))
        assert model.evaluate(*few)["accuracy"] == pytest.approx(np.mean(labels == few[1]))


def test_custom_graph_extends_an_architecture(few):
    class WithMore(DigitCNN):
        def build(self):
            super().build()
            tf.identity(self.g.get_tensor_by_name("myOutput:0"), name="more")

    with WithMore(architecture="softmax") as own:
        own.train(few, steps=1, verbose=False)
        assert own.sess.run("more:0", {"myInput:0": np.zeros((2, 784))}).shape == (2, 10)
        assert "own graph" in repr(own)


@pytest.mark.parametrize("architecture", ["batchnorm", "slim"])  # the tutorial's order of layers, and ours
def test_step_is_counted_after_the_moving_averages(architecture):
    """Their momentum depends on the step, and operations of a training step run in parallel."""
    with DigitCNN(architecture=architecture) as cnn:
        updates = {update.op for update in cnn.g.get_collection("update_ops")}
        assert updates and updates <= set(cnn.g.get_operation_by_name("train/count_step").control_inputs)
        assert cnn._engine._calls._training_options.inter_op_thread_pool == 0


def test_moving_averages_of_one_seed_are_equal(few):
    averages = []
    for _ in range(2):
        with DigitCNN(architecture="slim", random_seed=1, batchsize=13) as cnn:
            cnn.train(few, steps=12, verbose=False)
            averages.append(cnn.sess.run(cnn.g.get_collection("model_variables")))
    for first, second in zip(*averages, strict=True):
        np.testing.assert_array_equal(first, second)


def statistics(model):
    """The operations of a model's collection UPDATE_OPS."""
    return [update.op for update in model.g.get_collection("update_ops")]


def test_a_step_is_counted_after_it_was_read(few):
    """Masks and momentum depend on it; nothing in these graphs says which of the two comes first."""

    class Early(DigitCNN):
        def build(self):
            super().build()
            net = tf.reshape(self.g.get_tensor_by_name("conv_1/activation:0"), [-1, 32])
            self.batch_norm_layer(net, "bn", v1.placeholder_with_default(False, [], name="is_training"))

    class Ordered(DigitCNN):
        def build(self):
            super().build()
            with tf.control_dependencies([self.g.get_operation_by_name("train/count_step")]):
                late = v1.train.get_global_step().read_value()
            self.g.add_to_collection("update_ops", tf.identity(late, name="late"))

    class Counting(DigitCNN):
        def build(self):
            tf_x = v1.placeholder(tf.float32, [None, 784], name="tf_x")
            tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
            keep = v1.placeholder(tf.float32, name="fc_keep_prob")
            net = self.conv_layer(tf.reshape(tf_x, [-1, 28, 28, 1]), "conv_1", (3, 3), 2, strides=(1, 4, 4, 1))
            logits = self.fc_layer(self.dropout_layer(net, "dropout_layer", keep), "fc_2", 10)
            tf.nn.softmax(logits, name="probabilities")
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
            loss = tf.reduce_mean(losses, name="cross_entropy_loss")
            train = v1.train.AdamOptimizer(self.learning_rate).minimize(loss)
            tf.group(train, v1.assign_add(v1.train.get_global_step(), 1), name="train_op")

    for kind, is_late in ((Early, False), (Counting, False), (Ordered, True)):
        with kind(random_seed=1) as model:
            users = v1.train.get_global_step(model.g).handle.consumers()
            (increment,) = [one for one in users if one.type == "AssignAddVariableOp"]
            step = operations_before([model.g.get_operation_by_name("train_op"), *statistics(model)])
            reads = [one for one in users if one in step and one is not increment]
            late = [one for one in reads if increment in operations_before([one])]
            assert bool(late) == is_late and reads != late
            assert set(reads) - set(late) <= operations_before([increment])
            model.train(few, steps=2, verbose=False)
            assert model.global_step == 2


def test_custom_graph_with_batch_norm_updates_its_averages(few):
    """The tutorial's train_op does not run the updates of moving averages."""

    class WithBatchNorm(TutorialStyle):
        def fc_layer(self, input_tensor, name, n_output_units, activation_fn=None):
            net = super().fc_layer(input_tensor, name, n_output_units, activation_fn)
            if name != "fc_2":
                return net
            is_training = v1.placeholder_with_default(False, [], name="is_training")
            return self.batch_norm_layer(net, "bn", is_training)

    with WithBatchNorm() as own:
        own.train(few, steps=2, verbose=False)
        mean = own.sess.run(own.g.get_collection("model_variables")[0])
        own.evaluate(*few)
        assert (mean != 0).any() and own.global_step == 2
        np.testing.assert_array_equal(own.sess.run(own.g.get_collection("model_variables")[0]), mean)


def test_custom_graph_without_required_names_raises():
    class Nameless(DigitCNN):
        def build(self):
            v1.placeholder(tf.float32, [None, 784], name="tf_x")

    with pytest.raises(ValueError, match=r"build\(\): expected operations named tf_y, probabilities"):
        Nameless()


# ---- several models in one process -------------------------------------------------------------


def test_two_models_in_turns_beside_eager_tensorflow(few):
    """Each model ends as it does alone, and eager TensorFlow works in between."""

    def alone(architecture):
        with DigitCNN(architecture=architecture, random_seed=4, batchsize=30) as model:
            for turn in range(3):
                model.train(few, steps=2, initialize=turn == 0, verbose=False)
            return weights(model)

    def eager_works():
        x = tf.Variable([1.0, 2.0])
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(x * x)
        return tape.gradient(loss, x).numpy().tolist() == [2.0, 4.0] and tf.executing_eagerly()

    assert eager_works()
    expected = alone("cnn"), alone("slim")
    with (
        DigitCNN(architecture="cnn", random_seed=4, batchsize=30) as a,
        DigitCNN(architecture="slim", random_seed=4, batchsize=30) as b,
    ):
        for turn in range(3):
            a.train(few, steps=2, initialize=turn == 0, verbose=False)
            assert eager_works()
            b.train(few, steps=2, initialize=turn == 0, verbose=False)
        assert same(weights(a), expected[0]) and same(weights(b), expected[1])
    assert eager_works()


def test_graph_does_not_grow(cnn, few):
    cnn.train(few, steps=1, verbose=False)
    n = len(cnn.g.get_operations())
    for _ in range(2):
        cnn.predict(few[0])
        cnn.evaluate(*few)
        cnn.train(few, steps=1, initialize=False, verbose=False)
        cnn.save()
        cnn.load()
        cnn.export_logs()
    assert len(cnn.g.get_operations()) == n and cnn.g.finalized


# ---- wrong arguments ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batchsize": 0}, ValueError, "batchsize: expected a whole number in 1..2147483647, found 0"),
        ({"batchsize": 10.0}, TypeError, "batchsize: expected a whole number"),
        ({"epochs": True}, TypeError, "epochs: expected a whole number"),
        ({"learning_rate": 0}, ValueError, "learning_rate: expected a number above 0 that float32 can hold, found 0"),
        ({"learning_rate": float("nan")}, ValueError, "learning_rate"),
        (
            {"learning_rate": "1e-3"},
            TypeError,
            "learning_rate: expected a number above 0.*found '1e-3'",
        ),
        ({"dropout": 1.0}, ValueError, "dropout: expected a probability of dropping"),
        ({"dropout": -0.1}, ValueError, "dropout"),
        ({"shuffle": 1}, TypeError, "shuffle: expected True or False, found 1"),
        ({"random_seed": -1}, ValueError, "random_seed: expected a whole number in 0..2147483647"),
        ({"fc_3_output_units": 0}, ValueError, "fc_3_output_units"),
        ({"architecture": "resnet"}, ValueError, "architecture: expected one of cnn, softmax.*found 'resnet'"),
    ],
)
def test_bad_settings_raise(arguments, error, message):
    with pytest.raises(error, match=message):
        DigitCNN(**arguments)


@pytest.mark.parametrize(
    ("misspelt", "meant"), [("batch_size", "batchsize"), ("seed", "random_seed"), ("epoch", "epochs")]
)
def test_unknown_setting_raises_and_suggests_a_name(misspelt, meant):
    message = f"^DigitCNN: unknown setting '{misspelt}'; did you mean '{meant}'\\?$"
    with pytest.raises(TypeError, match=message):
        DigitCNN(**{misspelt: 1})
    with pytest.raises(TypeError, match=message):
        DigitCNN.from_recipe("fast", **{misspelt: 1})


def test_unknown_setting_without_a_similar_name_raises():
    with pytest.raises(TypeError, match="unknown setting 'momentum'; expected one of batchsize, epochs"):
        DigitCNN(momentum=0.9)


def test_misspelt_names_raise_and_suggest_a_name():
    for call, message in (
        (lambda: DigitCNN(architecture="compct"), "^architecture: .* found 'compct'; did you mean 'compact'\\?$"),
        (lambda: DigitCNN(schedule="one-cycle"), "^schedule: .* found 'one-cycle'; did you mean 'one_cycle'\\?$"),
        (lambda: DigitCNN.from_recipe("acurate"), "^recipe: .* found 'acurate'; did you mean 'accurate'\\?$"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_numpy_numbers_are_accepted_as_settings():
    with DigitCNN(batchsize=np.int64(7), learning_rate=np.float32(0.5), shuffle=np.True_, fc_3_output_units=9) as cnn:
        assert type(cnn.batchsize) is int and type(cnn.learning_rate) is float and cnn.shuffle is True


@pytest.mark.parametrize("name", ["learning_rate", "random_seed", "fc_3_output_units", "architecture"])
def test_set_fixed_setting_raises(cnn, name):
    with pytest.raises(AttributeError, match=f"{name} is built into the graph"):
        setattr(cnn, name, 1)


def test_set_changeable_settings(cnn, few):
    cnn.batchsize, cnn.epochs, cnn.dropout, cnn.shuffle = np.int64(65), 3, 0.1, False
    cnn.train(few, verbose=False)
    assert cnn.global_step == 6
    cnn.save(path="m")
    with DigitCNN.restore("m") as again:
        assert again.settings == cnn.settings and again.batchsize == 65
    for name, value in (("batchsize", 0), ("dropout", 1), ("epochs", 0.5)):
        with pytest.raises((ValueError, TypeError), match=f"{name}: expected"):
            setattr(cnn, name, value)
    assert (cnn.batchsize, cnn.dropout, cnn.epochs) == (65, 0.1, 3)


@pytest.mark.parametrize("name", ["cnn", "softmax", "strided", "slim"])  # plain, one-hot labels, scopes, averages
def test_untrained_model_raises(name, few):
    with DigitCNN(architecture=name) as model:
        for call in (
            lambda: model.predict(few[0]),
            lambda: model.evaluate(*few),
            lambda: model.save(),
            lambda: model.global_step,
            lambda: model.train(few, initialize=False),
            lambda: model.train((few[0] / 255 - 0.1, few[1]), initialize=False),
        ):
            with pytest.raises(UntrainedModelError, match="call train"):
                call()


def test_closed_model_raises(few):
    model = DigitCNN(fc_3_output_units=8)
    model.train(few, steps=1, verbose=False)
    model.close()
    model.close()
    for call in (lambda: model.predict(few[0]), lambda: model.train(few), lambda: model.save()):
        with pytest.raises(UntrainedModelError, match="this model is closed"):
            call()


def test_train_bad_input_raises_and_changes_nothing(cnn, few):
    X, y = few
    cnn.train(few, few, epochs=1, verbose=False)
    before, history = weights(cnn), cnn.history.copy()
    floats = X / 255 - 0.5
    for arguments, error, message in (
        ({"training_set": (X, y[:-1])}, ValueError, r"training_set\[1\], the labels"),
        ({"training_set": (X[:, :-1], y)}, ValueError, r"training_set\[0\], the images"),
        ({"training_set": X}, TypeError, "training_set: expected a pair"),
        ({"training_set": few, "validation_set": (X, y + 1)}, ValueError, "validation_set"),
        ({"training_set": (floats, y), "validation_set": few}, ValueError, "validation_set: expected floats scaled"),
        ({"training_set": few, "validation_set": (floats, y)}, ValueError, "validation_set: expected raw pixels"),
        ({"training_set": (floats, y), "initialize": False}, ValueError, "training_set: expected raw pixels"),
        ({"training_set": few, "epochs": 0}, ValueError, "epochs: expected a whole number"),
        ({"training_set": few, "steps": 0}, ValueError, "steps"),
        ({"training_set": few, "steps": 1, "epochs": 1}, ValueError, "epochs, steps: expected one"),
        ({"training_set": few, "verbose": "loud"}, ValueError, "verbose: expected"),
    ):
        with pytest.raises(error, match=message):
            cnn.train(**arguments)
    assert same(before, weights(cnn)) and cnn.history.equals(history)


def test_raw_pixels_for_a_model_trained_on_floats_raise(cnn, few):
    cnn.train((few[0] / 255 - 0.1, few[1]), steps=1, verbose=False)
    for call in (lambda: cnn.predict(few[0]), lambda: cnn.evaluate(*few)):
        with pytest.raises(ValueError, match="expected floats scaled as the training set was, found raw pixels"):
            call()


def test_floats_for_a_model_trained_on_raw_pixels_raise(cnn, few):
    cnn.train(few, steps=1, verbose=False)
    with pytest.raises(ValueError, match=r"X: expected raw pixels .* found floats.*; give \(X \* 255\)"):
        cnn.predict(few[0] / 255)


def test_update_history_checks_rows_and_keeps_them(cnn):
    cnn.update_history([1, 0.5, 0.9])
    cnn.update_history({"Epoch": 2, "Accuracy": 0.95, "Loss": 0.25})
    for bad in ({"epoch": 1}, [1, 2], {"Epoch": 1, "Loss": "x", "Accuracy": 0}):
        with pytest.raises((ValueError, TypeError)):
            cnn.update_history(bad)
    cnn.train((np.zeros((3, 784)) - 1, [1, 2, 3]), steps=1, initialize=True, verbose=False)
    cnn.update_history([7, 0, 0])
    cnn.train((np.zeros((3, 784)) - 1, [1, 2, 3]), steps=1, initialize=False, verbose=False)
    assert cnn.history["Epoch"].tolist() == [1, 7, 2]  # added rows stay


def test_update_history_by_name_and_by_position(cnn):
    cnn.update_history([1, 0.5, 0.9])
    cnn.update_history({"Epoch": 2, "Accuracy": 0.95, "Loss": 0.25})
    assert cnn.history.to_dict("list") == {"Epoch": [1, 2], "Loss": [0.5, 0.25], "Accuracy": [0.9, 0.95]}


def test_overridden_update_history_is_called_for_each_epoch(few):
    class Hook(DigitCNN):
        rows = 0

        def update_history(self, entry):
            self.rows += 1
            super().update_history(entry)

    with Hook(architecture="softmax", epochs=2) as cnn:
        cnn.train(few, verbose=False)
        assert cnn.rows == len(cnn.history) == 2


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (lambda cnn, net: cnn.dropout_layer(net, "drop"), "drop: expected keep_prob"),
        (lambda cnn, net: cnn.dropout_layer(net, "drop", rate=0.3), "drop: expected keep_prob in a graph without"),
        (lambda cnn, net: cnn.batch_norm_layer(net, "bn"), "bn: expected is_training, a bool scalar tensor"),
    ],
)
def test_layer_without_its_switch_raises(add, message):
    class Custom(DigitCNN):
        def build(self):
            add(self, v1.placeholder(tf.float32, [None, 784], name="tf_x"))

    with pytest.raises(TypeError, match=message):
        Custom()


def test_custom_graph_is_free_of_the_limits_of_architectures(tmp_path, rng):
    """Images too small for the default architecture, and widths that a fixed one does not take."""

    class Linear(DigitCNN):
        def build(self):
            tf_x = v1.placeholder(tf.float32, [None, 64], name="tf_x")
            tf_y = v1.placeholder(tf.int32, [None], name="tf_y")
            logits = self.fc_layer(tf_x, "fc_1", 10)
            tf.nn.softmax(logits, name="probabilities")
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
            loss = tf.reduce_mean(losses, name="cross_entropy_loss")
            v1.train.AdamOptimizer(self.learning_rate).minimize(loss, name="train_op")

    data = rng.integers(0, 256, (30, 64)).astype(np.uint8), np.arange(30) % 10
    with Linear(image_shape=(8, 8), architecture="batchnorm", fc_3_output_units=7) as small:
        small.train(data, steps=1, verbose=False)
        small.save(1, tmp_path)
    with Linear.restore(tmp_path) as again:
        assert again.fc_3_output_units == 7 and again.predict(data[0]).shape == (30,)
    with pytest.raises(ValueError, match="image_shape: expected a height and width of at least 16"):
        DigitCNN(image_shape=(8, 8))


@pytest.mark.parametrize("name", ["conv_layer", "fc_layer", "max_pool_layer", "dropout_layer", "batch_norm_layer"])
def test_wrappers_have_their_own_names(name):
    assert getattr(DigitCNN, name).__qualname__ == f"DigitCNN.{name}"
