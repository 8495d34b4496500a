"""`digitcnn search` on one machine: real worker processes, kills, resuming, what is refused, what is left."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("joblib", reason="joblib is not installed")

from searching import SEARCH, SECONDS, children, command_of, is_alive, rows, wait_for

from digitcnn import DigitCNN
from digitcnn.cli.main import main

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc to see processes in")


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """The folder of a search, done one job after another; its name has signs that patterns obey."""
    folder = tmp_path_factory.mktemp("searched") / "found [1] ~"
    assert main([*SEARCH, "--out", str(folder), "--quiet"]) == 0
    return folder


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_search_records_what_a_training_alone_gives(searched, digits):
    found = rows(searched)
    assert [(row["job"], row["learning_rate"], row["seed"]) for row in found] == [
        ("1", "0.001", "1"),
        ("2", "0.001", "2"),
        ("3", "0.01", "1"),
        ("4", "0.01", "2"),
    ]
    training, validation = digits.split(239)
    with DigitCNN(architecture="softmax", learning_rate=1e-2, random_seed=2) as model:
        model.train(training, epochs=60, verbose=False)
        accuracy = model.evaluate(*validation)["accuracy"]
    assert abs(float(found[3]["accuracy"]) - accuracy) < 0.005, "to the bit only with as many threads"
    assert {row["steps"] for row in found} == {"720"} and len({row["weights_sha256"] for row in found}) == 4
    times = (searched / "times.csv").read_text(encoding="utf-8").splitlines()
    assert len(times) == 5 and times[0] == "job,seconds,worker"


def test_complete_search_is_shown_again_and_nothing_is_done(searched, capsys):
    before = files(searched)
    assert main([*SEARCH, "--out", str(searched)]) == 0
    assert files(searched) == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("the last 239 validated on; 4 jobs, 4 of them done before, each with 1 thread")
    assert lines[1].split() == ["learning_rate", "architecture", "accuracy", "std", "loss", "runs"]
    best = [float(row["accuracy"]) for row in rows(searched) if row["learning_rate"] == "0.01"]
    assert lines[2].split()[:3] == ["0.01", "softmax", f"{sum(best) / 2:.2%}"] and lines[3].split()[0] == "0.001"
    assert lines[-1].split("    ")[0] == "  digitcnn train --architecture softmax --epochs 60 --learning-rate 0.01"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--seeds", "1", "2", "3"], "expected seeds=[1, 2], with which this search began, found [1, 2, 3]"),
        (["--epochs", "6"], "expected epochs=60, with which this search began, found 6"),
        (["--threads", "2"], "expected threads=1, with which this search began, found 2"),
        (["--grid", "dropout=0"], "expected grid={'learning_rate': [0.001, 0.01], 'architecture': ['softmax']}, with"),
        (["--validation", "100"], "expected validation=None, with which this search began, found 100"),
    ],
)
def test_another_search_in_the_folder_is_refused_by_its_difference(searched, change, message, capsys):
    before = files(searched)
    assert main([*SEARCH, *change, "--out", str(searched)]) == 1
    assert message in capsys.readouterr().err and files(searched) == before


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("search.json", b"{}", "search.json: expected a search as this version writes it, found: names: expected"),
        ("search.json", b"\x89PNG", "search.json: expected a search as this version writes it, found"),
        ("jobs/*", b'{"job": {}}', "expected a job's result, found: names: expected job, result"),
        ("jobs/*", b"", "delete it, and the job is done again"),
    ],
)
def test_damaged_file_is_named_and_nothing_changes(searched, name, content, message, capsys):
    copy = Path(shutil.copytree(searched, "copy"))
    [*_, file] = copy.glob(name)
    file.write_bytes(content)
    before = files(copy)
    assert main([*SEARCH, "--out", "copy"]) == 1
    error = capsys.readouterr().err
    assert message in error and "Traceback" not in error and files(copy) == before


def test_folder_of_others_is_left_alone(capsys):
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("mine")
    Path("file").write_text("mine")
    assert main([*SEARCH, "--out", "mine"]) == 1
    assert "mine: expected a new or empty folder, or that of a search to resume" in capsys.readouterr().err
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]
    assert main([*SEARCH, "--out", "file"]) == 1
    assert "file: expected a new folder, or that of a search, found a file or a link" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--grid", "learning_rat=1"], 2, "--grid: setting: expected one of"),
        (["--grid", "learning_rat=1"], 2, "did you mean 'learning_rate'?"),
        (["--grid", "dropout=0", "dropout=0.5"], 1, "--grid: expected each setting once, found dropout twice"),
        (["--grid", "dropout=0", "--seeds", "1", "1"], 1, "--seeds: expected each seed once, found 1 twice"),
        (["--grid", "dropout=0", "--folds", "1"], 2, "--folds: expected a whole number in 2..1000, found '1'"),
        (["--grid", "dropout=0", "--validation", "0"], 2, "--validation: expected a whole number in 1.."),
        (["--range", "dropout=0..0.5"], 1, "--range: expected --random N beside it"),
        (["--random", "3"], 1, "--random: expected --range or --grid beside it, found neither"),
        (["--grid", "dropout=0", "--jobs", "2", "--dask", "x"], 2, "not allowed with argument --jobs"),
        (["--grid", "shift=1,15"], 1, "shift=15.0: shift: expected pixels in 0..14, found 15.0"),
        (["--grid", "dropout=0", "--data", "minst"], 1, "did you mean 'mnist'?"),
    ],
)
def test_mistake_is_a_sentence_and_makes_no_folder(arguments, status, message, capsys):
    try:
        found = main(["search", *arguments, "--out", "out"])
    except SystemExit as error:
        found = error.code
    error = capsys.readouterr().err
    assert found == status and message in error and "Traceback" not in error
    assert not Path("out").exists()


def test_failing_job_is_a_row_and_the_others_go_on(capsys, monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # without bfloat16, which only the graph's maker finds out
    search = ["search", "--grid", "precision=bfloat16,float32", "architecture=softmax", "--steps", "1"]
    assert main([*search, "--out", "out"]) == 1
    bfloat16, float32 = rows("out")
    assert bfloat16["error"].startswith("precision: expected 'auto' or 'float32' on this machine, found 'bfloat16'")
    assert not bfloat16["accuracy"] and float32["accuracy"] and not float32["error"]
    shown = capsys.readouterr()
    assert "expected a result of each job, found 1 that failed" in shown.err and "Traceback" not in shown.err
    assert "0, 1 failed" in shown.out and len(list(Path("out/jobs").iterdir())) == 1


def start(*options):
    command = [sys.executable, "-m", "digitcnn", *SEARCH, "--out", "out", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@needs_proc
def test_killed_worker_and_killed_coordinator_cost_their_jobs_only(searched):
    """A worker is killed, then the coordinator: no process stays, and the same command ends with the same rows."""
    first = start("--jobs", "2")
    wait_for(lambda: first.stdout.readline().startswith("[1/4]"), "the first job")
    workers = [number for number in children(first.pid) if "resource_tracker" not in command_of(number)]
    os.kill(workers[0], signal.SIGKILL)
    remarks = []
    wait_for(
        lambda: (
            remarks.append(first.stderr.readline()) or "its worker process ended; the job is done again" in remarks[-1]
        ),
        "the end of a worker",
    )
    wait_for(lambda: first.stdout.readline().startswith("[2/4]"), "another job")
    left = children(first.pid)
    first.kill()
    remarks.append(first.communicate()[1])
    assert "Traceback" not in "".join(remarks)
    wait_for(lambda: not any(map(is_alive, left)), "the end of the workers")
    done = {file: file.read_bytes() for file in Path("out/jobs").glob("*.json")}
    assert len(done) >= 2
    Path("out/jobs/.0123.json-0a1b2c3d").write_text("half")  # as a process leaves it that is killed in writing
    assert main([*SEARCH, "--out", "out", "--jobs", "2"]) == 0  # as many threads as in the sequential search
    assert Path("out/results.csv").read_bytes() == (searched / "results.csv").read_bytes()
    assert len(list(Path("out/jobs").iterdir())) == 4 and {file: file.read_bytes() for file in done} == done
    trials = {path.name for path in Path("out/tensorboard").iterdir() if path.is_dir()}
    assert trials == {f"job-000{number}" for number in range(1, 5)}


@needs_proc
@pytest.mark.parametrize(
    ("number", "status", "line"), [(signal.SIGINT, 130, "[1/4]"), (signal.SIGTERM, 143, "Searching")]
)
def test_interrupted_search_ends_its_processes_and_says_how_to_resume(number, status, line):
    process = start()
    wait_for(lambda: process.stdout.readline().startswith(line), line)
    wait_for(lambda: children(process.pid), "a worker")
    workers = children(process.pid)
    process.send_signal(number)
    error = process.communicate(timeout=SECONDS)[1]
    assert process.returncode == status and "Traceback" not in error and "resource_tracker" not in error
    assert "of 4 jobs are recorded in out; the same command resumes" in error
    wait_for(lambda: not any(map(is_alive, workers)), "the end of the workers")
    assert len(rows("out")) == len(list(Path("out/jobs").iterdir())) >= (line == "[1/4]")


def test_two_coordinators_do_not_share_a_folder(capsys):
    Path("out").mkdir()
    code = "from digitcnn.saving.lock import *; held = lock_folder(Path('out')); print(1, flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline()
        assert main([*SEARCH, "--out", "out"]) == 1
        holder.communicate(b"\n")
    assert "out: expected a folder that no other process" in capsys.readouterr().err


def test_trials_are_what_tensorboard_s_hparams_reads(searched):
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.plugins.hparams import plugin_data_pb2
    from tensorboard.util.tensor_util import make_ndarray

    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(searched))
    multiplexer.Reload()
    groups, results = {}, rows(searched)
    for run, tags in multiplexer.PluginRunToTagToContent("hparams").items():
        for content in tags.values():
            data = plugin_data_pb2.HParamsPluginData.FromString(content)
            if data.HasField("experiment"):
                assert [info.name for info in data.experiment.hparam_infos] == ["learning_rate", "architecture"]
                assert {info.name.tag for info in data.experiment.metric_infos} == {"accuracy", "loss"}
            if data.HasField("session_start_info"):
                number = int(run.rpartition("-")[2])
                rate = data.session_start_info.hparams["learning_rate"].number_value
                groups.setdefault(data.session_start_info.group_name, []).append((number, rate))
                [*_, last] = multiplexer.Tensors(run, "accuracy")
                assert abs(make_ndarray(last.tensor_proto) - float(results[number - 1]["accuracy"])) < 1e-6
    assert sorted(sorted(group) for group in groups.values()) == [[(1, 0.001), (2, 0.001)], [(3, 0.01), (4, 0.01)]]


def test_job_s_file_has_all_settings(searched):
    content = json.loads(next((searched / "jobs").glob("*.json")).read_text())
    assert content["job"]["settings"]["batchsize"] == 100 and content["job"]["threads"] == 1
    assert content["result"]["machine"]["computes_in"] in ("float32", "bfloat16")
