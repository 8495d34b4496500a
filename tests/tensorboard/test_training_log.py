"""What training writes for TensorBoard, read back with TensorBoard's own readers."""

import collections
import io
import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata
from tensorboard.plugins.projector import ProjectorConfig

from digitcnn import DigitCNN
from digitcnn.cli.parser import build_parser
from digitcnn.tensorboard.image_grids import filters_picture, misread_picture, sheet, sprite_picture
from digitcnn.tensorboard.protos import histogram
from digitcnn.tensorboard.summaries import SUMMARIES, check_summaries
from digitcnn.tensorboard.training_log import MAX_ACTIVATIONS, MAX_POINTS

SMALL = {"fc_3_output_units": 8, "conv_1_output_channels": 4, "conv_2_output_channels": 4, "random_seed": 3}


def read(folder):
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "histograms": 0, "scalars": 0})
    events.Reload()
    return events


def values(folder, tag):
    return [event.value for event in read(folder).Scalars(tag)]


@pytest.fixture(scope="module")
def sets(digits):
    """Training and validation: 130 and 60 images."""
    X, y = digits.train_images, digits.train_labels
    return (X[:130], y[:130]), (X[130:190], y[130:190])


@pytest.fixture(scope="module")
def run(sets, tmp_path_factory):
    """The folder of a run with all summaries, and the model."""
    folder = tmp_path_factory.mktemp("run")
    with DigitCNN(batchsize=10, learning_rate=1e-3, **SMALL) as model:
        model.train(*sets, epochs=2, verbose=False, logdir=folder, summaries=SUMMARIES)
        yield folder, model


def test_train_writes_scalars_by_default(sets):
    with DigitCNN(**SMALL) as model:
        model.train(*sets, epochs=2, verbose=False, logdir="run")
        rate = model.learning_rate
    assert sorted(path.name for path in Path("run").iterdir() if path.is_dir()) == ["train", "validation"]
    train, validation = read("run/train"), read("run/validation")
    assert train.Tags()["scalars"] == ["loss", "accuracy", "images_per_second", "learning_rate"]
    assert validation.Tags()["scalars"] == ["loss", "accuracy", "images_per_second"]
    for tags in (train.Tags(), validation.Tags()):
        assert not tags["images"] and not tags["histograms"] and not tags["graph"]
    assert values("run/train", "learning_rate") == pytest.approx([rate] * 2)
    assert all(speed > 0 for speed in values("run/train", "images_per_second"))


def test_training_accuracy_is_accuracy_on_training_set(sets):
    """With a learning rate that changes no weight, and without dropout."""
    with DigitCNN(learning_rate=1e-37, dropout=0, batchsize=50, **SMALL) as model:
        model.train(*sets, epochs=2, verbose=False, logdir="run")
        expected = model.evaluate(*sets[0])["accuracy"]
    assert 0 < expected < 1 and values("run/train", "accuracy") == pytest.approx([expected] * 2)


def test_training_accuracy_after_resume(sets):
    def train(model, logdir, **options):
        options = {"checkpoint_dir": logdir, "checkpoint_every": 1, **options}
        model.train(*sets, epochs=2, verbose=False, logdir=logdir, **options)

    settings = {"batchsize": 20, "learning_rate": 1e-3, **SMALL}
    with DigitCNN(**settings) as model:
        train(model, "whole")
        whole = model.weights_sha256()
    with DigitCNN(**settings) as model:
        take, taken = model._engine.train_step, []

        def step(*batch, **options):
            taken.append(True)
            if len(taken) == 4:
                raise OSError
            return take(*batch, **options)

        model._engine.train_step = step
        with pytest.raises(OSError):
            train(model, "broken")
    with DigitCNN(**settings) as model:
        train(model, "broken", resume=True)
        assert model.weights_sha256() == whole
    assert values("broken/train", "accuracy") == values("whole/train", "accuracy")


def test_training_accuracy_of_partly_counted_epoch_is_missing(sets):
    """As with a model that an older version saved, or whose training started without a logdir."""
    with DigitCNN(batchsize=50, **SMALL) as model:
        model.train(*sets, steps=1, verbose=False)
        prefix = model.save()
    file = Path(f"{prefix}.json")
    record = json.loads(file.read_text())
    assert record["progress"].pop("n_correct") is None
    del record["sha256"]
    file.write_text(json.dumps(record | {"format_version": 2}))
    with DigitCNN.restore() as model:
        model.train(*sets, epochs=2, verbose=False, initialize=False, logdir="run")
    events = read("run/train")
    assert [event.step for event in events.Scalars("loss")] == [3, 6]
    assert [event.step for event in events.Scalars("accuracy")] == [6]


def test_summaries_change_no_bit(sets, run):
    _, model = run
    with DigitCNN(batchsize=10, learning_rate=1e-3, **SMALL) as other:
        other.train(*sets, epochs=2, verbose=False)
        assert other.weights_sha256() == model.weights_sha256()
        assert other.history.equals(model.history) and other.global_step == model.global_step == 26


def test_learning_rate_of_schedule_is_a_curve(sets):
    with DigitCNN(batchsize=10, schedule="one_cycle", learning_rate=0.01, **SMALL) as model:
        model.train(sets[0], epochs=2, verbose=False, logdir="run")
    rates = values("run/train", "learning_rate")
    assert len(rates) == 26 and max(rates) > 0.009 and rates[0] == pytest.approx(1e-4)


def test_hyperparameters_in_folder_above_runs(run):
    folder, model = run
    plugin = read(folder).SummaryMetadata
    start = metadata.parse_session_start_info_plugin_data(plugin(metadata.SESSION_START_INFO_TAG).plugin_data.content)
    found = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert found == model.settings | {"image_shape": "28x28", "epochs": 2}
    end = metadata.parse_session_end_info_plugin_data(plugin(metadata.SESSION_END_INFO_TAG).plugin_data.content)
    assert end.status == api_pb2.STATUS_SUCCESS


def test_interrupted_training_has_no_session_end(sets):
    with DigitCNN(**SMALL) as model:
        model._engine.train_step = None
        with pytest.raises(TypeError):
            model.train(*sets, verbose=False, logdir="run")
    with pytest.raises(KeyError):
        read("run").SummaryMetadata(metadata.SESSION_END_INFO_TAG)


def test_histograms_of_all_weights_and_activations(run, sets):
    folder, model = run
    train, validation = read(folder / "train"), read(folder / "validation")
    trained = [variable.op.name for variable in model.g.get_collection("trainable_variables")]
    assert sorted(train.Tags()["histograms"]) == sorted(f"weights/{name}" for name in trained)
    layers = ["conv_1", "pool_1", "conv_2", "pool_2", "fc_3", "dropout_layer", "fc_4"]
    assert sorted(validation.Tags()["histograms"]) == sorted(f"activations/{name}" for name in layers)
    events = validation.Histograms("activations/fc_3")
    assert [event.step for event in events] == [13, 26]
    feed = {"tf_x:0": model.standardization(sets[1][0])}
    activations = model.sess.run("fc_3/activation:0", feed)
    last = events[-1].histogram_value
    assert last.num == activations.size == sum(last.bucket)
    assert last.max == pytest.approx(activations.max(), rel=1e-3) and last.min == 0
    assert last.sum == pytest.approx(activations.sum(), rel=1e-2)


def test_histograms_of_averages_beside_the_weights_and_validation_by_averages(sets):
    with DigitCNN(batchsize=50, architecture="softmax", average_decay=0.9, random_seed=3) as model:
        model.train(*sets, epochs=2, verbose=False, logdir="run", summaries=["histograms"])
        accuracies = model.history["Accuracy"].tolist()
    events = read("run/train")
    assert sorted(events.Tags()["histograms"]) == ["averages/W", "averages/b", "weights/W", "weights/b"]
    first, last = events.Histograms("averages/W"), events.Histograms("weights/W")
    assert first[0].histogram_value.sum != last[0].histogram_value.sum
    assert first[1].histogram_value.sum == last[1].histogram_value.sum  # the averages have become the weights
    assert values("run/validation", "accuracy") == pytest.approx(accuracies)


def test_images_of_misread_digits_and_filters(run):
    folder, _ = run
    for where, tag, size in (("validation", "misread", (4 * 84, 4 * 104)), ("train", "filters/conv_1/_weights", None)):
        events = read(folder / where).Images(tag)
        assert [event.step for event in events] == [13, 26]
        with Image.open(io.BytesIO(events[0].encoded_image_string)) as picture:
            assert picture.size == (events[0].width, events[0].height)
            assert size in (None, picture.size)


def test_projector_points_are_activations_with_images_and_labels(run, sets):
    folder, model = run
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    points = np.loadtxt(folder / embedding.tensor_path)
    expected = model.sess.run("fc_3/activation:0", {"tf_x:0": model.standardization(sets[1][0])})
    assert embedding.tensor_name == "fc_3" and list(embedding.tensor_shape) == [60, 8]
    np.testing.assert_allclose(points, expected, rtol=0.02, atol=0.02)  # bfloat16
    header, *rows = (folder / embedding.metadata_path).read_text().splitlines()
    labels = [int(row.split("\t")[0]) for row in rows]
    assert header == "label\tpredicted" and labels == sets[1][1].tolist()
    assert [int(row.split("\t")[1]) for row in rows] == model.predict(sets[1][0]).tolist()
    with Image.open(folder / embedding.sprite.image_path) as sprite:
        assert list(embedding.sprite.single_image_dim) == [28, 28] and sprite.size == (8 * 28, 8 * 28)
        digit = np.asarray(sprite)[28:56, 28:56]  # the tenth
    np.testing.assert_allclose(digit, sets[1][0][9].reshape(28, 28), atol=1)


def test_trace_of_tenth_step(run):
    folder, model = run
    events = read(folder / "train")
    assert events.Tags()["run_metadata"] == ["step 10"]
    stats = events.RunMetadata("step 10").step_stats.dev_stats
    nodes = {node.node_name: node for device in stats for node in device.node_stats}
    drawn = {node.name for node in events.Graph().node}
    assert drawn == {op.name for op in model.g.get_operations()}
    assert len(drawn & set(nodes)) > 50
    outputs = [output.tensor_description for node in nodes.values() for output in node.output]
    assert [10, 8, 8, 4] in [[dimension.size for dimension in output.shape.dim] for output in outputs]  # conv_2's
    assert sum(node.op_end_rel_nanos for node in nodes.values()) > 0


def test_summaries_missing_from_graph_warn(sets):
    class Bare(DigitCNN):
        def build(self):
            v1 = tf.compat.v1
            x, y = v1.placeholder(tf.float32, [None, 784], "tf_x"), v1.placeholder(tf.int32, [None], "tf_y")
            weights = v1.get_variable("weights", [784, 10], use_resource=True)
            logits = tf.matmul(x, weights)
            tf.nn.softmax(logits, name="probabilities")
            labels = tf.argmax(logits, axis=1, output_type=tf.int32, name="labels")
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
            loss = tf.reduce_mean(losses, name="cross_entropy_loss")
            v1.train.GradientDescentOptimizer(0.125).minimize(loss, name="train_op")
            tf.equal(labels, y, name="correct_preds")

    with (
        Bare() as model,
        pytest.warns(UserWarning, match="activations and projector are left out: build"),
        pytest.warns(UserWarning, match="misread digits are left out: there is no validation set"),
    ):
        model.train(sets[0], epochs=1, verbose=False, logdir="run", summaries=SUMMARIES)
    events = read("run/train")
    assert events.Tags()["histograms"] == ["weights/weights"] and events.Tags()["run_metadata"] == ["step 2"]
    assert values("run/train", "learning_rate") == [0.125]
    assert not Path("run/projector").exists() and not Path("run/validation").exists()


@pytest.mark.parametrize("architecture", ["softmax", "slim"])
def test_all_summaries_of_other_architectures(architecture, sets):
    with DigitCNN(architecture=architecture) as model:
        model.train(*sets, steps=1, verbose=False, logdir="run", summaries=SUMMARIES)
    config = text_format.Parse(Path("run/projector_config.pbtxt").read_text(), ProjectorConfig())
    assert config.embeddings[0].tensor_name == {"softmax": "logits", "slim": "bn_3"}[architecture]
    tags = read("run/train").Tags()
    assert tags["images"] == ([] if architecture == "softmax" else ["filters/conv_1/_weights"])


@pytest.mark.parametrize(
    "options, error, message",
    [
        (
            {"summaries": ["pictures"], "logdir": "run"},
            ValueError,
            "any of histograms, images, projector, trace, found",
        ),
        ({"summaries": ["image"], "logdir": "run"}, ValueError, "found 'image'; did you mean 'images'?"),
        ({"summaries": [["images"]], "logdir": "run"}, ValueError, "expected any of .* found \\['images'\\]"),
        ({"summaries": "images", "logdir": "run"}, TypeError, "expected a collection of names.*found 'images'"),
        ({"summaries": 3, "logdir": "run"}, TypeError, "expected a collection of names"),
        ({"summaries": ["trace"]}, ValueError, "summaries: expected a logdir to write them into, found none"),
    ],
)
def test_train_bad_summaries_raise_before_writing(options, error, message, sets, tmp_path):
    with DigitCNN(**SMALL) as model, pytest.raises(error, match=message):
        model.train(*sets, verbose=False, **options)
    assert list(tmp_path.iterdir()) == []


def test_check_summaries_returns_each_name_once_in_order():
    assert check_summaries({}, None) == ()
    assert check_summaries(["trace", "images", "trace"], "run") == ("images", "trace")
    assert check_summaries(SUMMARIES, "run") == tuple(SUMMARIES) == ("histograms", "images", "projector", "trace")


def test_command_line_accepts_and_describes_all_summaries(capsys):
    parser = build_parser(collections.defaultdict(lambda: print))
    arguments = parser.parse_args(["train", "--summaries", *SUMMARIES])
    assert tuple(arguments.summaries) == tuple(SUMMARIES)
    with pytest.raises(SystemExit):
        parser.parse_args(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for name, description in SUMMARIES.items():
        assert f"{name}: {description}" in text.replace("- ", "-")


def test_summaries_are_described_with_the_limits_in_use():
    assert f"{MAX_ACTIVATIONS} validation images" in SUMMARIES["histograms"]
    assert f"{MAX_POINTS:,} validation images" in SUMMARIES["projector"]


@pytest.mark.parametrize(
    "values", [[1, np.nextafter(np.float32(1), 2)], [-3e38, 3e38], [0, 1e-45], [5, 5], [np.nan, 1, np.inf]]
)
def test_histogram_any_range(values):
    values = np.array(values, np.float32)
    proto = histogram("x", values).value[0].histo
    assert proto.num == sum(proto.bucket) == np.isfinite(values).sum()


@pytest.mark.parametrize("kind", ["a file", "below a file", "a link below"])
def test_train_unwritable_logdir_raises_and_changes_nothing(kind, sets, tmp_path):
    (tmp_path / "file").write_text("mine")
    logdir = {"a file": "file", "below a file": "file/logs", "a link below": "logs"}[kind]
    if kind == "a link below":
        (tmp_path / "mine").mkdir()
        (tmp_path / "logs").mkdir()
        (tmp_path / "logs" / "train").symlink_to(tmp_path / "mine")
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(sets[0], steps=2, verbose=False)
        before = model.weights_sha256()
        with pytest.raises(OSError, match=f"{logdir}.*: expected a folder"):
            model.train(sets[0], epochs=1, verbose=False, logdir=logdir)
        assert model.weights_sha256() == before and model.global_step == 2
    assert (tmp_path / "file").read_text() == "mine" and not list(tmp_path.glob("mine/*"))


def test_hyperparameters_have_trained_epochs_or_steps(sets, tmp_path):
    for given in ({"epochs": 2}, {"steps": 3}):
        with DigitCNN(architecture="softmax") as model:
            model.train(sets[0], verbose=False, logdir=tmp_path / str(given), **given)
        plugin = read(tmp_path / str(given)).SummaryMetadata
        start = metadata.parse_session_start_info_plugin_data(
            plugin(metadata.SESSION_START_INFO_TAG).plugin_data.content
        )
        found = {name: start.hparams[name].number_value for name in ("epochs", "steps") if name in start.hparams}
        assert found == given


def test_new_training_replaces_events(sets, tmp_path):
    """A notebook cell that runs again replaces its events; a continued training adds to them."""
    with DigitCNN(batchsize=65, **SMALL) as model:
        for _ in range(2):
            model.train(sets[0], epochs=3, verbose=False, logdir=tmp_path)
        assert [event.step for event in read(tmp_path / "train").Scalars("loss")] == [2, 4, 6]
        model.train(sets[0], epochs=1, verbose=False, logdir=tmp_path, initialize=False)
        assert [event.step for event in read(tmp_path / "train").Scalars("loss")] == [2, 4, 6, 8]


def test_image_grids_any_size(rng):
    for height, width in ((8, 8), (1, 40), (200, 256)):
        images = rng.integers(0, 256, (9, height, width), dtype=np.uint8)
        with Image.open(io.BytesIO(misread_picture(images, np.arange(9), np.full(9, 100)))) as picture:
            assert picture.width == 84 * 4 and picture.height <= 3 * (84 + 20)
        png, size = sprite_picture(images)
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.size == (4 * size[0], 4 * size[1]) and max(size) <= 64


def test_image_grids_layout(rng):
    tiles = np.arange(3 * 2 * 3, dtype=np.uint8).reshape(3, 2, 3)
    page = sheet(tiles, 2, 2)
    assert page.shape == (4, 6) and (page[:2, 3:] == tiles[1]).all() and (page[2:, 3:] == 255).all()
    assert sheet(tiles, 2, 2, gap=1).shape == (6, 8)
    with Image.open(io.BytesIO(filters_picture(rng.normal(size=(5, 5, 3, 10))))) as picture:
        assert picture.size == (8 * 42, 2 * 42) and picture.getextrema() == (0, 255)
    with Image.open(io.BytesIO(sprite_picture(np.full((300, 7, 5), np.nan))[0])) as picture:
        assert picture.size == (32 * 5, 32 * 7)
    digits = rng.integers(0, 256, (5, 28, 28), dtype=np.uint8)
    pictures = [misread_picture(digits, np.full(5, 3), np.full(5, prediction)) for prediction in (4, 9)]
    assert pictures[0] != pictures[1]  # the captions
