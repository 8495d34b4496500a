"""Ensemble over given members: answers, what is refused, saving and restoring."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from digitcnn import CheckpointError, DigitCNN, Ensemble, UntrainedModelError
from digitcnn.ensemble.combining import RULES, combine, combined_labels, disagreement, margin_uncertainty


def trained(few, seed, **settings):
    settings = {"architecture": "softmax", "learning_rate": 1e-2} | settings
    model = DigitCNN(**settings, random_seed=seed)
    model.train(few, steps=3, verbose=False)
    return model


@pytest.fixture(scope="module")
def ensemble(few):
    """Three members: two of T2's softmax, and a small T1, whose standardization is another one."""
    members = [trained(few, 1), trained(few, 2), trained(few, 3, architecture="cnn", fc_3_output_units=8)]
    with Ensemble(members) as made:
        yield made


def with_rule(ensemble, rule):
    return Ensemble(ensemble.members, rule)


@pytest.mark.parametrize("rule", RULES)
def test_predict_combines_the_members_answers(ensemble, digits, rule):
    X, y = digits.test_images[:100], digits.test_labels[:100]
    one = with_rule(ensemble, rule)
    members = np.stack([member.predict(X, return_proba=True) for member in ensemble.members])
    np.testing.assert_array_equal(one.member_probabilities(X), members)
    np.testing.assert_array_equal(one.predict(X, True), combine(members, rule))
    np.testing.assert_array_equal(one.predict(X), combined_labels(members, rule))
    np.testing.assert_array_equal(one.doubt(X), margin_uncertainty(members))
    np.testing.assert_array_equal(one.doubt(X, "disagreement"), disagreement(members))
    np.testing.assert_array_equal(one.predict(X.reshape(-1, 28, 28), batch_size=7), combined_labels(members, rule))
    found = one.evaluate(X, y)
    assert found["accuracy"] == np.mean(one.predict(X) == y)
    assert found["member_accuracies"] == [member.evaluate(X, y)["accuracy"] for member in ensemble.members]
    if rule == "mean":
        right = one.predict(X, return_proba=True)[np.arange(100), y]
        assert found["loss"] == pytest.approx(-np.log(right.astype(float)).mean())
    assert np.isfinite(found["loss"])


def test_one_member_is_that_model(few, digits):
    with Ensemble([trained(few, 1)]) as one:
        (model,) = one.members
        np.testing.assert_array_equal(
            one.predict(digits.test_images, return_proba=True), model.predict(digits.test_images, return_proba=True)
        )
        assert one.evaluate(*few)["loss"] == pytest.approx(model.evaluate(*few)["loss"], rel=1e-5)
        assert not one.doubt(digits.test_images, "disagreement").any() and len(one) == 1
    with pytest.raises(UntrainedModelError):
        model.predict(few[0])


def test_members_that_do_not_fit_raise(ensemble, few):
    first = ensemble.members[0]
    for members, error, message in (
        ([], ValueError, "members: expected a list of at least one trained DigitCNN, found none"),
        (first, TypeError, "members: expected a list .* found DigitCNN"),
        ([first, "cnn"], TypeError, r"members\[1\]: expected a DigitCNN, found str"),
        ([first, first], ValueError, r"members\[1\]: expected each model once"),
    ):
        with pytest.raises(error, match=message):
            Ensemble(members)
    with pytest.raises(ValueError, match="rule: expected one of .*; did you mean 'mean'"):
        Ensemble([first], "meen")
    with DigitCNN(architecture="softmax") as new, pytest.raises(UntrainedModelError):
        Ensemble([first, new])
    floats = few[0] / 255 - 0.1, few[1]
    with trained(floats, 1) as other, pytest.raises(ValueError, match=r"members\[1\]: .*trained on raw pixels"):
        Ensemble([first, other])
    wide = few[0].reshape(-1, 28, 28)[:, :, :20], few[1]
    with trained(wide, 1, image_shape=(28, 20)) as other, pytest.raises(ValueError, match="expected image_shape="):
        Ensemble([first, other])
    with trained(few, 1, n_classes=11) as other, pytest.raises(ValueError, match="expected n_classes=10, as of mem"):
        Ensemble([first, other])


def test_bad_images_and_labels_raise(ensemble, few):
    for call in (ensemble.predict, ensemble.doubt, ensemble.member_probabilities, lambda X: ensemble.evaluate(X, [1])):
        with pytest.raises(ValueError, match="X.*: expected shape"):
            call(np.zeros((3, 7), np.uint8))
    with pytest.raises(ValueError, match=r"X, y\[1\], the labels: expected one label"):
        ensemble.evaluate(few[0], few[1][:5])
    with pytest.raises(TypeError, match="return_proba: expected True or False"):
        ensemble.predict(few[0], "yes")
    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        ensemble.__reduce_ex__(2)


def test_restored_ensemble_is_equal_to_the_bit(ensemble, digits):
    assert with_rule(ensemble, "majority").save("saved") == "saved"
    assert sorted(path.name for path in Path("saved").iterdir()) == [".lock-saving", "ensemble.json", "members"]
    with Ensemble.restore("saved") as again:
        assert again.rule == "majority" and len(again) == 3
        for before, after in zip(ensemble.members, again.members, strict=True):
            assert before.weights_sha256() == after.weights_sha256() and before.settings == after.settings
        np.testing.assert_array_equal(
            again.member_probabilities(digits.test_images), ensemble.member_probabilities(digits.test_images)
        )


def test_save_replaces_the_ensemble_before(ensemble):
    ensemble.save("saved")
    before = {path.name for path in Path("saved/members").iterdir()}
    Path("saved/members/09-00000000").mkdir()  # what a kill leaves
    Ensemble(ensemble.members[:2], "confident").save("saved")
    after = {path.name for path in Path("saved/members").iterdir()}
    assert len(before) == 3 and len(after) == 2 and not before & after
    with Ensemble.restore("saved") as again:
        assert len(again) == 2 and again.rule == "confident"


@pytest.mark.parametrize("n_writes", range(1, 4))
def test_save_that_fails_leaves_the_ensemble_before(ensemble, monkeypatch, n_writes):
    """At the second member, the third, and at the record."""
    ensemble.save("saved")
    before = {path: path.read_bytes() for path in Path("saved").rglob("*") if path.is_file()}
    calls = []

    def fail(*_, **__):
        raise OSError("no space left")

    if n_writes == 3:
        monkeypatch.setattr("digitcnn.ensemble.folder.write_whole", fail)
    else:
        save = DigitCNN.save
        monkeypatch.setattr(
            DigitCNN, "save", lambda *a, **b: fail() if calls.append(1) or len(calls) > n_writes else save(*a, **b)
        )
    with pytest.raises(OSError, match="no space left"):
        with_rule(ensemble, "majority").save("saved")
    assert {path: path.read_bytes() for path in Path("saved").rglob("*") if path.is_file()} == before


def test_save_leaves_folders_of_others_alone(ensemble):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine")
    Path("file").write_text("mine")
    Path("trained").mkdir()
    Path("trained/training.json").write_text("{}")
    Path("members/members").mkdir(parents=True)
    Path("members/members/family.txt").write_text("mine")
    before = sorted(Path().rglob("*"))
    for name, message in (
        ("mine", "found thesis.txt in it; name another folder"),
        ("file", "expected a folder for the ensemble, found a file"),
        ("trained", "found one in which an ensemble is trained"),
        ("members", "found members of something else"),
    ):
        with pytest.raises(FileExistsError, match=message):
            ensemble.save(name)
    assert sorted(Path().rglob("*")) == before


def test_save_through_a_link_leaves_what_is_behind_it(ensemble):
    """Both `members` of another ensemble, and a link to nothing."""
    ensemble.save("saved")
    before = sorted(Path("saved").rglob("*"))
    for number, target in enumerate((Path("saved/members"), Path("nowhere"))):
        folder = Path(f"linked {number}")
        folder.mkdir()
        (folder / "members").symlink_to(target.absolute(), target_is_directory=True)
        with pytest.raises(FileExistsError, match="members: expected a folder of this ensemble alone, found a link"):
            ensemble.save(folder)
        assert [path.name for path in folder.iterdir()] == ["members"] and not Path("nowhere").exists()
    Path("linked 0/ensemble.json").write_bytes(Path("saved/ensemble.json").read_bytes())
    with pytest.raises(FileExistsError, match="found a link"):
        ensemble.save("linked 0")
    assert sorted(Path("saved").rglob("*")) == before


def test_save_with_a_wrong_rule_raises(ensemble):
    ensemble.save("saved")
    one = with_rule(ensemble, "mean")
    one.rule = "mode"
    with pytest.raises(ValueError, match="rule: expected one of"):
        one.save("saved")
    with Ensemble.restore("saved") as again:
        assert again.rule == "mean"


def test_save_of_a_member_that_another_thread_changes_raises(ensemble, monkeypatch):
    ensemble.save("saved")
    before = {path: path.read_bytes() for path in Path("saved").rglob("*") if path.is_file()}
    digests = iter(["0" * 64, "1" * 64])
    monkeypatch.setattr(DigitCNN, "weights_sha256", lambda self: next(digests))
    with pytest.raises(RuntimeError, match=r"members\[0\]: expected the same weights before and after"):
        ensemble.save("saved")
    assert {path: path.read_bytes() for path in Path("saved").rglob("*") if path.is_file()} == before


def change(name, value):
    def edit(folder):
        content = json.loads((folder / "ensemble.json").read_text())
        content[name] = value
        (folder / "ensemble.json").write_text(json.dumps(content))

    return edit


def swap_members(folder):
    first, second, _ = sorted((folder / "members").iterdir())
    for old, new in ((first, folder / "x"), (second, first), (folder / "x", second)):
        old.rename(new)


def link_member_out(folder):
    first = sorted((folder / "members").iterdir())[0]
    first.rename("outside")
    first.symlink_to(Path("outside").absolute())


DAMAGES = {
    "no JSON": (lambda folder: (folder / "ensemble.json").write_text("{"), "expected the record of an ensemble"),
    "a picture": (lambda folder: (folder / "ensemble.json").write_bytes(b"\x89PNG"), "expected the record of an"),
    "too large": (lambda folder: (folder / "ensemble.json").write_bytes(b" " * 2_000_000), "at most 1048576 bytes"),
    "another rule": (change("rule", "confident"), "expected the record as it was written, found damage"),
    "an unknown rule": (change("rule", "vote"), "rule: expected 'mean' or 'confident' or 'majority', found 'vote'"),
    "a newer version": (change("format_version", 2), "format_version: expected 1, found 2"),
    "no members": (change("members", []), "members: expected a list of 1 to 1000, found 0"),
    "a path out of it": (
        change("members", [{"folder": "../../x", "number": 1, "weights_sha256": "0" * 64}]),
        "members.folder: expected the name of a folder in members",
    ),
    "a member twice": (
        change("members", 2 * [{"folder": "01-0123abcd", "number": 1, "weights_sha256": "0" * 64}]),
        "members.folder: expected each folder once, found 01-0123abcd twice",
    ),
    "a member is gone": (
        lambda folder: shutil.rmtree(sorted((folder / "members").iterdir())[1]),
        "expected each of its 3 members, found",
    ),
    "members swapped": (swap_members, "expected the weights that ensemble.json names, found others"),
    "a link": (link_member_out, "found a link out of it"),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_ensemble_raises(ensemble, kind):
    ensemble.save("saved")
    damage, message = DAMAGES[kind]
    damage(Path("saved"))
    with pytest.raises(CheckpointError, match=message):
        Ensemble.restore("saved")


def test_restore_without_an_ensemble_says_what_is_there(ensemble):
    ensemble.members[0].save(path="model")
    Path("empty").mkdir()
    for name, message in (
        ("nowhere", "expected a folder with an ensemble, found nothing there"),
        ("empty", "found no ensemble.json in it"),
        ("model", r"found a single model, which DigitCNN.restore reads"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            Ensemble.restore(name)


def test_save_a_closed_member_raises_and_makes_nothing(few):
    made = Ensemble([trained(few, 1)])
    made.close()
    with pytest.raises(UntrainedModelError):
        made.save("saved")
    assert not Path("saved").exists()
