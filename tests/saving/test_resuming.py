"""Checkpoints: a training that is killed anywhere and resumed ends with the same bits."""

import contextlib
import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
import weakref
from pathlib import Path

import numpy as np
import pytest

from digitcnn import ARCHITECTURES, RECIPES, CheckpointError, DigitCNN, FolderInUseError, ResumeError
from digitcnn.cli.main import main
from digitcnn.engine.machine import this_machine
from digitcnn.exceptions import DigitCNNWarning

# Every network. `slim` and `tapered` are trained as their recipes say, with warps and a schedule; `compact` is `slim`
# with more channels.
KINDS = [name for name in ARCHITECTURES if name not in ("compact", "slim", "tapered")]
KINDS += ["recipe fast", "recipe accurate"]
on_posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals, file systems and limits")


def make(kind="softmax", **settings):
    """A small model of an architecture or a recipe, with two epochs and a fixed seed.

    What matters in most tests are folders and steps: `softmax` is made in a third of the time of `cnn`.
    """
    settings = {"random_seed": 3, "batchsize": 50, "epochs": 2, **settings}
    if kind.startswith("recipe "):
        return DigitCNN.from_recipe(kind.removeprefix("recipe "), **settings)
    small = {"conv_1_output_channels": 8, "conv_2_output_channels": 8, "fc_3_output_units": 32}
    return DigitCNN(architecture=kind, **{**(small if ARCHITECTURES[kind].has_widths else {}), **settings})


def state(model):
    """The bytes of all variables, and the history."""
    names = [variable.op.name for variable in model.g.get_collection("variables")]
    values = model.sess.run(model.g.get_collection("variables"))
    return {name: value.tobytes() for name, value in zip(names, values, strict=True)}, model.history.to_csv()


def files(folder):
    """Modification times and bytes of everything in a folder."""
    return {
        file.relative_to(folder): (file.stat().st_mtime_ns, file.is_file() and file.read_bytes())
        for file in sorted(Path(folder).rglob("*"))
        if file.name != ".lock"
    }


def steps_in(folder):
    """Steps of the checkpoints in a folder, sorted."""
    return sorted(int(file.stem.rpartition("-")[2]) for file in Path(folder).glob("model.ckpt-*.json"))


class SimulatedPowerFailure(Exception):
    """Ends a training without any cleaning up."""


@contextlib.contextmanager
def interrupted_at(model, step, action=None):
    """Before training step number `step`, counted from 1 here, run `action`, or simulate a power failure."""
    train_step, calls = model._engine.train_step, 0

    def counted(*arguments, **options):
        nonlocal calls
        calls += 1
        if calls == step:
            if action is None:
                raise SimulatedPowerFailure
            action()
        return train_step(*arguments, **options)

    model._engine.train_step = counted
    with pytest.raises(SimulatedPowerFailure) if action is None else contextlib.nullcontext():
        yield


def train(model, few, **options):
    options = {"checkpoint_dir": "run", "checkpoint_every": 2, **options}
    model.train(few, few, verbose=False, **options)


@pytest.fixture(scope="module")
def started_once(few, tmp_path_factory):
    """The folder of a training of two epochs (steps 1 to 6) that a power failure ended after step 4."""
    folder = tmp_path_factory.mktemp("started") / "run"
    with make() as model, interrupted_at(model, 5):
        train(model, few, checkpoint_dir=folder)
    assert steps_in(folder) == [3, 4]  # an epoch ends at step 3
    return folder


@pytest.fixture
def started(started_once):
    """The folder `run`, a copy of that one."""
    shutil.copytree(started_once, "run")


@pytest.fixture(scope="module")
def uninterrupted(few):
    """The final state of a training of two epochs without interruption."""
    with make() as model:
        model.train(few, few, verbose=False)
        return state(model)


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


WORKER = """
import sys
from digitcnn import DigitCNN, load_dataset

digits = load_dataset()
training = digits.train_images[:130], digits.train_labels[:130]
print("ready", flush=True)
for kind in sys.argv[2:]:
    settings = {"random_seed": 3, "batchsize": 50, "epochs": 4}
    if kind.startswith("recipe "):
        model = DigitCNN.from_recipe(kind.removeprefix("recipe "), **settings)
    else:
        small = {"conv_1_output_channels": 8, "conv_2_output_channels": 8, "fc_3_output_units": 32}
        model = DigitCNN(architecture=kind, **small, **settings)
    with model:
        folder = f"{sys.argv[1]}/{kind}"
        model.train(training, training, verbose=False, checkpoint_dir=folder, checkpoint_every=1, resume=True)
        print(kind, model.weights_sha256(), model.history.to_json(double_precision=15), flush=True)
"""


@on_posix
def test_resume_after_kills_at_random_moments(tmp_path):
    """Kill a process while it trains what differs in its state: dropout, moving averages, steps, warps and a schedule.

    `tests/benchmarks/kill.py --what NAMES --runs N` kills others, again and again.
    """
    kinds = ["strided", "recipe fast"]  # the one has dropout, the other all the rest
    (tmp_path / "worker.py").write_text(WORKER)
    # As many threads as a user's process has. This process keeps what it has: TensorFlow's threads begin but once.
    environment = {name: value for name, value in os.environ.items() if name != "TF_NUM_INTRAOP_THREADS"}

    def start(folder):
        command = [sys.executable, "worker.py", folder, *kinds]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        assert process.stdout.readline() == "ready\n"
        return process, time.perf_counter()

    process, began = start("uninterrupted")
    expected = process.communicate()[0]
    seconds = time.perf_counter() - began
    assert len(expected.splitlines()) == len(kinds) and process.returncode == 0
    process, _ = start("killed")
    time.sleep(0.5 * seconds)  # in which step and in which of a step's parts, the machine decides
    process.kill()
    process.communicate()
    process, _ = start("killed")
    assert process.communicate()[0] == expected
    assert not list(Path("killed").rglob(".model*"))


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


def other_pixels(few):
    X = few[0].copy()
    X[7, 300] ^= 1
    return X, few[1]


def other_labels(few):
    y = few[1].copy()
    y[0] = (y[0] + 1) % 10
    return few[0], y


DIFFERENCES = {
    "batchsize": ({"batchsize": 25}, {}, "expected batchsize=50.*found 25"),
    "dropout": ({"dropout": 0.25}, {}, "expected dropout=0.5.*found 0.25"),
    "learning rate": ({"learning_rate": 1e-3}, {}, "expected learning_rate=0.0001.*found 0.001"),
    "seed": ({"random_seed": 4}, {}, "expected random_seed=3.*found 4"),
    "shuffle": ({"shuffle": False}, {}, "expected shuffle=True.*found False"),
    "warps": ({"rotation": 5.0}, {}, "expected rotation=0.0.*found 5.0"),
    "architecture": ({"kind": "slim"}, {}, "expected architecture='softmax'.*found 'slim'"),
    "epochs": ({}, {"epochs": 3}, "expected epochs=2.*found 3"),
    "steps": ({}, {"steps": 6}, "expected epochs=2.*found None"),
    "initialize": ({}, {"initialize": False}, "expected initialize=True.*found False"),
    "pixels": ({}, {"training_set": other_pixels}, "expected training_set='sha256 .*found 'sha256"),
    "labels": ({}, {"training_set": other_labels}, "expected training_set='sha256 .*found 'sha256"),
    "validation": ({}, {"validation_set": other_labels}, "expected validation_set='sha256"),
    "no validation": ({}, {"validation_set": lambda few: None}, "expected validation_set=.*found None"),
}


@pytest.fixture(scope="module")
def same_settings():
    """A model with the settings of the training that was started."""
    with make() as model:
        yield model


@pytest.mark.parametrize("difference", DIFFERENCES)
def test_resume_another_setting_raises(started_once, few, same_settings, difference):
    settings, options, message = DIFFERENCES[difference]
    before = files(started_once)
    options = {"training_set": lambda few: few, "validation_set": lambda few: few, **options}
    sets = {name: options.pop(name)(few) for name in ("training_set", "validation_set")}
    with make(**settings) if settings else contextlib.nullcontext(same_settings) as model:
        model.sess.run(model.init_op)
        weights = state(model)
        with pytest.raises(ResumeError, match=f"model.ckpt-4.json: {message}"):
            model.train(**sets, **options, verbose=False, checkpoint_dir=started_once, resume=True)
        assert state(model) == weights
    assert files(started_once) == before


def test_resume_another_precision_raises(started, few, monkeypatch):
    with make() as model:
        monkeypatch.setattr(model._engine, "computes_in", "float8")
        with pytest.raises(ResumeError, match="expected computes_in='(bfloat16|float32)'.*found 'float8'"):
            train(model, few, resume=True)


def test_resume_on_another_machine_warns(started, few, uninterrupted, monkeypatch):
    """Its sums may round differently, so training continues with a warning."""
    machine = this_machine()
    monkeypatch.setattr("digitcnn.training.trainer.this_machine", lambda: {**machine, "n_cpus": 999})
    with make() as model:
        with pytest.warns(
            DigitCNNWarning, match=f"n_cpus: expected {machine['n_cpus']}, with which this training began, found 999"
        ):
            train(model, few, resume=True)
        assert state(model) == uninterrupted  # it really is the same machine


def test_resume_complete_training_changes_nothing(few, uninterrupted):
    with make() as model:
        train(model, few)
    before = files("run")
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted
    assert files("run") == before


def test_train_into_a_used_folder_raises(started, few):
    before = files("run")
    with make() as model, pytest.raises(FileExistsError, match=r"run: expected a folder without saved models.*ckpt-4"):
        train(model, few)
    assert files("run") == before


def test_resume_with_a_drawn_seed(few):
    with make(random_seed=None) as model, interrupted_at(model, 5):
        train(model, few)
    with make(random_seed=None) as model, pytest.raises(ResumeError, match="expected random_seed="):
        train(model, few, resume=True)
    with DigitCNN.restore("run") as model:
        train(model, few, resume=True)
        assert model.global_step == 6


@pytest.mark.parametrize(("every", "kept"), [(None, [9, 12, 15, 18]), (5, [12, 15, 18]), (1000, [9, 12, 15, 18])])
def test_max_to_keep_and_the_best_checkpoint(few, every, kept):
    with make(epochs=6, learning_rate=2e-3) as model:
        train(model, few, checkpoint_every=every, max_to_keep=4)
        assert steps_in("run")[-3:] == kept[-3:] and len(steps_in("run")) == 4
        accuracies = model.history["Accuracy"].tolist()
    (best,) = steps_in("run/best")
    assert best == 3 * (1 + accuracies.index(max(accuracies)))
    with DigitCNN.restore("run/best") as model:
        assert model.evaluate(*few)["accuracy"] == max(accuracies)
    with DigitCNN.restore("run") as model:
        assert model.global_step == 18


def test_max_to_keep_of_numpy_is_a_number(few):
    """The negative of a number without a sign is a large one: all checkpoints would be beyond it."""
    with make(epochs=3) as model:
        train(model, few, max_to_keep=np.uint8(2))
    assert steps_in("run") == [8, 9]


def test_training_keeps_models_saved_by_hand(started, few, uninterrupted):
    with DigitCNN.restore("run") as model:
        model.save(epoch=1, path="run")
        model.save(epoch=99, path="run")
        model.save(epoch=6, path="run")
    with make() as model, pytest.raises(FileExistsError, match="model.ckpt-6: expected a free name"):
        train(model, few, resume=True)
    for file in Path("run").glob("model.ckpt-6.*"):
        file.unlink()
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted
    assert steps_in("run") == [1, 4, 6, 99]


DRIVER = """
import json, os, signal, sys
from pathlib import Path
from digitcnn import DigitCNN, load_dataset

digits = load_dataset()
data = digits.train_images[:100], digits.train_labels[:100]


def make():
    return DigitCNN(architecture="softmax", random_seed=3, batchsize=50, epochs=2, learning_rate=0.01)


def train(model, folder):
    options = {"checkpoint_dir": folder, "checkpoint_every": 1, "max_to_keep": 1, "resume": True}
    model.train(data, data, verbose=False, **options)


def outcome(model, folder):
    \"\"\"What a training that has ended leaves in its model and its folder.\"\"\"
    found = [model.weights_sha256(), model.history.to_csv()]
    for name in (folder, f"{folder}/best"):
        found.append(sorted(path.name for path in Path(name).iterdir() if path.name != ".lock"))
        model.load(path=name)  # the one that the file `checkpoint` names
        found.append(model.global_step)
    return found


def in_a_child(function):
    \"\"\"Exit status of a function in a forked process, and what it wrote into the pipe that it is given.\"\"\"
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        function(writer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        result = stream.read()
    return os.waitpid(child, 0)[1], result


def uninterrupted(pipe):
    with make() as model:
        train(model, "uninterrupted")
        os.write(pipe, json.dumps(outcome(model, "uninterrupted")).encode())


def resumed_and_killed(pipe, killed, n):
    \"\"\"Resume the training of a process that was killed; in the same model, since a process takes long to start a
    session, train into another folder, and be killed before the n-th change of the file system.\"\"\"
    with make() as model:
        if killed:
            train(model, killed)
            os.write(pipe, json.dumps(outcome(model, killed)).encode())
        if n:
            kill_at(n)
            train(model, f"killed-{n}")


def kill_at(n):
    \"\"\"Have this process kill itself before its n-th change of the file system from now on.\"\"\"
    count = 0

    def counted(function):
        def call(*arguments, **options):
            nonlocal count
            count += 1
            if count == n:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)

        return call

    for name in ("replace", "fsync", "unlink", "rmdir", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))


status, expected = in_a_child(uninterrupted)
assert status == 0
killed = None
for n in range(1, 1000, int(sys.argv[1])):
    status, found = in_a_child(lambda pipe: resumed_and_killed(pipe, killed, n))
    assert found == (expected if killed else ""), (killed, found, expected)
    if status == 0:  # the training ended before
        break
    assert status == signal.SIGKILL
    killed = f"killed-{n}"
print(n - 1, expected)
"""


@on_posix
def test_resume_after_a_kill_at_each_change_of_the_file_system(tmp_path):
    """Killed before any rename, deletion, new folder or flush and resumed, it ends with the same files and bits."""
    (tmp_path / "driver.py").write_text(DRIVER)
    # Try every eleventh of about 170 changes; `python driver.py 1` tries all. Python 3.12 warns about forks.
    command = [sys.executable, "-W", "ignore", "driver.py", "11"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    n, expected = done.stdout.split(" ", 1)
    assert int(n) > 50 and "model.ckpt-4.json" in expected and ".model" not in expected


def test_training_keeps_files_of_other_programs(started, few):
    """Only a file with the name of a new checkpoint stops the training."""
    Path("run/model.ckpt-6.index").write_text("another program's")
    Path("run/model.ckpt-3.tflite").write_text("another program's")
    with make() as model, pytest.raises(FileExistsError, match="model.ckpt-6: expected a free name"):
        train(model, few, resume=True, max_to_keep=1)
    assert Path("run/model.ckpt-6.index").read_text() == Path("run/model.ckpt-3.tflite").read_text()
    assert steps_in("run") == [4]
    Path("started-by-another").mkdir()
    Path("started-by-another/model.ckpt-9.index").write_text("another program's")
    with make() as model, pytest.raises(FileExistsError, match="found model.ckpt-9.index"):
        train(model, few, checkpoint_dir="started-by-another")


def test_cleaning_up_does_not_follow_links(started, few, uninterrupted):
    """An untrusted folder may hold links that look like incomplete checkpoints."""
    mine = Path("mine/new")
    mine.mkdir(parents=True)
    for file in (mine / "letter.txt", mine / "model.ckpt-9.json", Path("mine/ready")):
        file.write_text("mine")
    before = files("mine")
    Path("run/.model.ckpt-9-abc").symlink_to(Path("mine").resolve())
    Path("run/.model.ckpt-8-abc").mkdir()
    Path("run/.model.ckpt-8-abc/ready").touch()
    Path("run/.model.ckpt-8-abc/new").symlink_to(mine.resolve())
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted
    assert files("mine") == before and steps_in("run") == [4, 6]


def test_train_with_a_used_best_folder_raises(few):
    with make() as model:
        model.train(few, steps=1, verbose=False)
        model.save(epoch=1, path="run/best")
        with pytest.raises(FileExistsError, match="run/best: expected a folder without saved models"):
            train(model, few)
    assert steps_in("run/best") == [1]


def test_save_under_a_checkpoints_name_raises(started):
    before = files("run")
    with (
        DigitCNN.restore("run") as model,
        pytest.raises(FileExistsError, match="model.ckpt-4: expected a name to save"),
    ):
        model.save(epoch=4, path="run")
    assert files("run") == before


HOLDER = """
import sys
from pathlib import Path
from digitcnn.saving.lock import lock_folder
with lock_folder(Path("run")):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_train_in_a_locked_folder_raises(started, few, uninterrupted):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        before = files("run")
        with make() as model, pytest.raises(FolderInUseError, match="run: expected a folder that no other process"):
            train(model, few, resume=True)
        assert files("run") == before
        holder.kill()  # the system releases its lock
    with make() as model:
        train(model, few, resume=True)
        assert state(model) == uninterrupted


@contextlib.contextmanager
def file_sizes_limited():
    """Yield a function that limits the size of files, in bytes, until the block ends."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda n_bytes: resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@on_posix
@pytest.mark.parametrize(
    ("n_bytes", "logdir", "message"),
    [
        (50_000, None, r"could not save a model as run/(best/)?model\.ckpt-6"),
        (10, "run", "could not write for TensorBoard into run/validation"),
    ],
)
def test_train_full_disk_raises(few, uninterrupted, n_bytes, logdir, message):
    """No file can grow from step 5 on; the earlier checkpoint stays whole."""
    with (
        file_sizes_limited() as limit,
        make() as model,
        interrupted_at(model, 5, lambda: limit(n_bytes)),
        pytest.raises(OSError, match=message),
    ):
        train(model, few, max_to_keep=1, logdir=logdir)
    assert steps_in("run") == [4]
    with make() as model:
        train(model, few, resume=True, logdir=logdir)
        assert state(model) == uninterrupted


def test_train_folder_deleted_during_training_raises(few):
    with make() as model, interrupted_at(model, 5, lambda: shutil.rmtree("run")):
        with pytest.raises(FileNotFoundError, match="run: expected the folder that this training began in"):
            train(model, few)
        assert model.global_step == 6 and model.predict(few[0]).shape == (130,)
    assert not Path("run").exists()


def test_train_folder_that_cannot_be_made_raises(few):
    Path("file").write_text("in the way")
    for folder in ("file", "file/run"):
        with make() as model, pytest.raises(OSError, match=f"{folder}: expected a folder that can be written"):
            train(model, few, checkpoint_dir=folder)
    assert Path("file").read_text() == "in the way"


@contextlib.contextmanager
def mounted(folder, *options):
    """Mount a separate file system, or skip the test where mounting is not allowed."""
    Path(folder).mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


# A run from the command line: 12 steps an epoch, so many epochs that a signal comes before their end.
RUN = ["train", "--architecture", "softmax", "--seed", "3", "--epochs", "40"]


def cli(*arguments):
    """Run `digitcnn` in a process of its own."""
    return subprocess.run([sys.executable, "-m", "digitcnn", *arguments], capture_output=True, text=True, check=False)


def weights_sha256(run):
    """The SHA-256 of the weights, from the settings of a run that is complete."""
    return json.loads(Path(run, "settings.json").read_text())["weights_sha256"]


@pytest.fixture(scope="module")
def uninterrupted_run(tmp_path_factory):
    """The folder of a run that nothing interrupts."""
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert main([*RUN, "--quiet", "--run", str(folder)]) == 0
    return folder


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_resume_after_a_full_disk(tmp_path, uninterrupted_run, capsys):
    with mounted(str(tmp_path / "small"), "-o", "size=600k"):
        done = cli(*RUN, "--quiet", "--run", "small/run")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert "digitcnn: error: could not save a model as small/run/" in done.stderr
        assert "train --resume small/run" in done.stderr
        with DigitCNN.restore("small/run") as model:
            assert 12 <= model.global_step < 480
        subprocess.run(["mount", "-o", "remount,size=200m", str(tmp_path / "small")], check=True)
        assert main(["train", "--resume", "small/run"]) == 0
        last_line = capsys.readouterr().out.splitlines()[-1]
        assert last_line == f"weights sha256: {weights_sha256(uninterrupted_run)}"


@pytest.mark.skipif(shutil.which("mount") is None, reason="there is no mount")
def test_train_read_only_folder_raises(tmp_path, started, few, capsys):
    with mounted(str(tmp_path / "fixed")):
        shutil.copytree("run", "fixed/run")
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "fixed")], check=True)
        before = files("fixed")
        with make() as model, pytest.raises(OSError, match="fixed/run: expected a folder that can be written"):
            train(model, few, checkpoint_dir="fixed/run", resume=True)
        assert main(["train", "--run", "fixed/new"]) == 1
        assert "found read-only file system" in capsys.readouterr().err
        assert files("fixed") == before


@on_posix
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signal_writes_a_checkpoint(uninterrupted_run, number, status, capsys):
    command = [sys.executable, "-u", "-m", "digitcnn", *RUN, "--run", "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for line in iter(process.stdout.readline, ""):
            if line.startswith("Epoch 01"):
                process.send_signal(number)
                break
        errors = process.communicate()[1]
    assert process.returncode == status and "Traceback" not in errors
    assert "Interrupted; the training so far is saved in run" in errors and "train --resume run" in errors
    assert 12 <= steps_in("run")[-1] < 480
    assert main(["train", "--resume", "run"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"weights sha256: {weights_sha256(uninterrupted_run)}"
    assert Path("run/history.csv").read_bytes() == (uninterrupted_run / "history.csv").read_bytes()


@on_posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("step", [1, 2, 3, 4, 6])
def test_resume_after_a_signal_in_any_step(few, uninterrupted, number, step):
    """Also in the last step of an epoch, whose validation and history row are still to come."""
    ends = {signal.SIGTERM: SystemExit, signal.SIGINT: KeyboardInterrupt}[number]
    with make() as model, interrupted_at(model, step, lambda: signal.raise_signal(number)), pytest.raises(ends):
        train(model, few, checkpoint_every=None)
    assert steps_in("run")[-1] == step
    with make() as model:
        train(model, few, checkpoint_every=None, resume=True)
        assert state(model) == uninterrupted


def test_train_without_checkpoints_leaves_sigterm_alone(few):
    """SIGTERM is held back only with a checkpoint_dir."""
    seen = []
    with make() as model, interrupted_at(model, 2, lambda: seen.append(signal.getsignal(signal.SIGTERM))):
        model.train(few, verbose=False)
    with make() as model, interrupted_at(model, 2, lambda: seen.append(signal.getsignal(signal.SIGTERM))):
        train(model, few)
    assert seen[0] is signal.SIG_DFL and callable(seen[1])
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_bad_checkpoint_arguments_raise(few):
    with make() as model:
        for options, error, message in (
            ({"checkpoint_every": 5}, ValueError, "checkpoint_every: expected a checkpoint_dir"),
            ({"resume": True}, ValueError, "resume: expected a checkpoint_dir"),
            ({"checkpoint_dir": "run", "checkpoint_every": 0}, ValueError, "checkpoint_every: expected a whole number"),
            (
                {"checkpoint_dir": "run", "checkpoint_every": 1.5},
                TypeError,
                "checkpoint_every: expected a whole number",
            ),
            ({"checkpoint_dir": "run", "max_to_keep": 0}, ValueError, "max_to_keep: expected a whole number"),
            ({"checkpoint_dir": "run", "resume": "yes"}, TypeError, "resume: expected True or False"),
            ({"checkpoint_dir": 7}, TypeError, "checkpoint_dir: expected a path"),
        ):
            with pytest.raises(error, match=message):
                model.train(few, verbose=False, **options)
    assert not Path("run").exists()


def test_cli_resume_another_setting_fails(few, capsys):
    begin = ["train", "--recipe", "tutorial", "--architecture", "softmax", "--steps", "3", "--seed", "1"]
    assert main([*begin, "--run", "run", "--quiet"]) == 0
    settings = json.loads(Path("run/settings.json").read_text())
    del settings["test"]  # as if it was interrupted during the test
    Path("run/settings.json").write_text(json.dumps(settings))
    before = files("run")
    for option, message in (
        (["--steps", "4"], "expected steps=3, with which this run began, found 4"),
        (["--learning-rate", "1"], "expected learning_rate=0.0001"),
        (["--data", "mnist"], "expected data='bundled'"),
        (["--validation", "0"], "expected validation=239"),
        (["--recipe", "fast"], "expected recipe='tutorial'"),
    ):
        assert main(["train", "--resume", "run", *option]) == 1
        assert f"digitcnn: error: run: {message}" in capsys.readouterr().err
    assert files("run") == before
    assert main(["train", "--resume", "run", "--steps", "3", "--seed", "1"]) == 0
    assert f"weights sha256: {settings['weights_sha256']}" in capsys.readouterr().out
    assert main(["train", "--resume", "nowhere"]) == 1
    assert "nowhere: expected a run folder, found nothing there" in capsys.readouterr().err


def test_cli_prints_warnings_as_lines(uninterrupted_run):
    shutil.copytree(uninterrupted_run, "run")
    settings = json.loads(Path("run/settings.json").read_text())
    del settings["test"]
    Path("run/settings.json").write_text(json.dumps(settings))
    Path("run/model.ckpt-480.json").write_text("{}")
    done = cli("train", "--resume", "run", "--quiet")
    assert done.returncode == 0 and f"weights sha256: {settings['weights_sha256']}" in done.stdout
    assert done.stderr.startswith("digitcnn: warning: run/model.ckpt-480.json: expected a record with format")
    assert "Traceback" not in done.stderr and ".py" not in done.stderr


def test_weights_sha256_hashes_the_trained_variables_by_name(few):
    import hashlib

    with make("slim") as model:  # moving averages of batch normalization are not trained
        model.train(few, steps=1, verbose=False)
        variables = sorted(model.g.get_collection("trainable_variables"), key=lambda variable: variable.name)
        content = b"".join(np.asarray(value, "<f4").tobytes() for value in model.sess.run(variables))
        assert model.weights_sha256() == hashlib.sha256(content).hexdigest()


def test_resume_on_the_same_machine_does_not_warn(started, few):
    with make() as model, warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, few, resume=True)


def test_kinds_include_every_recipe_and_network():
    has_a_graph_of_its_own = set(RECIPES) - {"tutorial", "small"}
    assert {f"recipe {name}" for name in has_a_graph_of_its_own} == {"recipe fast", "recipe accurate"}
    of_recipes = {RECIPES[name].settings["architecture"] for name in has_a_graph_of_its_own}
    assert {*KINDS} | of_recipes | {"compact"} >= set(ARCHITECTURES)
