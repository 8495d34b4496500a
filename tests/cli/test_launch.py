"""`digitcnn launch`: what its workers are given, and a real training under it. tests/cluster has the supervision."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from digitcnn import DigitCNN
from digitcnn.cli import launch
from digitcnn.cli.main import main, parse
from digitcnn.cluster.ports import choose_ports
from digitcnn.settings import Settings, settings_dict

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="it finds the worker in /proc")
SHORT = ["train", "--architecture", "softmax", "--steps", "2"]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def begun():
    """The folder of a run that has begun, latest of all runs."""
    settings = settings_dict(Settings(architecture="softmax", random_seed=12))
    record = {"data": "bundled", "data_folder": "there", "n_training": 1198, "n_validation": 239, "epochs": 1}
    record |= {"steps": None, "checkpoint_every": None, "max_to_keep": 2, "settings": settings}
    folder = Path("logs", "a run")
    folder.mkdir(parents=True)
    (folder / "settings.json").write_text(json.dumps(record))
    (folder / "model.ckpt-2.json").touch()
    return folder


@pytest.fixture
def supervised(monkeypatch):
    """The commands that a launcher would start, in place of starting them."""
    found = {}

    def supervise(commands, limits):
        found.update(commands)
        found["limits"] = limits
        return 0

    monkeypatch.setattr(launch, "_supervise", supervise)
    return found


def value_of(words, option):
    return next(word.partition("=")[2] for word in words if word.startswith(f"{option}="))


def test_workers_get_one_cluster_seed_and_run(supervised, capsys):
    assert main(["launch", "--workers", "3", "--", *SHORT]) == 0
    commands = [supervised[str(number)] for number in range(3)]
    hosts = {words[words.index("--cluster") + 1] for words in commands}
    assert len(hosts) == 1 and len(set(re.findall(r"127\.0\.0\.1:(\d+)", hosts.pop()))) == 3
    assert [words[-2:] for words in commands] == [["--index", str(number)] for number in range(3)]
    assert len({tuple(words[:-1]) for words in commands}) == 1 and commands[0][: len(SHORT)] == SHORT
    seed, run = value_of(commands[0], "--seed"), value_of(commands[0], "--run")
    assert re.fullmatch(r"logs[/\\][\d]{8}-\d{6}-bundled-softmax", run) and int(seed) >= 0
    shown = capsys.readouterr()
    assert f"--seed={seed}" in shown.err and run in shown.err and shown.out == ""
    assert not Path(run).exists(), "an empty folder is of no use"


def test_given_seed_run_and_ports_stay(supervised, capsys):
    port = choose_ports(1)[0]
    words = [*SHORT, "--seed", "5", "--run", "a folder"]
    assert main(["launch", "--workers", "1", "--port", str(port), "--max-restarts", "0", "--", *words]) == 0
    assert supervised["0"] == [*words, "--cluster", f"127.0.0.1:{port}", "--index", "0"]
    assert supervised["limits"].max_restarts == 0 and capsys.readouterr().err == ""


def test_name_of_a_new_run(supervised):
    for words, what in ((["--recipe", "fast"], "fast"), (["--from", "pretrained"], "pretrained"), ([], "2-workers")):
        assert main(["launch", "--workers", "2", "--", "train", "--data", "x y/mnist", *words]) == 0
        assert value_of(supervised["0"], "--run").endswith(f"-mnist-{what}")


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--workers", "2"], 2, "COMMAND: expected '-- train' and its options last, found nothing after '--'"),
        (["--workers", "2", "--"], 2, "found nothing"),
        (["--workers", "2", "--", "evaluate"], 2, "found 'evaluate'"),
        (["--workers", "2", "train", "--steps", "2"], 2, "unrecognized arguments: train --steps 2; expected -- before"),
        (["--", "train"], 2, "required: --workers"),
        (["--workers", "0", "--", "train"], 2, "--workers: expected a whole number in 1..256, found '0'"),
        (["--workers", "2", "--port", "0", "--", "train"], 2, "--port: expected a whole number in 1..65535, found '0'"),
        (["--workers", "2", "--port", "65535", "--", "train"], 1, "--port: expected a number in 1..65534"),
        (["--workers", "2", "--", "train", "--bogus"], 2, "digitcnn train: error: unrecognized arguments: --bogus"),
        (["--workers", "2", "--", "train", "--dropout", "3"], 2, "digitcnn train: error: argument --dropout"),
        (["--workers", "2", "--", "train", "--index", "1"], 1, "--index: expected none, as each worker gets its own"),
        (["--workers", "2", "--", "train", "--", "x"], 2, "unrecognized arguments: "),
        (["--workers", "2", "--", "train", "--resume", "none"], 1, "none: expected a run folder, found nothing there"),
        (["--workers", "2", "--", "train", "--resume", "latest"], 1, "logs: expected a run with a saved model"),
    ],
)
def test_mistakes_are_reported_before_anything_is_started(words, status, message, supervised, capsys, tmp_path):
    try:
        found = main(["launch", *words])
    except SystemExit as ended:
        found = ended.code
    assert found == status and message in " ".join(capsys.readouterr().err.split())
    assert not supervised and not list(tmp_path.iterdir())


def test_port_in_use_is_reported(supervised, capsys):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert main(["launch", "--workers", "1", "--port", str(port), "--", *SHORT]) == 1
    assert f"--port: expected 1 free ports from {port} on" in capsys.readouterr().err and not supervised


@pytest.mark.parametrize("variable", ["TF_CONFIG", "SLURM_STEP_NUM_TASKS"])
def test_worker_of_a_real_cluster_is_supervised_alone(variable, supervised, monkeypatch, capsys):
    monkeypatch.setenv(variable, "2")
    assert main(["launch", "--workers", "2", "--", *SHORT]) == 1
    message = capsys.readouterr().err
    assert "--workers: expected 1, as" in message and "found 2" in message
    assert main(["launch", "--workers", "1", "--port", "9000", "--", *SHORT]) == 1
    assert "--port: expected none" in capsys.readouterr().err and not supervised
    assert main(["launch", "--workers", "1", "--", *SHORT]) == 0
    assert supervised["worker"] == SHORT and capsys.readouterr().err == ""


def test_slurm_job_of_one_task_is_no_cluster(supervised, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    assert main(["launch", "--workers", "2", "--", *SHORT]) == 0 and set(supervised) == {"0", "1", "limits"}


def test_cluster_in_the_command_is_supervised_alone(supervised):
    words = [*SHORT, "--cluster", "a:1,b:1", "--index", "1"]
    assert main(["launch", "--workers", "1", "--", *words]) == 0
    assert supervised == {"1": words, "limits": supervised["limits"]}


def test_resume_names_the_run_for_all_restarts(begun, supervised):
    """Another run may be the latest when a worker is restarted."""
    assert main(["launch", "--workers", "2", "--", "train", "--resume", "latest", "--quiet"]) == 0
    assert supervised["1"][:-4] == ["train", "--resume", "latest", "--quiet", f"--resume={begun}"]
    assert parse(supervised["1"]).resume == str(begun)


def test_same_command_again_has_the_seed_of_the_run(begun, supervised):
    assert main(["launch", "--workers", "2", "--", *SHORT, "--run", str(begun)]) == 0
    assert value_of(supervised["0"], "--seed") == "12"


@on_linux
def test_two_workers_train_though_one_is_killed(tmp_path, digits):
    """From a folder with a file that Python must not import; the launcher needs no TensorFlow."""
    (tmp_path / "random.py").write_text("raise SystemExit('imported')")
    program = "import sys; sys.path.remove('')\nfrom digitcnn.cli.main import main\nstatus = main(sys.argv[1:])\n"
    program += "sys.exit('TensorFlow' if 'tensorflow' in sys.modules else status)"
    train = ["train", "--architecture", "softmax", "--steps", "200", "--checkpoint-every", "20", "--run", "a [1]"]
    train += ["--precision", "float32"]  # in bfloat16, sessions in one process fuse other operations
    kill = threading.Thread(target=kill_a_worker, args=(Path("a [1]"), 1))
    kill.start()
    command = [sys.executable, "-c", program, "launch", "--workers", "2", "--", *train]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    kill.join()
    assert done.returncode == 0 and "by SIGKILL; restart 1 of 20 in 1 s" in done.stderr, done.stderr
    assert all(re.match(r"\[[01]\] ", line) for line in done.stdout.splitlines())
    digests = re.findall(r"\[([01])\] .*weights sha256: (\w+)", done.stdout)
    assert [name for name, _ in sorted(digests)] == ["0", "1"] and len({digest for _, digest in digests}) == 1
    description = json.loads(Path("a [1]", "settings.json").read_text())
    assert description["weights_sha256"] == digests[0][1]
    with DigitCNN(**description["settings"]) as undisturbed:  # two devices compute what two workers do
        training, validation = digits.split(description["n_validation"])
        undisturbed.train(training, validation, steps=200, devices=2, verbose=False)
        assert undisturbed.weights_sha256() == description["weights_sha256"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_under_the_output_is_an_error_at_the_end():
    command = [sys.executable, "-m", "digitcnn", "launch", "--workers", "1", "--", *SHORT, "--seed", "1", "--run", "r"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=300)
    assert done.returncode == 1 and "standard output: expected a place that can be written" in done.stderr
    assert "weights_sha256" in json.loads(Path("r", "settings.json").read_text()), "it is complete"


def kill_a_worker(run, index):
    """Kill a worker of a run as soon as there is a checkpoint."""
    deadline = time.monotonic() + 300
    while not list(run.glob("model.ckpt-*.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if str(run).encode() in words and words[-3:-1] == [b"--index", str(index).encode()]:
                os.kill(int(folder.name), signal.SIGKILL)
