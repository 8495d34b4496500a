"""Distillation: targets, the student, resuming, what is refused."""

import errno
import threading
from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN, Ensemble, ResumeError
from digitcnn._files import write_whole
from digitcnn.ensemble.distilling import mixed_targets, soften
from digitcnn.exceptions import DamagedError, FolderInUseError

STUDENT = {"architecture": "softmax", "random_seed": 9, "epochs": 2, "verbose": False}


@pytest.fixture(scope="module")
def ensemble(few):
    members = [DigitCNN(architecture="softmax", random_seed=seed, learning_rate=1e-2) for seed in (1, 2)]
    for member in members:
        member.train(few, steps=5, verbose=False)
    with Ensemble(members) as made:
        yield made


def test_softened_probabilities_by_hand():
    logits = np.array([[1.0, -2.0, 0.5], [40.0, 0.0, -40.0]])

    def softmax(values):
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    np.testing.assert_allclose(soften(softmax(logits), 3.0), softmax(logits / 3.0), rtol=1e-9)
    np.testing.assert_allclose(soften(softmax(logits), 1.0), softmax(logits), rtol=1e-9)
    assert np.isfinite(soften(np.array([[1.0, 0.0]], np.float32), 0.5)).all()


def test_targets_by_hand():
    """Two members; weights of 0, 1 and between."""
    members = np.array([[[0.8, 0.2, 0.0]], [[0.4, 0.2, 0.4]]])
    assert mixed_targets(members, np.array([1]), 1.0, 0.0).tolist() == [[0, 1, 0]]
    np.testing.assert_allclose(mixed_targets(members, np.array([1]), 1.0, 1.0), [[0.6, 0.2, 0.2]], atol=1e-6)
    mixed = mixed_targets(members, np.array([1]), 1.0, 0.25)
    assert mixed.dtype == np.float32
    np.testing.assert_allclose(mixed, [[0.15, 0.8, 0.05]], atol=1e-6)
    # At temperature 2, the square roots count: 0.894 and 0.447 to 2/3 and 1/3, by the first member.
    np.testing.assert_allclose(mixed_targets(members[:1], np.array([0]), 2.0, 1.0), [[2 / 3, 1 / 3, 0]], atol=1e-6)


def test_student_is_a_model_trained_on_the_mixture(ensemble, few, digits):
    with ensemble.distill(few, few, temperature=3.0, weight=0.6, **STUDENT) as student:
        assert type(student) is DigitCNN and list(student.history["Epoch"]) == [1, 2]
        targets = mixed_targets(ensemble.member_probabilities(few[0]), few[1], 3.0, 0.6)
        with DigitCNN(architecture="softmax", random_seed=9, epochs=2) as alone:
            alone.train((few[0], targets), few, verbose=False)
            assert alone.weights_sha256() == student.weights_sha256()
        student.save(path="student")
    with DigitCNN.restore("student") as again:
        assert again.predict(digits.test_images).shape == (360,)


def test_without_weight_it_is_plain_training(ensemble, few):
    with ensemble.distill(few, weight=0.0, **STUDENT) as student, DigitCNN(**ensemble_free(STUDENT)) as plain:
        plain.train(few, verbose=False)
        assert plain.weights_sha256() == student.weights_sha256()


def ensemble_free(settings):
    return {name: value for name, value in settings.items() if name != "verbose"}


def test_interrupted_distillation_resumes_to_the_same_bits(ensemble, few, monkeypatch):
    with ensemble.distill(few, **STUDENT) as untouched:
        expected = untouched.weights_sha256()
    update = DigitCNN.update_history

    def interrupt(self, entry):
        update(self, entry)
        if entry["Epoch"] == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DigitCNN, "update_history", interrupt)
        ensemble.distill(few, checkpoint_dir="run", **STUDENT)
    assert {"distillation.json", "targets.npy", "model.ckpt-2.json"} <= {path.name for path in Path("run").iterdir()}
    before = sorted(Path("run").rglob("*"))
    for change, message in (
        ({"temperature": 3.0}, r"expected temperature=2\.0, with which this distillation began, found 3\.0"),
        ({"weight": 0.1}, r"expected weight=0\.7"),
        ({"epochs": 3}, "expected epochs=2"),
    ):
        with pytest.raises(ResumeError, match=message):
            ensemble.distill(few, checkpoint_dir="run", **(STUDENT | change))
    with pytest.raises(ResumeError, match="expected training_set=sha256"):
        ensemble.distill((few[0][:100], few[1][:100]), checkpoint_dir="run", **STUDENT)
    with Ensemble(ensemble.members[:1]) as other, pytest.raises(ResumeError, match=r"expected members=\["):
        other.close = lambda: None
        other.distill(few, checkpoint_dir="run", **STUDENT)
    assert sorted(Path("run").rglob("*")) == before
    monkeypatch.setattr(Ensemble, "member_probabilities", None)  # the targets are not computed again
    with ensemble.distill(few, checkpoint_dir="run", **STUDENT) as resumed:
        assert resumed.weights_sha256() == expected


def test_damaged_targets_are_named(ensemble, few):
    ensemble.distill(few, checkpoint_dir="run", **STUDENT).close()
    targets = Path("run/targets.npy")
    targets.write_bytes(targets.read_bytes()[:-1])
    with pytest.raises(DamagedError, match=r"targets.npy: expected the targets as they were written, found damage"):
        ensemble.distill(few, checkpoint_dir="run", **STUDENT)
    Path("run/distillation.json").write_text("{}")
    with pytest.raises(DamagedError, match=r"distillation.json: expected the record of a distillation"):
        ensemble.distill(few, checkpoint_dir="run", **STUDENT)


def test_folder_of_another_training_is_left_alone(ensemble, few):
    ensemble.members[0].save(path="model")
    before = sorted(Path("model").iterdir())
    with pytest.raises(FileExistsError, match="expected a new or empty folder, or that of a distillation to resume"):
        ensemble.distill(few, checkpoint_dir="model", **STUDENT)
    assert sorted(Path("model").iterdir()) == before


def test_folder_with_files_of_others_is_left_alone(ensemble, few):
    """The ensemble's own among them, and targets.npy that no distillation has left."""
    ensemble.save("own")
    Path("mine").mkdir()
    Path("mine/targets.npy").write_text("mine")
    Path("file").write_text("mine")
    before = {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")}
    for name, message in (
        ("own", r"found \.lock-saving in it; give another folder"),
        ("mine", "found targets.npy in it"),
        ("file", "expected a folder for the distillation, found a file"),
    ):
        with pytest.raises(FileExistsError, match=message):
            ensemble.distill(few, checkpoint_dir=name, **STUDENT)
    assert {path: path.is_file() and path.read_bytes() for path in Path().rglob("*")} == before


def test_what_a_kill_leaves_before_the_record_is_replaced(ensemble, few):
    run = Path("run")
    run.mkdir()
    for name in (".lock", "targets.npy", ".targets.npy-0a1b2c3d", ".distillation.json-0a1b2c3d"):
        (run / name).write_bytes(b"half")
    with ensemble.distill(few, checkpoint_dir=run, **STUDENT) as student, ensemble.distill(few, **STUDENT) as other:
        assert student.weights_sha256() == other.weights_sha256()
    assert not list(run.glob(".*-0a1b2c3d"))


def test_full_disk_at_the_record_is_begun_anew(ensemble, few, monkeypatch):
    def write(file, content, **options):
        if file.name == "distillation.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        write_whole(file, content, **options)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="run: expected a folder that can be written"):
        patch.setattr("digitcnn.ensemble.distilling.write_whole", write)
        ensemble.distill(few, checkpoint_dir="run", **STUDENT)
    assert not Path("run/targets.npy").exists()
    for lock in Path("run").iterdir():
        lock.unlink()  # as on Windows, where its holder removes it
    ensemble.distill(few, checkpoint_dir="run", **STUDENT).close()


def test_second_distillation_in_a_folder_raises(ensemble, few, monkeypatch):
    """While the first one asks its members, which comes before any checkpoint."""
    ask, found = Ensemble.member_probabilities, []

    def meanwhile(self, X, **options):
        thread = threading.Thread(target=lambda: found.append(error_of(ensemble, few)))
        monkeypatch.setattr(Ensemble, "member_probabilities", ask)
        thread.start()
        thread.join()
        return ask(self, X, **options)

    monkeypatch.setattr(Ensemble, "member_probabilities", meanwhile)
    ensemble.distill(few, checkpoint_dir="run", **STUDENT).close()
    assert found == [FolderInUseError]


def error_of(ensemble, few):
    try:
        ensemble.distill(few, checkpoint_dir="run", **(STUDENT | {"random_seed": 10})).close()
    except Exception as error:
        return type(error)
    return None


BAD = {
    "temperature": ({"temperature": 0}, ValueError, "temperature: expected a number above 0"),
    "temperature as text": ({"temperature": "hot"}, TypeError, "temperature: expected a number above 0"),
    "weight": ({"weight": 1.5}, ValueError, r"weight: expected a number in 0\.\.1, found 1\.5"),
    "weight, NaN": ({"weight": float("nan")}, ValueError, r"weight: expected a number in 0\.\.1"),
    "setting": ({"dropuot": 1}, TypeError, "unknown setting 'dropuot'; did you mean 'dropout'"),
    "classes": ({"n_classes": 11}, TypeError, "n_classes: expected to be the members', found it given"),
    "path": ({"checkpoint_dir": ""}, ValueError, "checkpoint_dir: expected a path"),
    "validation set": ({"validation_set": 3}, TypeError, "validation_set: expected a pair"),
    "validation labels": (
        {"validation_set": (np.zeros((2, 784), np.uint8), [1])},
        ValueError,
        r"validation_set\[1\], the labels: expected one label for each of 2 images, found 1",
    ),
    "validation on floats": (
        {"validation_set": (np.zeros((2, 784), np.float32), [1, 2])},
        ValueError,
        "validation_set: expected raw pixels",
    ),
    "steps between checkpoints": ({"checkpoint_every": 0}, ValueError, "checkpoint_every: expected a whole number"),
    "verbosity": ({"verbose": "much"}, ValueError, "verbose: expected"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_arguments_raise(ensemble, few, kind):
    change, error, message = BAD[kind]
    with pytest.raises(error, match=message):
        ensemble.distill(few, **(STUDENT | {"checkpoint_dir": "run"} | change))
    assert not Path("run").exists()


def test_labels_are_checked(ensemble, few):
    for labels, message in (
        (np.eye(10)[few[1]], r"found \[130, 10\]; for one-hot labels, give y.argmax"),
        (few[1][:5], "expected one label for each of 130 images, found 5"),
        (few[1] + 10, r"expected labels 0\.\.9, found"),
    ):
        with pytest.raises(ValueError, match=rf"training_set\[1\], the labels: .*{message}"):
            ensemble.distill((few[0], labels), checkpoint_dir="run", **STUDENT)
    assert not Path("run").exists()


WARPS = {"rotation": 20.0, "shift": 2.0}


def test_members_see_the_warped_copies_that_the_student_sees(ensemble, few, monkeypatch):
    """The student is trained on images and copies as they are, with the answers about each of them."""
    asked = []
    ask = Ensemble.member_probabilities
    monkeypatch.setattr(Ensemble, "member_probabilities", lambda self, X, **kw: asked.append(X) or ask(self, X, **kw))
    with ensemble.distill(few, copies=2, checkpoint_dir="run", **WARPS, **STUDENT) as student:
        assert student.rotation == student.shift == 0 and student.global_step == 2 * -(-390 // student.batchsize)
        expected = student.weights_sha256()
    ((images,),) = [asked]
    assert images.shape == (390, 784) and images.dtype == np.uint8
    np.testing.assert_array_equal(images[:130], few[0].reshape(130, -1))
    for copy in (images[130:260], images[260:]):
        is_warped = (copy != images[:130]).any(axis=1)
        assert is_warped.all() and np.abs(copy.mean(axis=1) - images[:130].mean(axis=1)).max() < 30
    assert (images[130:260] != images[260:]).any(axis=1).all(), "each copy has draws of its own"
    targets = mixed_targets(ask(ensemble, images), np.tile(few[1], 3), 2.0, 0.7)
    with DigitCNN(**ensemble_free(STUDENT)) as alone:
        alone.train((images, targets), verbose=False)
        assert alone.weights_sha256() == expected
    with ensemble.distill(few, copies=2, **WARPS, **(STUDENT | {"random_seed": 10})):
        assert (asked.pop()[130:] != images[130:]).any(), "the copies follow from the seed"
    with ensemble.distill(few, copies=2, checkpoint_dir="run", **WARPS, **STUDENT) as resumed:
        assert resumed.weights_sha256() == expected and len(asked) == 1
    for change, message in (
        ({"copies": 1}, "expected copies=number 2, .*, with which this distillation began, found number 1"),
        ({"rotation": 10.0}, r"expected copies=number 2, rotation 20\.0, .* found number 2, rotation 10\.0"),
        ({"copies": 0}, "expected copies=number 2, .* found None"),
    ):
        with pytest.raises(ResumeError, match=message):
            ensemble.distill(few, checkpoint_dir="run", **({"copies": 2} | WARPS | STUDENT | change))


def test_copies_of_floats_stay_floats(few):
    members = [DigitCNN(architecture="softmax", random_seed=seed) for seed in (1, 2)]
    floats = (few[0].astype(np.float32) / 255, few[1])
    for member in members:
        member.train(floats, steps=2, verbose=False)
    with Ensemble(members) as made, made.distill(floats, copies=1, shear=10.0, **STUDENT) as student:
        assert student.standardization is None and student.shear == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"copies": 1}, "copies: expected warps for them, such as rotation=10, found none of rotation, scaling"),
        ({"copies": -1}, "copies: expected a whole number"),
        ({"copies": 1, "rotation": -3}, "rotation: expected"),
        ({"copies": 1, "shift": 15}, "shift: expected pixels in 0..14"),
        ({"copies": 1, "cutout": 29}, "cutout: expected a whole number"),
    ],
)
def test_bad_copies_raise(ensemble, few, change, message):
    with pytest.raises(ValueError, match=message):
        ensemble.distill(few, checkpoint_dir="run", **(STUDENT | change))
    assert not Path("run").exists()


def test_student_of_copies_has_the_statistics_of_warped_images(ensemble, few):
    """A mean for each pixel would not fit strokes that move, as in a network that warps by itself."""
    with ensemble.distill(few, copies=1, **WARPS, **(STUDENT | {"architecture": "strided", "epochs": 1})) as student:
        assert len(set(student.standardization.mean)) == 1


def test_too_many_copies_for_the_memory_raise(ensemble, few, monkeypatch):
    monkeypatch.setattr("digitcnn.ensemble.copies.memory_left", lambda: [(1 << 20, "a test")])
    with pytest.raises(
        MemoryError, match=r"found 1000 copies of 130 images, which need 11[0-9] MB .*\(a test\); give fewer"
    ):
        ensemble.distill(few, copies=1000, **WARPS, **STUDENT)


def test_interrupted_distillation_with_copies_resumes_to_the_same_bits(ensemble, few, monkeypatch):
    student = STUDENT | WARPS
    update = DigitCNN.update_history

    def interrupt(self, entry):
        update(self, entry)
        if entry["Epoch"] == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DigitCNN, "update_history", interrupt)
        ensemble.distill(few, copies=1, checkpoint_dir="run", **student)
    with ensemble.distill(few, copies=1, checkpoint_dir="run", **student) as resumed:
        digest = resumed.weights_sha256()
    with ensemble.distill(few, copies=1, **student) as untouched:
        assert untouched.weights_sha256() == digest


def test_killed_before_the_training_resumes_with_the_seed_that_it_began_with(ensemble, few, monkeypatch):
    """A seed that was drawn is in the record; another one, if given, is refused."""
    student = {name: value for name, value in STUDENT.items() if name != "random_seed"} | WARPS
    trained_on = []
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DigitCNN, "train", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        ensemble.distill(few, copies=1, checkpoint_dir="run", **student)
    train = DigitCNN.train
    monkeypatch.setattr(
        DigitCNN, "train", lambda self, pair, *a, **kw: trained_on.append(pair) or train(self, pair, *a, **kw)
    )
    with pytest.raises(ResumeError, match="expected seed=[0-9]+, with which this distillation began, found 5;"):
        ensemble.distill(few, copies=1, checkpoint_dir="run", random_seed=5, **student)
    with ensemble.distill(few, copies=1, checkpoint_dir="run", **student) as resumed:
        digest, seed = resumed.weights_sha256(), resumed.random_seed
    ((images, targets),) = trained_on
    expected = mixed_targets(ensemble.member_probabilities(images), np.tile(few[1], 2), 2.0, 0.7)
    np.testing.assert_array_equal(targets, expected)
    with ensemble.distill(few, copies=1, random_seed=seed, **student) as untouched:
        assert untouched.weights_sha256() == digest
    with ensemble.distill(few, copies=1, checkpoint_dir="run", **student) as again:
        assert again.weights_sha256() == digest, "complete"
