"""`digitcnn ensemble`, and the other commands that take an ensemble's folder."""

import json
from pathlib import Path

import numpy as np
import pytest

from digitcnn import DigitCNN, Ensemble, Reader, write_idx
from digitcnn.cli.main import main
from digitcnn.ensemble.reading import restore_reader

TRAIN = ["ensemble", "train", "--members", "2", "--architectures", "softmax", "--epochs", "2"]
TRAIN += ["--set", "learning_rate=0.01", "--seed", "7"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where an ensemble of two was trained."""
    out = tmp_path_factory.mktemp("cli") / "two ~"
    assert main([*TRAIN, "--out", str(out), "--quiet"]) == 0
    return out


@pytest.fixture
def picture(digits):
    """A picture file of a digit, and the digit's image."""
    from PIL import Image

    image = digits.test_images[0].reshape(28, 28)
    Image.fromarray(255 - image).resize((280, 280)).save("seven.png")
    return "seven.png"


def test_train_prints_members_and_result(folder, capsys):
    assert main([*TRAIN, "--out", str(folder)]) == 0, "complete: it is only shown"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training 2 members on 'bundled': 1,437 training images"
    assert lines[1] == "Next:" and "ensemble distill --run" in lines[3]
    assert lines[4].endswith(": 2 members, rule mean, on 360 test images of bundled")
    assert lines[5].startswith("Members alone: mean ") and lines[6].startswith("Test accuracy ")
    with Ensemble.restore(folder) as ensemble:
        assert [member.random_seed for member in ensemble.members] == [7, 8]
        assert {member.learning_rate for member in ensemble.members} == {0.01}


def test_evaluate_writes_plots(folder, digits, capsys):
    assert main(["ensemble", "evaluate", "--run", str(folder), "--rule", "majority", "--plots", "plots"]) == 0
    lines = capsys.readouterr().out.splitlines()
    with Ensemble.restore(folder) as ensemble:
        voting = Ensemble(ensemble.members, "majority")
        accuracy = voting.evaluate(digits.test_images, digits.test_labels)["accuracy"]
    assert "rule majority" in lines[0] and lines[2].startswith(f"Test accuracy {accuracy:.2%} (95% interval")
    assert lines[3].startswith("Disagreement in nats, mean: ")
    assert lines[4].startswith("Without the ")
    assert lines[6:] == [str(Path("plots/doubts.png")), str(Path("plots/rejection.png"))]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in Path("plots").iterdir())
    assert main(["evaluate", "--run", str(folder)]) == 0
    assert "Members alone" in capsys.readouterr().out


def test_distill_leaves_a_model_like_any_other(folder, digits, capsys):
    command = ["ensemble", "distill", "--run", str(folder), "--architecture", "softmax", "--epochs", "2"]
    assert main([*command, "--out", "student"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Distilling 2 members into 'softmax': 1,198 images"
    with DigitCNN.restore("student") as student:
        digest = student.weights_sha256()
        accuracy = student.evaluate(digits.test_images, digits.test_labels)["accuracy"]
    assert lines[-2].startswith(f"Test accuracy {accuracy:.2%} (") and lines[-1] == f"weights sha256: {digest}"
    before = {path: path.read_bytes() for path in Path("student").rglob("*") if path.is_file()}
    assert main([*command, "--out", "student", "--quiet"]) == 0, "complete: it is only tested again"
    assert {path: path.read_bytes() for path in Path("student").rglob("*") if path.is_file()} == before
    assert main(["evaluate", "--run", "student", "--data", "bundled"]) == 0
    capsys.readouterr()
    assert main([*command, "--out", "student", "--temperature", "4"]) == 1
    assert "expected temperature=2.0, with which this distillation began, found 4.0" in capsys.readouterr().err
    assert main([*command, "--out", "copied", "--copies", "1", "--set", "rotation=10", "--epochs", "1"]) == 0
    assert "1,198 images, and 1 warped copy of each" in capsys.readouterr().out
    with DigitCNN.restore("copied") as student:
        assert student.rotation == 0
    assert main([*command, "--out", "unwarped", "--copies", "1", "--set", "rotation=0"]) == 1
    assert "copies: expected warps for them" in capsys.readouterr().err and not Path("unwarped").exists()


def test_predict_shows_the_disagreement(folder, picture, digits, capsys):
    assert main(["predict", "--run", str(folder), picture]) == 0
    shown = capsys.readouterr()
    assert shown.err == f"Read by {folder}, an ensemble of 2\n"
    with restore_reader(folder) as reader:
        (answer,) = reader.read(picture).digits
        expected = reader.model.doubt(answer.image.reshape(1, -1), "disagreement")[0]
    assert answer.disagreement == pytest.approx(expected)
    assert shown.out == f"{picture}: {answer}\n" and f", disagreement {expected:.3f}" in shown.out
    assert main(["predict", "--run", str(folder), "--json", picture]) == 0
    (found,) = json.loads(capsys.readouterr().out)["found"]
    assert found["disagreement"] == round(expected, 4)


def test_single_model_has_no_disagreement(folder, picture):
    with Ensemble.restore(folder) as ensemble:
        ensemble.members[0].save(path="single")
    with Reader.restore("single") as reader:
        (answer,) = reader.read(picture).digits
    assert answer.disagreement is None and "disagreement" not in answer.to_json() and "disagree" not in str(answer)


def test_page_shows_the_highest_disagreement(folder, write_digit, capsys):
    from PIL import Image

    paper = np.full((160, 400), 230, np.uint8)
    for place, label in enumerate((3, 5, 8)):
        write_digit(paper, label, 40 + 110 * place, 40)
    Image.fromarray(paper).save("page.png")
    with restore_reader(folder) as reader:
        reading = reader.read("page.png")
    assert main(["predict", "--run", str(folder), "page.png"]) == 0
    if len(reading.digits) > 1:
        highest = max(answer.disagreement for answer in reading.digits)
        assert f"disagreement up to {highest:.3f}" in capsys.readouterr().out


def test_export_takes_an_ensemble(folder, capsys):
    assert main(["export", "exported", "--format", "savedmodel", "--run", str(folder)]) == 0
    assert "as savedmodel" in capsys.readouterr().out and Path("exported/saved_model.pb").exists()


@pytest.mark.parametrize("command", [["evaluate"], ["ensemble", "evaluate"]])
def test_evaluate_takes_shifts(folder, digits, command, capsys):
    assert main([*command, "--run", str(folder), "--shifts", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    with Ensemble.restore(folder) as ensemble:
        X, y = digits.test_images, digits.test_labels
        found = ensemble.evaluate(X, y, shifts=1)
        shifted = np.stack([one.predict(X, return_proba=True, shifts=1) for one in ensemble.members])
        np.testing.assert_array_equal(ensemble.member_probabilities(X, shifts=1), shifted)
        assert found["accuracy"] == np.mean(ensemble.predict(X, shifts=1) == y)
    assert lines[1] == "Each image is read as the mean of itself and four copies, shifted by 1 px"
    assert lines[3].startswith(f"Test accuracy {found['accuracy']:.2%} (")


def test_evaluate_reads_data_as_for_a_single_model(folder, digits, capsys):
    """All pictures of others, and labels that the ensemble has."""
    from PIL import Image

    for number in range(10):
        Path(f"others/{number}").mkdir(parents=True)
        image = digits.test_images[np.flatnonzero(digits.test_labels == number)[0]].reshape(28, 28)
        for copy in range(2):
            Image.fromarray(255 - image).resize((280, 280)).save(f"others/{number}/{copy}.png")
    assert main(["ensemble", "evaluate", "--run", str(folder), "--data", "others"]) == 0
    shown = capsys.readouterr().out
    assert "on all 20 pictures of others" in shown and "of 20)" in shown
    letters = Path("letters")
    for name, n in (("train", 40), ("t10k", 20)):
        letters.mkdir(exist_ok=True)
        write_idx(letters / f"{name}-images-idx3-ubyte", digits.test_images[:n].reshape(-1, 28, 28))
        write_idx(letters / f"{name}-labels-idx1-ubyte", (np.arange(n) % 12).astype(np.uint8))
    assert main(["ensemble", "evaluate", "--run", str(folder), "--data", "letters"]) == 1
    assert "the labels: expected labels 0..9, found" in capsys.readouterr().err


ERRORS = {
    "no folder": (
        ["ensemble", "evaluate", "--run", "nowhere"],
        1,
        "nowhere: expected a folder with an ensemble",
    ),
    "no ensemble": (["ensemble", "distill", "--run", ".", "--out", "x"], 1, "found no ensemble.json in it"),
    "no action": (["ensemble"], 2, "the following arguments are required: ACTION"),
    "unknown action": (["ensemble", "trian"], 2, "invalid choice: 'trian'"),
    "unknown option": (["ensemble", "train", "--out", "x", "--member", "2", "--jbs", "2"], 2, "did you mean '--jobs'?"),
    "no out": (["ensemble", "train"], 2, "required: --out"),
    "members": (["ensemble", "train", "--out", "x", "--members", "0"], 2, "expected a whole number in 1..1000"),
    "rule": (["ensemble", "train", "--out", "x", "--rule", "mode"], 2, "--rule: expected one of mean"),
    "both lengths": ([*TRAIN, "--steps", "1", "--out", "x"], 2, "not allowed with argument --epochs"),
    "setting": ([*TRAIN, "--set", "dropuot=1", "--out", "x"], 2, "did you mean 'dropout'?"),
    "several values": ([*TRAIN, "--set", "dropout=0,0.5", "--out", "x"], 2, "expected one value for each setting"),
    "a value twice": ([*TRAIN, "--set", "dropout=0,0", "--out", "x"], 2, "expected one value for each setting"),
    "no value": ([*TRAIN, "--set", "dropout", "--out", "x"], 2, "expected NAME=VALUE, found 'dropout'"),
    "seed": ([*TRAIN, "--set", "random_seed=3", "--out", "x"], 2, "random_seed: expected --seed, found it among"),
    "epochs": ([*TRAIN, "--set", "epochs=3", "--out", "x"], 2, "epochs: expected --epochs, found it among"),
    "of the data": ([*TRAIN, "--set", "n_classes=3", "--out", "x"], 2, "n_classes: expected to be that of the data"),
    "student's architecture": (
        ["ensemble", "distill", "--run", "x", "--out", "x", "--architecture", "cnn", "--set", "architecture=softmax"],
        2,
        "architecture: expected --architecture, found it among other settings",
    ),
    "a setting twice": ([*TRAIN, "--set", "learning_rate=1", "--out", "x"], 1, "found several for learning_rate"),
    "bad setting": ([*TRAIN, "--set", "dropout=2", "--out", "x"], 2, "dropout: expected"),
    "architecture": ([*TRAIN, "--set", "architecture=cnn", "--out", "x"], 2, "expected --architectures"),
    "data": ([*TRAIN, "--data", "minst", "--out", "x"], 1, "did you mean 'mnist'?"),
    "validation": ([*TRAIN, "--validation", "99999", "--out", "x"], 1, "expected"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_mistakes_are_sentences(kind, capsys):
    arguments, status, message = ERRORS[kind]
    try:
        found = main(arguments)
    except SystemExit as error:
        found = error.code
    err = capsys.readouterr().err
    assert (found, "Traceback" in err) == (status, False) and message in err
    assert not Path("x").exists()


def test_mistakes_with_an_ensemble_are_sentences(folder, digits, capsys):
    write_idx("images-idx3-ubyte", digits.test_images[:5].reshape(-1, 28, 28))
    Path("busy").write_text("a file")
    run = ["--run", str(folder)]
    for arguments, message in (
        (["ensemble", "train", *TRAIN[2:], "--members", "3", "--out", str(folder)], "expected n_members=2, with which"),
        (["predict", *run, "--data", "images-idx3-ubyte", "--out", "a.npy"], "expected the folder of a single model"),
        (["demo", *run, "--no-browser"], "expected the folder of a single model, found an ensemble"),
        (["evaluate", *run, "--report", "report"], "--report: expected the folder of a single model"),
        (["ensemble", "evaluate", *run, "--plots", "busy"], "busy: expected a folder"),
        (["ensemble", "distill", *run, "--weight", "2", "--out", "x"], "weight: expected a number in 0..1, found 2.0"),
        (["ensemble", "distill", *run, "--out", "busy"], "busy"),
    ):
        assert main(arguments) == 1, arguments
        err = capsys.readouterr().err
        assert message in err and "Traceback" not in err
    with Ensemble.restore(folder) as ensemble:
        ensemble.save("saved")
    assert main(["ensemble", "evaluate", "--run", "saved"]) == 1
    assert "expected training.json, which names the data, found none; give --data" in capsys.readouterr().err
    assert main(["ensemble", "evaluate", "--run", "saved", "--data", "bundled"]) == 0
