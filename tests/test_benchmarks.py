"""The benchmarks run: each installed contestant, the tables, the plot. Speed is not asserted."""

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from digitcnn import DigitCNN


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    """Put the folder of the benchmarks on the path, as running one does."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))


# In processes of their own, as in the benchmarks: PyTorch's CUDA build aborts in one that has loaded TensorFlow.
CONTESTANT = """
import sys
import numpy as np
from contestants import CONTESTANTS, MORE
from digitcnn import load_dataset

digits = load_dataset("bundled")
X, y = digits.train_images[:600], digits.train_labels[:600]
standardized = ((X - X.mean(axis=0)) / X.std()).astype(np.float32)
for name in sys.argv[1:]:
    try:
        contestant = {**CONTESTANTS, **MORE}[name](1)
    except ImportError as error:
        print(error.name)
        sys.exit(77)
    images = X if contestant.takes_pixels else standardized
    contestant.start(images, y)
    for _ in range(4):
        contestant.train_epoch(images, y)
    predicted = contestant.predict(images)
    assert predicted.shape == (600,) and (predicted == y).mean() > 0.5, name
    assert contestant.predict(images[:1])[0] in range(10), name
"""
WITH_TENSORFLOW = ("digitcnn auto", "tutorial's loop", "Keras", "Keras called")  # one process imports it for all


@pytest.mark.parametrize(
    "names", [WITH_TENSORFLOW, ("PyTorch bfloat16 channels_last",), ("JAX",)], ids=["TensorFlow", "PyTorch", "JAX"]
)
def test_contestants_train_and_predict(names):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests" / "benchmarks")}
    command = [sys.executable, "-c", CONTESTANT, *names]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=300)
    if done.returncode == 77:
        pytest.skip(f"{done.stdout.strip()} is not installed")
    assert done.returncode == 0, done.stderr


def test_tensorboard_cost_runs(capsys, monkeypatch):
    import tensorboard_cost

    monkeypatch.setattr(sys, "argv", ["x", "--data", "bundled", "--images", "200", "--rounds", "1"])
    assert tensorboard_cost.main() in (0, 1)  # the time of so few images means nothing
    assert "180 images in batches of 100: " in capsys.readouterr().out


def run_without_torch(tmp_path, program, *arguments):
    """Run a benchmark where `import torch` fails; return its output."""
    (tmp_path / "torch.py").write_text("raise ImportError('not here', name='torch')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, str(ROOT / "tests" / "benchmarks" / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_speed_skips_missing_peer(tmp_path):
    printed = run_without_torch(tmp_path, "speed.py", "--data", "bundled", "--contestants", "PyTorch float32")
    assert "PyTorch float32: skipped, torch is not installed" in printed


def test_peers_prints_facts_and_skips_missing_peer(tmp_path):
    """One section needs only TensorFlow; the peer of the other is missing."""
    versions, *lines = run_without_torch(tmp_path, "peers.py", "--only", "saver", "pytorch-file").splitlines()
    assert f"numpy {np.__version__}" in versions and len(lines) == 2
    assert lines[0].startswith("saver: a flipped bit in a checkpoint: detected, DataLossError: Checksum does not match")
    assert lines[1].startswith("pytorch-file: skipped, torch is not installed") and "pip install torch" in lines[1]


def test_speed_table_ratios_and_plot(tmp_path):
    import speed

    one = {"train": [4.0, 2.0, 3.0], "predict": [10.0, 30.0, 20.0], "predict_one": [0.002, 0.001, 0.003]}
    rest = {"import": 1.0, "first step": 0.5, "memory": 2e9, "accuracy": 0.9876}
    raw = {"digitcnn float32": one | rest, "JAX": one | rest | {"train": [2.0, 2.0, 1.0]}}
    results = {name: speed.medians(figures) for name, figures in raw.items()}
    lines = speed.table({"float32": 1e-6, "bfloat16": 2e-6}, results).splitlines()
    assert len(lines) == 4 and "| 98.76% |" in lines[2] and f"{3 * speed.TRAINING_FLOP / 1e3:.0%}" in lines[2]
    assert "to JAX: training 2.00 times as fast, prediction 1.00, one image 1.00" in speed.ratios(raw)
    speed.draw(results, tmp_path / "speed.png")
    with Image.open(tmp_path / "speed.png") as picture:
        assert picture.width > 500


def write_runs(folder, row, n_runs, **facts):
    """Runs of the record, of which run k is wrong about image k."""
    labels = np.arange(40) % 10
    for seed in range(1, n_runs + 1):
        (folder / row / str(seed)).mkdir(parents=True)
        probabilities = np.eye(10, dtype=np.float32)[(labels + (np.arange(40) == seed)) % 10]
        np.save(folder / row / str(seed) / "probabilities.npy", probabilities)
        run = {"seed": seed, "accuracy": 39 / 40, "seconds": None, "tutorial_seconds": None, **facts}
        (folder / row / str(seed) / "run.json").write_text(json.dumps(run))
    return labels


def test_record_table_has_intervals_of_independent_runs_alone(tmp_path, capsys):
    from record_table import write_table

    labels = write_runs(tmp_path, "accurate", 13)
    write_runs(tmp_path, "distilled", 2, teachers=[1, 2, 3, 4, 5], tflop=2.0)
    write_table(tmp_path, ["accurate", "distilled", "absent"], labels)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "| accurate | 13 | 97.500% | 0.000% | 97.500% to 97.500% | 97.50% | - | - | - | - |"
    assert lines[3] == "| accurate, five voting: mean | 5 | 100.000% | 0.000% | - | 100.00% | - | - | - | - |"
    assert all(line.split(" | ")[4] == "-" for line in lines[3:8]) and "nan" not in "".join(lines)
    assert lines[8].startswith("| distilled | 2 |") and lines[8].endswith(" | - | - | - | 2.0 |")
    assert lines[8].split(" | ")[4] == "-", "runs that share teachers are not independent"
    assert lines[9] == (
        "Times and TFLOP of distilled leave out the trainings of its teachers, and TFLOP their answers."
    )
    for row in ("deep", "compact"):
        write_runs(tmp_path, row, 5)
    write_table(tmp_path, ["accurate", "deep", "compact"], labels)
    voting = [line for line in capsys.readouterr().out.splitlines() if "five voting: majority" in line]
    assert voting[1].startswith("| 2 accurate + 2 deep + 1 compact, five voting: majority | 5 | ") and len(voting) == 2


def test_record_names_mistakes_that_no_draw_doubts(tmp_path, capsys):
    """All networks contradict the label of image 30, surely, and that of image 31 in doubt."""
    from record_table import MIXTURE, write_table

    wrong, doubted = 30, 31
    for row in MIXTURE:
        labels = np.concatenate([write_runs(tmp_path, row, 5), np.zeros(160, int)])  # of 200, one is rejected
        for file in (tmp_path / row).glob("*/probabilities.npy"):
            probabilities = np.eye(10, dtype=np.float32)[labels]
            probabilities[:40] = np.load(file)
            probabilities[wrong] = np.eye(10)[(labels[wrong] + 1) % 10]
            probabilities[doubted] = 0.45 * np.eye(10)[labels[doubted]] + 0.55 * np.eye(10)[(labels[doubted] + 1) % 10]
            np.save(file, probabilities)
    write_table(tmp_path, list(MIXTURE), labels)
    expected = "Images that all 5 draws are wrong about and do not reject: "
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith(expected))
    assert line == f"{expected}{wrong}; 15 to 15 of 15 networks are wrong about each (sure_mistakes.csv)"
    with (tmp_path / "sure_mistakes.csv").open() as stream:
        first = next(csv.DictReader(stream))  # the other ones are not in every draw
    assert list(first.values()) == ["30", "0", "1", "1.0", "5", "15", "15"]


def test_record_compares_times_with_whole_loops(tmp_path, capsys):
    """A loop that was killed has no time; without any, an epoch beside each run is all that there is."""
    from record_table import LOOP, write_table

    labels = write_runs(tmp_path, "fast", 1, seconds=10.0, tutorial_seconds=200.0)
    write_table(tmp_path, ["fast"], labels)
    assert capsys.readouterr().out.splitlines()[2].endswith(" | 10 | - | 0.050 | - |")
    write_runs(tmp_path, LOOP, 2, seconds=250.0, tutorial_seconds=200.0)
    killed = tmp_path / LOOP / "2" / "run.json"
    killed.write_text(json.dumps(json.loads(killed.read_text()) | {"seconds": None, "tutorial_seconds": None}))
    write_table(tmp_path, ["fast", LOOP], labels)
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].endswith(" | 10 | 0.040 | 0.050 | - |") and lines[3].endswith(" | 250 | 1.000 | 1.250 | - |")


def test_record_without_teachers_makes_nothing(tmp_path, monkeypatch):
    """Teachers are drawn from the first four seeds of each kind, whatever comes later."""
    import record
    from record_rows import ROWS

    monkeypatch.setattr(sys, "argv", ["x", "--data", "bundled", "--out", str(tmp_path / "out"), "--rows", "distilled"])
    with pytest.raises(SystemExit, match="distilled: expected runs of accurate with seeds 1 to 4, found none of"):
        record.main()
    assert not (tmp_path / "out").exists()
    found = {}
    for folder, n_runs in (("few", 4), ("many", 17)):
        for row in ("accurate", "deep", "compact"):
            write_runs(tmp_path / folder, row, n_runs)
        teachers = [ROWS["distilled"].teachers(tmp_path / folder, seed) for seed in range(1, 6)]
        found[folder] = [[path.relative_to(tmp_path / folder).as_posix() for path in drawn] for drawn in teachers]
    assert found["few"] == found["many"]
    for drawn in found["few"]:
        assert [path.partition("/")[0] for path in drawn] == ["accurate", "accurate", "deep", "deep", "compact"]
        assert len(set(drawn)) == 5


def test_exports_prints_row_per_format(capsys):
    import exports

    exports.main(["--data", "bundled", "--architectures", "softmax", "--epochs", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6, lines  # two lines of heading, and a row or a message for each format
    assert lines[2].startswith("| softmax | ") and lines[2].endswith(" | 100.00% |")


def test_handwriting_prints_rows(digits, tmp_path, monkeypatch, capsys):
    import handwriting

    with DigitCNN(architecture="softmax", epochs=1, random_seed=1) as model:
        model.train((digits.train_images[:200], digits.train_labels[:200]), verbose=False)
        model.save(path=tmp_path / "model")
    folder = tmp_path / "data" / "handwriting"
    folder.mkdir(parents=True)
    Image.fromarray(255 - digits.test_images[0].reshape(28, 28)).save(folder / "a.png")
    (folder / "labels.csv").write_text("file,kind,writer,label,note\na.png,digit,somebody,7,photo\npage.png,page,x,,\n")
    handwriting.main(["--run", str(tmp_path / "model"), "--data-dir", str(tmp_path / "data"), "--messy", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:6]] == ["| somebody", "| photos", "| all real pictures", "| messy"]
    assert lines[6].startswith("read wrong: ")


def test_record_refuses_runs_of_other_settings(tmp_path, monkeypatch):
    """A recipe that was changed is not taken for what was run before."""
    import record
    from record_rows import ROWS

    (tmp_path / "1").mkdir()
    assert not record.is_complete(ROWS["fast"], tmp_path / "1")
    (tmp_path / "1" / "run.json").write_text(json.dumps({"about": ROWS["fast"].about}))
    assert record.is_complete(ROWS["fast"], tmp_path / "1")
    for row in (ROWS["accurate"], ROWS["distilled"]):
        with pytest.raises(SystemExit, match="expected a run of .*, found one of .*'slim'.*; give another --out"):
            record.is_complete(row, tmp_path / "1")
