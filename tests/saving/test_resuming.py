"""Checkpoints: a training that is interrupted anywhere and resumed ends with the same bits."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from resuming import files, interrupted_at, make, started, started_once, state, steps_in, train, uninterrupted

from digitcnn import ARCHITECTURES, RECIPES, CheckpointError
from digitcnn.exceptions import DigitCNNWarning

# Every network. `slim` and `tapered` are trained as their recipes say, with warps and a schedule; `compact` is `slim`
# with more channels.
KINDS = [name for name in ARCHITECTURES if name not in ("compact", "slim", "tapered")]
KINDS += ["recipe fast", "recipe accurate"]


@pytest.fixture(scope="module", params=KINDS)
def resumed(request, few, tmp_path_factory):
    """For each network: the states of a training and of one resumed in another model; whether the first was freed."""
    few = few[0][:50], few[1][:50]  # as many batches, of 20 and 10
    folder = tmp_path_factory.mktemp("resumed") / "run"
    with make(request.param, batchsize=20) as model:
        model.train(few, few, verbose=False)
        expected = state(model)
        with interrupted_at(model, 6):
            train(model, few, checkpoint_dir=folder)
        references = weakref.ref(model.g), weakref.ref(model.sess)
    del model
    gc.collect()
    is_freed = all(reference() is None for reference in references)
    with make(request.param, batchsize=20) as model:
        train(model, few, checkpoint_dir=folder, resume=True)
        return expected, state(model), is_freed


def test_resume_ends_with_the_same_bits(resumed):
    expected, found, _ = resumed
    assert found == expected


def test_close_frees_the_graph(resumed):
    """No global reference keeps a closed model, so a process can make hundreds."""
    assert resumed[2]


@pytest.mark.parametrize("kind", ["cnn", "slim"])
def test_close_frees_the_graph_in_float32(kind, few):
    """Its layers have gradients of their own, which TensorFlow knows by name."""
    with make(kind, precision="float32") as model:
        model.train(few, steps=1, verbose=False)
        graph, session = weakref.ref(model.g), weakref.ref(model.sess)
    del model
    gc.collect()
    assert graph() is None and session() is None


@pytest.mark.parametrize(
    ("every", "moments"), [(1, (1,)), (1, (2, 2, 2)), (2, (4, 1)), (3, (4,)), (5, (6,)), (None, (2,)), (None, (5, 1))]
)
def test_resume_after_any_step(few, uninterrupted, every, moments):
    for moment in moments:
        with make() as model, interrupted_at(model, moment):
            train(model, few, checkpoint_every=every, resume=True)
    with make() as model:
        train(model, few, checkpoint_every=every, resume=True)
        assert state(model) == uninterrupted


@pytest.mark.parametrize(("every", "moments"), [(1, (2, 2, 2)), (None, (5, 1))])
def test_resume_after_any_step_with_dropout(few, every, moments):
    with make("strided") as model:
        train(model, few, checkpoint_dir="uninterrupted")
        expected = state(model)
    for moment in moments:
        with make("strided") as model, interrupted_at(model, moment):
            train(model, few, checkpoint_every=every, resume=True)
    with make("strided") as model:
        train(model, few, checkpoint_every=every, resume=True)
        assert state(model) == expected


def test_resume_with_steps_and_initialize_false(few):
    """A training of `steps`, which ends within an epoch and began with initialize=False."""

    def first(model):
        model.train(few, steps=4, verbose=False)

    with make() as model:
        first(model)
        model.train(few, few, initialize=False, steps=7, verbose=False)
        expected = state(model)
    with make() as model, interrupted_at(model, 9):
        first(model)
        train(model, few, initialize=False, steps=7)
    with make() as model:  # needs no weights: the checkpoint has them
        train(model, few, initialize=False, steps=7, resume=True)
        assert state(model) == expected and model.history["Epoch"].tolist()[-1] == pytest.approx(3 + 2 / 3)


def test_resume_skips_a_damaged_checkpoint(started, few, uninterrupted):
    data = Path("run/model.ckpt-4.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[3000] ^= 1
    data.write_bytes(content)
    with make() as model:
        with pytest.warns(
            DigitCNNWarning, match=r"model\.ckpt-4.data.* found damage; resuming from model.ckpt-3, the newest"
        ):
            train(model, few, resume=True)
        assert state(model) == uninterrupted
    assert steps_in("run") == [4, 6]


def test_resume_skips_an_unreadable_checkpoint(started, few, uninterrupted, monkeypatch):
    """The warning for a bad sector has the system's words."""
    open_file = Path.open

    def bad_sector(file, *arguments, **options):
        if file == Path("run/model.ckpt-4.data-00000-of-00001"):
            raise OSError(5, "Input/output error")
        return open_file(file, *arguments, **options)

    with make() as model, monkeypatch.context() as patch:
        patch.setattr(Path, "open", bad_sector)
        with pytest.warns(DigitCNNWarning, match="a file that can be read, found input/output error; resuming from"):
            train(model, few, resume=True, epochs=2)
        assert state(model) == uninterrupted


def test_resume_newer_format_version_raises(started, few):
    """An older digitcnn must not fall back to an earlier checkpoint."""
    file = Path("run/model.ckpt-4.json")
    file.write_text(file.read_text().replace('"format_version": 5', '"format_version": 6'))
    with make() as model, pytest.raises(CheckpointError, match="expected format version 1 to 5, found 6"):
        train(model, few, resume=True)


def test_resume_without_a_whole_checkpoint_raises(started, few):
    for file in Path("run").glob("*.json"):
        file.write_bytes(file.read_bytes()[:-40])
    before = files("run")
    with make() as model:
        with pytest.raises(
            CheckpointError, match=r"run: expected an undamaged checkpoint, found none.*ckpt-4.*ckpt-3.*JSON"
        ):
            train(model, few, resume=True)
        assert len(model.history) == 0
    assert files("run") == before


def test_resume_complete_training_changes_nothing(few, uninterrupted):
    with make() as model:
        train(model, few)
    before = files("run")
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted
    assert files("run") == before


def test_weights_sha256_hashes_the_trained_variables_by_name(few):
    import hashlib

    with make("slim") as model:  # moving averages of batch normalization are not trained
        model.train(few, steps=1, verbose=False)
        variables = sorted(model.g.get_collection("trainable_variables"), key=lambda variable: variable.name)
        content = b"".join(np.asarray(value, "<f4").tobytes() for value in model.sess.run(variables))
        assert model.weights_sha256() == hashlib.sha256(content).hexdigest()


def test_kinds_include_every_recipe_and_network():
    has_a_graph_of_its_own = set(RECIPES) - {"tutorial", "small"}
    assert {f"recipe {name}" for name in has_a_graph_of_its_own} == {"recipe fast", "recipe accurate"}
    of_recipes = {RECIPES[name].settings["architecture"] for name in has_a_graph_of_its_own}
    assert {*KINDS} | of_recipes | {"compact"} >= set(ARCHITECTURES)
