"""Which run a name means, and what is said where it means none."""

from pathlib import Path

import pytest

from digitcnn.cli.main import main
from digitcnn.runs.folders import run_folder


def make_run(folder):
    Path(folder).mkdir(parents=True)
    Path(folder, "settings.json").write_text("{}")


CASES = {
    "nothing there": ("nowhere", "nowhere: expected a run folder, found nothing there"),
    "below nothing": ("no/where", "no/where: expected a run folder, found nothing there"),
    "misspelt latest": ("latst", "latst: expected a run folder, found nothing there; did you mean 'latest'?"),
    "misspelt run": ("logs/firts", f"found nothing there; did you mean {str(Path('logs', 'first'))!r}?"),
    "a folder of runs": ("logs", f"found a folder of runs; give latest or one of them: {Path('logs', 'first')}, "),
    "another folder of runs": ("mine", f"found a folder of runs; give one of them: {Path('mine', 'a')}"),
    "no model": ("empty", "empty: expected a run folder, found no settings.json in it"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_is_not_there_is_told_apart(case, capsys):
    for run in ("logs/first", "logs/second", "mine/a"):
        make_run(run)
    Path("empty").mkdir()
    name, message = CASES[case]
    assert main(["evaluate", "--run", name]) == 1
    error = capsys.readouterr().err.replace("no\\where", "no/where")
    assert message in error and "give --data" not in error


def test_a_prefix_of_a_saved_model_stands_for_its_folder():
    Path("m").mkdir()
    Path("m/model.ckpt-3.json").write_text("{}")
    for name in ("m", "m/model.ckpt-3", "m/model.ckpt-3.json"):
        assert run_folder(name) == Path(name)
