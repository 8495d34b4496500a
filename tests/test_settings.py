"""A setting is declared once: model, record, docstring and command line follow from its field."""

import dataclasses
import inspect
import json
import os
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT

from digitcnn import DigitCNN
from digitcnn.settings import Settings, declarations, older_settings, parameters_text, settings_dict

DUMMY = """
    dummy: float = setting(
        0.25, "a number that nothing uses", _fraction, flag="--dummy", added_in=6, before=0.125
    )

    # The constructor's arguments"""
PROGRAM = """
import json, sys
from pathlib import Path
from digitcnn import DigitCNN, load_dataset
from digitcnn.cli.main import main
from digitcnn.saving.record import FORMAT_VERSION, record_sha256

digits = load_dataset()
data = digits.train_images[:50], digits.train_labels[:50]
with DigitCNN(architecture="softmax", dummy=0.5) as cnn:
    cnn.train(data, steps=1, verbose=False)
    path = cnn.save(1, "m")
with DigitCNN.restore("m") as again:
    restored = again.settings["dummy"]
file = Path(path + ".json")
record = json.loads(file.read_text())
assert record.pop("format_version") == FORMAT_VERSION == 6
record.pop("sha256"), record["settings"].pop("dummy")
record["format_version"] = 5  # as the version before wrote it
file.write_text(json.dumps(record | {"sha256": record_sha256(record)}))
with DigitCNN.restore("m") as older:
    before = older.dummy
try:
    DigitCNN(dummy=2)
except ValueError as error:
    message = str(error)
arguments = ["train", "--architecture", "softmax", "--steps", "1", "--dummy", "0.75", "--run", "run", "--quiet"]
status = main(arguments)
run = json.loads(Path("run/settings.json").read_text())["settings"]["dummy"]
documented = "dummy : float, default 0.25" in DigitCNN.__doc__
print(json.dumps([restored, before, message, status, run, documented]))
"""


NEW = {"average_decay", "shear", "stretch", "cutout"}  # in version 5


def test_adding_a_setting_takes_one_declaration(tmp_path):
    """A copy of the package with one more field in settings.py, and no other change."""
    shutil.copytree(ROOT / "digitcnn", tmp_path / "copy" / "digitcnn")
    shutil.copytree(ROOT / "data" / "bundled", tmp_path / "copy" / "data" / "bundled")
    file = tmp_path / "copy" / "digitcnn" / "settings.py"
    source = file.read_text(encoding="utf-8")
    assert source.count("\n    # The constructor's arguments") == 1
    file.write_text(source.replace("\n    # The constructor's arguments", DUMMY), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "copy")}
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    restored, before, message, status, run, documented = json.loads(done.stdout.splitlines()[-1])
    assert (restored, before, status, run, documented) == (0.5, 0.125, 0, 0.75, True)
    assert message == "dummy: expected a fraction, 0 <= dummy < 1, found 2"


def test_constructor_has_the_settings_as_its_arguments():
    parameters = list(inspect.signature(DigitCNN).parameters.values())
    fields = dataclasses.fields(Settings)
    assert [(p.name, p.default) for p in parameters] == [(field.name, field.default) for field in fields]
    kinds = [parameter.kind for parameter in parameters]
    keyword_only = list(declarations()).index("random_seed") + 1
    assert kinds == [inspect.Parameter.POSITIONAL_OR_KEYWORD] * keyword_only + [inspect.Parameter.KEYWORD_ONLY] * (
        len(fields) - keyword_only
    )


def test_tutorials_positional_arguments_keep_their_order():
    names = "batchsize epochs learning_rate conv_1_output_channels conv_2_output_channels dropout fc_3_output_units"
    assert list(declarations())[:9] == [*names.split(), "shuffle", "random_seed"]


def test_docstring_has_every_setting_with_its_default():
    for name in declarations():
        assert f"{name} : " in DigitCNN.__doc__
    assert parameters_text() in DigitCNN.__doc__


@pytest.mark.parametrize(
    ("version", "missing"),
    [
        (5, set()),
        (4, NEW),
        (3, {*NEW, "image_shape", "n_classes"}),
        (
            1,
            {
                *NEW,
                "precision",
                "schedule",
                "label_smoothing",
                "rotation",
                "scaling",
                "shift",
                "image_shape",
                "n_classes",
            },
        ),
    ],
)
def test_older_settings_are_those_that_a_version_lacks(version, missing):
    assert set(older_settings(version)) == missing


def test_settings_that_older_models_lacked_have_a_value_for_them():
    for name, declaration in declarations().items():
        if declaration.added_in > 1:
            assert declaration.check(name, declaration.before) is not None, name


def test_settings_can_be_written_as_json():
    assert json.loads(json.dumps(settings_dict(Settings(random_seed=1))))["n_classes"] == 10
