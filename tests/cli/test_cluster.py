"""`digitcnn train` with --cluster, TF_CONFIG or Slurm's variables: what it asks for, and starting it again."""

import json
import shutil

import pytest
from conftest import RUN_OPTIONS

from digitcnn.cli.cluster import cluster_of
from digitcnn.cli.main import main, parse

HOSTS = "127.0.0.1:1,127.0.0.1:2"
SHORT = ["train", *RUN_OPTIONS]


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--index", "0"], "--index: expected --cluster HOSTS beside it, found none"),
        (["--cluster", HOSTS], "--cluster: expected --index I beside it"),
        (["--cluster", HOSTS, "--index", "2"], "--cluster, --index: index: expected"),
        (["--cluster", "here", "--index", "0"], "expected addresses 'HOST:PORT', found 'here'"),
        (["--cluster", HOSTS, "--index", "0", "--run", "r"], "expected --seed N and --run DIR beside it"),
        (["--cluster", HOSTS, "--index", "0", "--seed", "1"], "found no --run"),
    ],
)
def test_incomplete_options_are_a_sentence(options, message, capsys, tmp_path):
    assert main(["train", "--architecture", "softmax", *options]) == 1
    assert message in capsys.readouterr().err and list(tmp_path.iterdir()) == []


def test_tf_config_is_read_and_can_be_overruled(monkeypatch):
    config = {"cluster": {"worker": HOSTS.split(",")}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    complete = [*SHORT, "--run", "r"]
    assert cluster_of(parse(complete)).index == 1
    assert cluster_of(parse([*complete, "--cluster", "none"])) is None
    with pytest.raises(
        ValueError, match=r"^TF_CONFIG \(--cluster none trains alone\): expected --seed N and --run DIR"
    ):
        cluster_of(parse(["train"]))


@pytest.mark.parametrize("name", ["a run", "a run/", "./a run"])
def test_worker_0_that_is_started_again_continues_its_run(name, finished_run, capsys):
    """Its run is complete, so that it needs no other worker."""
    folder, first = finished_run
    shutil.copytree(folder, "a run")
    again = [*SHORT, "--run", name, "--cluster", HOSTS, "--index", "0"]
    assert main(again) == 0
    shown = capsys.readouterr().out
    assert "a run is complete" in shown and shown.endswith(first)
    assert main([*again, "--learning-rate", "0.5"]) == 1
    assert "expected learning_rate=0.001, with which this run began, found 0.5" in capsys.readouterr().err
