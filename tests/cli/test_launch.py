"""`digitcnn launch`: what its workers are given, and a real training under it. tests/cluster has the supervision."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from digitcnn.cli import launch
from digitcnn.cli.commands import PLAN, SETTINGS
from digitcnn.cli.main import main, parse
from digitcnn.cluster.ports import choose_ports
from digitcnn.settings import Settings, settings_dict, shaping_settings
from digitcnn.tensorboard.summaries import SUMMARIES

SHORT = ["train", "--architecture", "softmax", "--steps", "2"]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run by plain training."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    assert main([*SHORT, "--seed", "1", "--quiet", "--run", str(folder)]) == 0
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
    arguments = parse(["launch", "--workers", "1", "--", *SHORT])
    arguments.train.cluster, arguments.train.index = "a:1,b:1", 1
    assert launch.run(arguments) == 0 and supervised == {"1": SHORT, "limits": supervised["limits"]}


WAYS = {
    "recipe": {
        "recipe": "fast",
        "steps": 3,
        "settings": {"rotation": 7.0, "learning_rate": 1e-5 / 3, "schedule": "one_cycle"},
    },
    "pretrained": {"start": "pretrained", "epochs": 2, "checkpoint_every": 7, "settings": {"dropout": 0.25}},
    "epochs": {"epochs": 1, "summaries": list(SUMMARIES)[:2], "settings": {"architecture": "strided", "batchsize": 7}},
}


@pytest.mark.parametrize("way", WAYS)
def test_resume_gives_workers_all_that_the_run_began_with(way, trained, supervised, capsys):
    """Each option has the value of the record, so that a command which compares them finds no difference."""
    record = json.loads((trained / "settings.json").read_text()) | {"steps": None, "epochs": None} | WAYS[way]
    record["settings"] = settings_dict(Settings(random_seed=11, **WAYS[way]["settings"]))
    Path("a run").mkdir()
    Path("a run", "settings.json").write_text(json.dumps(record))
    assert main(["launch", "--workers", "2", "--", "train", "--resume=a run", "--quiet"]) == 0
    assert "all workers resume 'a run'" in capsys.readouterr().err
    words = supervised["0"]
    assert supervised["1"][:-1] == words[:-1] and words[-5:-3] == ["--quiet", "--cluster"]
    given = vars(parse(words[:-4]))
    recorded = record["settings"] | record | {"validation": record["n_validation"], "run": "a run"}
    for name in {*SETTINGS, *PLAN} - ({*shaping_settings()} - {"schedule"} if way == "pretrained" else set()):
        assert given[name] == (recorded[name] or None if name == "summaries" else recorded[name]), name
    assert given["resume"] is None and given["data"] == record["data_folder"] and given["quiet"]


def test_resume_with_options_of_its_own(trained, supervised):
    """They come after those of the record, which a worker compares them with."""
    words = ["--steps", "9", "--res", str(trained), "--data", "mnist"]
    assert main(["launch", "--workers", "1", "--", "train", *words]) == 0
    assert supervised["0"][-8:-4] == ["--steps", "9", "--data", "mnist"]
    assert not any(word.startswith(("--res", "--data=")) for word in supervised["0"])


def test_same_command_again_has_the_seed_of_the_run(trained, supervised):
    assert main(["launch", "--workers", "2", "--", *SHORT, "--run", str(trained)]) == 0
    assert value_of(supervised["0"], "--seed") == "1"


def test_training_under_the_launcher(trained, tmp_path):
    """One worker, with the weights of plain training; from a folder with a file that Python must not import."""
    (tmp_path / "random.py").write_text("raise SystemExit('imported')")
    port = choose_ports(1)[0]
    cluster = {"cluster": {"worker": [f"127.0.0.1:{port}"]}, "task": {"type": "worker", "index": 0}}
    program = "import sys; sys.path.remove('')\nfrom digitcnn.cli.main import main\nstatus = main(sys.argv[1:])\n"
    program += "sys.exit('TensorFlow' if 'tensorflow' in sys.modules else status)"
    command = [sys.executable, "-c", program, "launch", "--workers", "1", "--", *SHORT, "--seed", "1", "--run", "r [1]"]
    environment = {**os.environ, "TF_CONFIG": json.dumps(cluster)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and all(line.startswith("[") for line in done.stdout.splitlines())
    weights = json.loads((trained / "settings.json").read_text())["weights_sha256"]
    assert re.fullmatch(rf"\[\w+\] weights sha256: {weights}", done.stdout.splitlines()[-1])
