"""A training that is killed, or gets a signal, at any moment and is resumed ends with the same bits."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from resuming import files, interrupted_at, make, on_posix, state, steps_in, train, uninterrupted

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
def test_resume_after_a_kill_in_the_middle(tmp_path):
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
        return process

    process = start("uninterrupted")
    expected = process.communicate()[0]
    assert len(expected.splitlines()) == len(kinds) and process.returncode == 0
    for kind in kinds:
        process, end = start("killed"), time.monotonic() + 120
        while not steps_in(Path("killed", kind)):  # then the machine decides in which part of a step
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.002)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = start("killed")
    assert process.communicate()[0] == expected
    assert not list(Path("killed").rglob(".model*"))


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
