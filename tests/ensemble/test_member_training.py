"""Training of an ensemble: kills, resuming, processes beside each other, what is refused."""

import dataclasses
import json
import random
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN, Ensemble, ResumeError, load_dataset
from digitcnn.ensemble.folder import read_record
from digitcnn.ensemble.plan import EnsemblePlan
from digitcnn.ensemble.worker import Work
from digitcnn.exceptions import DamagedError, FolderInUseError
from digitcnn.search.jobs import Job, Place
from digitcnn.search.worker import failure_of

OPTIONS = {"architectures": ["softmax"], "epochs": 3, "n_members": 3, "random_seed": 5, "verbose": False}


def digests(folder):
    rule, members = read_record(Path(folder))
    return rule, [(member.folder, member.number, member.weights_sha256) for member in members]


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The folder of an ensemble of three; its name has signs that patterns obey."""
    folder = tmp_path_factory.mktemp("trained") / "three [1]"
    Ensemble.train(folder, **OPTIONS).close()
    return folder


def test_members_are_the_trainings_of_consecutive_seeds(undisturbed, digits):
    training, validation = digits.split(239)
    with Ensemble.restore(undisturbed) as ensemble:
        assert [member.random_seed for member in ensemble.members] == [5, 6, 7]
        assert len({member.weights_sha256() for member in ensemble.members}) == 3
        second = ensemble.members[1]
        with DigitCNN(**second.settings) as alone:
            alone.train(training, validation, epochs=3, verbose=False)
            assert alone.weights_sha256() == second.weights_sha256()
            assert alone.history.equals(second.history)
        assert ensemble.evaluate(digits.test_images, digits.test_labels)["accuracy"] > 0.6


def test_same_call_again_changes_nothing(undisturbed):
    before = files(undisturbed)
    with Ensemble.train(undisturbed, **OPTIONS) as again:
        assert len(again) == 3
    assert files(undisturbed) == before


def test_architectures_take_turns():
    with Ensemble.train("two", architectures=["softmax", "strided"], n_members=3, steps=1, verbose=False) as ensemble:
        assert [member.architecture for member in ensemble.members] == ["softmax", "strided", "softmax"]
        assert [member.global_step for member in ensemble.members] == [1, 1, 1]


SCRIPT = """
import sys
from digitcnn import Ensemble
options = {options}
Ensemble.train("killed", checkpoint_every=2, threads={threads}, **options)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kill_at_a_random_moment_costs_no_bit(undisturbed):
    """Of a training in one process; two processes resume it, and end with the bits of one after another."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    threads = json.loads((undisturbed / "training.json").read_text())["threads"]
    code = SCRIPT.format(options=OPTIONS, threads=threads)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end, wanted = time.monotonic() + 120, random.randrange(1, 4)
    while len(list(Path().glob("killed/members/*/model.ckpt-*.json"))) < wanted:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.001)
    time.sleep(random.random() * 0.1)
    process.kill()
    process.wait()
    assert not Path("killed/ensemble.json").exists()
    Ensemble.train("killed", checkpoint_every=2, n_jobs=2, **OPTIONS).close()
    assert digests("killed") == digests(undisturbed)


def test_lock_of_a_worker_that_is_ending_is_waited_for(monkeypatch):
    """A killed process's workers end a second later; until then they hold the locks of their members."""
    calls = []

    def train_job(*_, **__):
        calls.append(1)
        if len(calls) < 3:
            raise FolderInUseError("in use")
        return "trained"

    monkeypatch.setattr("digitcnn.ensemble.worker.train_job", train_job)
    job = Job(data_sha256="", settings={}, steps=1, seed=1, fold=None, n_folds=None, n_validation=1, threads=1)
    work = Work(Place(name="bundled", folder="", data_dir=None), {job.digest: "member"})
    assert work.train(job, None) == "trained" and len(calls) == 3
    monkeypatch.setattr("digitcnn.ensemble.worker._SECONDS", 0)
    calls.clear()
    with pytest.raises(FolderInUseError):
        work.train(job, None)


def test_interrupted_training_resumes_to_the_same_bits(undisturbed, monkeypatch):
    """By Ctrl-C in the second epoch of the second member."""
    update = DigitCNN.update_history

    def interrupt(self, entry):
        update(self, entry)
        if (self.random_seed, entry["Epoch"]) == (6, 2):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(DigitCNN, "update_history", interrupt)
        Ensemble.train("begun", **OPTIONS)
    with pytest.raises(FileNotFoundError, match="found one whose training is not complete; the command that began it"):
        Ensemble.restore("begun")
    Ensemble.train("begun", **OPTIONS).close()
    assert digests("begun") == digests(undisturbed)


def test_finished_member_is_not_trained_again(undisturbed, monkeypatch):
    copy = Path(shutil.copytree(undisturbed, "copy"))
    (copy / "ensemble.json").unlink()
    (copy / "members/03/result.json").unlink()
    trained = []
    train = DigitCNN.train
    monkeypatch.setattr(
        DigitCNN, "train", lambda self, *a, **b: trained.append(self.random_seed) or train(self, *a, **b)
    )
    Ensemble.train(copy, **OPTIONS).close()
    assert trained == [7], "only loaded, as its checkpoint is complete"
    assert digests(copy) == digests(undisturbed)


def remove_last(member):
    for file in member.glob("model.ckpt-36.*"):
        file.unlink()


def remove_all(member):
    for file in member.iterdir():
        if file.name != "result.json":
            shutil.rmtree(file) if file.is_dir() else file.unlink()


def cut_last(member):
    (data,) = member.glob("model.ckpt-36.data*")
    data.write_bytes(data.read_bytes()[:-1])


@pytest.mark.parametrize("damage", [remove_last, remove_all, cut_last])
def test_result_without_its_checkpoint_is_no_result(undisturbed, damage):
    copy = Path(shutil.copytree(undisturbed, "copy"))
    damage(copy / "members/02")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        Ensemble.train(copy, **OPTIONS).close()
    assert ["damage" in str(one.message) for one in found] == ([True] if damage is cut_last else [])
    assert digests(copy) == digests(undisturbed)


def test_numbers_of_numpy_are_numbers(undisturbed):
    """They are the same ensemble as Python's, and can be written as JSON."""
    options = {"n_members": np.int64(2), "random_seed": np.uint8(3), "epochs": np.int16(1), "n_validation": np.int32(9)}
    settings = {"learning_rate": np.float32(0.5), "batchsize": np.int64(50), "shuffle": np.bool_(True)}
    plan = EnsemblePlan.of({**options, **settings, "architectures": np.array(["softmax"]), "rule": "mean"})
    assert json.loads(json.dumps(plan.declared()))["settings"] == {
        "learning_rate": 0.5,
        "batchsize": 50,
        "shuffle": True,
    }
    again = {"epochs": np.int64(3), "n_members": np.int64(3), "random_seed": np.int64(5), "verbose": False}
    threads = json.loads((undisturbed / "training.json").read_text())["threads"]
    Ensemble.train(undisturbed, architectures=["softmax"], threads=np.int64(threads), **again).close()


def test_link_in_the_folder_is_not_followed(undisturbed):
    """Of a training that begins, and of one that is resumed: what is behind it stays."""
    for name, link in (("new", "new/members"), ("resumed", "resumed/members/02")):
        if name == "resumed":
            shutil.copytree(undisturbed, name)
            shutil.rmtree(link)
        Path(name).mkdir(exist_ok=True)
        Path("empty").mkdir(exist_ok=True)
        Path(link).symlink_to(Path("empty").absolute(), target_is_directory=True)
        with pytest.raises(FileExistsError, match="expected a folder of this ensemble alone, found a link"):
            Ensemble.train(name, **OPTIONS)
        assert not any(Path("empty").iterdir())


CHANGES = {
    "n_members": (4, "expected n_members=3, with which this ensemble began, found 4"),
    "random_seed": (6, "expected random_seed=5, with which this ensemble began, found 6"),
    "epochs": (4, "expected epochs=3"),
    "rule": ("majority", "expected rule='mean'"),
    "learning_rate": (0.5, "expected settings={}, with which this ensemble began, found {'learning_rate': 0.5}"),
    "n_validation": (100, "expected n_validation=None"),
    "threads": (997, "expected threads="),
}


@pytest.mark.parametrize("name", CHANGES)
def test_another_ensemble_in_the_folder_is_refused_by_its_difference(undisturbed, name):
    before = files(undisturbed)
    value, message = CHANGES[name]
    with pytest.raises(ResumeError) as raised:
        Ensemble.train(undisturbed, **(OPTIONS | {name: value}))
    assert message in str(raised.value) and files(undisturbed) == before


def test_other_data_are_refused(undisturbed, digits):
    other = dataclasses.replace(digits, train_images=digits.train_images[::-1].copy())
    with pytest.raises(ResumeError, match="expected data_sha256="):
        Ensemble.train(undisturbed, other, **OPTIONS)


BAD = {
    "members": ({"n_members": 0}, ValueError, r"n_members: expected a whole number in 1\.\.1000"),
    "members as text": ({"n_members": "3"}, TypeError, "n_members: expected"),
    "unknown": ({"learning_rat": 1}, TypeError, "unknown option 'learning_rat'; did you mean 'learning_rate'"),
    "architecture": ({"architecture": "cnn"}, TypeError, "architecture: expected architectures, which the members"),
    "one architecture": ({"architectures": "cnn"}, TypeError, "expected a list of names, found 'cnn'"),
    "unknown architecture": ({"architectures": ["cnm"]}, ValueError, "architectures: .*did you mean 'cnn'"),
    "of the data": ({"n_classes": 10}, TypeError, "n_classes: expected to be that of the data"),
    "setting": ({"dropout": 2}, ValueError, "dropout: expected"),
    "both lengths": ({"epochs": 1, "steps": 1}, ValueError, "epochs, steps: expected one of them, found both"),
    "rule": ({"rule": "mode"}, ValueError, "rule: expected one of"),
    "recipe": ({"recipe": "quick"}, ValueError, "recipe: expected one of"),
    "validation": ({"n_validation": 1437}, ValueError, "expected"),
    "jobs": ({"n_jobs": 0}, ValueError, "n_jobs: expected a whole number"),
    "threads": ({"threads": 0}, ValueError, "threads: expected a whole number"),
    "checkpoints": ({"checkpoint_every": 0}, ValueError, "checkpoint_every: expected a whole number"),
    "verbosity": ({"verbose": "much"}, ValueError, "verbose: expected"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_options_raise_and_leave_no_folder(kind):
    options, error, message = BAD[kind]
    with pytest.raises(error, match=message):
        Ensemble.train("new", **({"verbose": False} | options))
    assert not Path("new").exists()


def test_too_few_images_to_validate_on(digits):
    """In Python there is no option of the command line to speak of."""
    few = dataclasses.replace(digits, train_images=digits.train_images[:5], train_labels=digits.train_labels[:5])
    with pytest.raises(ValueError, match="validation: expected a number of training images to validate on") as raised:
        Ensemble.train("new", few, n_members=2, architectures=["softmax"])
    assert "--" not in str(raised.value) and not Path("new").exists()


def test_folder_of_others_is_left_alone():
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"found thesis.txt in it; name another folder"):
        Ensemble.train("mine", **OPTIONS)
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("training.json", b"{}", "expected the plan of a training, found: names: expected"),
        ("members/02/result.json", b"{", "expected the result of a member, found.*delete it, and"),
    ],
)
def test_damaged_file_is_named_and_nothing_changes(undisturbed, name, content, message):
    copy = Path(shutil.copytree(undisturbed, "copy"))
    (copy / name).write_bytes(content)
    before = files(copy)
    with pytest.raises(DamagedError, match=message):
        Ensemble.train(copy, **OPTIONS)
    assert files(copy) == before


def test_member_that_fails_in_its_process_is_named(undisturbed, monkeypatch):
    """The others are trained and recorded; the same call goes on."""
    copy = Path(shutil.copytree(undisturbed, "copy"))
    (copy / "ensemble.json").unlink()
    for number in ("01", "02"):
        shutil.rmtree(copy / "members" / number)
    (copy / "members/01").mkdir()
    (copy / "members/01/model.ckpt-1.json").write_text("of someone else")
    data = load_dataset()

    def attempt(job, work):
        try:
            return work.train(job, data)
        except Exception as error:
            return failure_of(error)

    monkeypatch.setattr(
        "digitcnn.ensemble.training._outcomes", lambda jobs, work, _: ((job, attempt(job, work)) for job in jobs)
    )
    with pytest.raises(
        ChildProcessError, match=r"copy: expected all 3 members trained, found member 1: .*model.ckpt-1"
    ):
        Ensemble.train(copy, n_jobs=2, **OPTIONS)
    assert (copy / "members/02/result.json").exists() and not (copy / "ensemble.json").exists()
    shutil.rmtree(copy / "members/01")
    Ensemble.train(copy, **OPTIONS).close()
    assert digests(copy) == digests(undisturbed)
