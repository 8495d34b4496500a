"""Paths that begin with ~, users without a home folder, and the permissions of what is written."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
import pytest
from conftest import environment_of_a_user, write_set

from digitcnn import DigitCNN, DownloadError, download, load_dataset, read_idx, write_idx
from digitcnn._files import write_whole
from digitcnn._validation import check_path
from digitcnn.cli.main import main
from digitcnn.data.download import chosen_folder

mpl.get_configdir()  # makes its folder now, and not in a test's home
HOMES = ("HOME", "XDG_CACHE_HOME", "KERAS_HOME")

not_on_windows = pytest.mark.skipif(os.name == "nt", reason="Windows has other homes and no umask")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder of the test's own."""
    folder = tmp_path / "home"
    folder.mkdir()
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(folder))
    return folder


@pytest.fixture
def no_home(monkeypatch):
    """As for a user of a container: no HOME, and no entry in the list of users."""
    pwd = pytest.importorskip("pwd")

    def unknown(*_):
        raise KeyError("getpwuid(): uid not found")

    for variable in ("HOME", "XDG_CACHE_HOME", "DIGITCNN_DATA"):
        monkeypatch.delenv(variable, raising=False)
    for name in ("getpwuid", "getpwnam"):
        monkeypatch.setattr(pwd, name, unknown)


def test_a_tilde_is_the_home_folder(home, tmp_path):
    assert check_path("path", "~/a") == check_path("path", Path("~/a")) == home / "a"
    assert check_path("path", "~") == home and check_path("path", "a/~") == Path("a/~")
    literal = check_path("path", "./~/a")
    assert literal == check_path("path", literal) == tmp_path / "~" / "a", "a folder of that name"


def test_every_door_knows_the_home_folder(home, tmp_path, monkeypatch, capsys, few):
    write_set(home / "data" / "kmnist", n=7)
    assert len(load_dataset("kmnist", "~/data").train_labels) == 7
    assert len(load_dataset("~/data/kmnist").train_labels) == 7
    monkeypatch.setenv("DIGITCNN_DATA", "~/data")
    assert chosen_folder() == home / "data"
    assert load_dataset("kmnist").folder == home / "data" / "kmnist"
    write_idx("~/a", few[1])
    assert len(read_idx("~/a")) == 130
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=1, verbose=False, checkpoint_dir="~/checkpoints", logdir="~/logs")
        assert model.save(1, "~/models") == str(home / "models" / "model.ckpt-1")
        model.load(path="~/models")
        model.save(1, "./~/models")
        model.export_logs("~/graph")
    DigitCNN.restore("./~/models").close()
    options = ["--architecture", "softmax", "--steps", "1", "--quiet", "--validation", "0"]
    assert main(["train", "--data=~/data/kmnist", "--run=~/run", *options]) == 0
    assert main(["train", "--data=kmnist", "--data-dir=~/data", "--run=./~/run", *options]) == 0
    assert main(["evaluate", "--run=~/run", "--report=~/report"]) == 0
    assert main(["train", "--resume=./~/run"]) == 0
    assert main(["predict", "--show=~/no.png", "~/pictures/*.png", "~/no.png", "./~/no.png"]) == 1
    error = capsys.readouterr().err
    assert f"{home}/no.png: expected a picture file" in error and f"{tmp_path}/~/no.png: expected" in error
    made = {"a", "checkpoints", "data", "graph", "logs", "models", "report", "run"}
    assert {path.name for path in home.iterdir()} == made
    assert {path.name for path in tmp_path.iterdir()} == {"home", "~"}
    assert {path.name for path in (tmp_path / "~").iterdir()} == {"models", "run"}


def test_without_a_home_folder_data_at_hand_are_read(no_home, tmp_path):
    write_set(tmp_path / "data" / "kmnist")
    assert len(load_dataset("kmnist", tmp_path / "data").train_labels) == 6
    with pytest.raises(DownloadError, match="kmnist: expected a home folder whose cache takes the download, found"):
        download("kmnist")
    with pytest.raises(ValueError, match=r"data_dir: expected a path, found '~/data', and no home folder for ~; write"):
        load_dataset("kmnist", "~/data")
    with pytest.raises(SystemExit) as ended:
        main(["train", "--run", "~/run"])
    assert ended.value.code == 2 and {path.name for path in tmp_path.iterdir()} == {"data"}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_an_unknown_user_reads_data_at_hand():
    code = (
        "import os, sys, platformdirs, digitcnn.data.datasets as data; os.setuid(54321);"
        "print(len(data.load_dataset('kmnist', sys.argv[1]).train_labels))"
    )
    with tempfile.TemporaryDirectory() as folder:  # the tests' own folders are closed to others
        Path(folder).chmod(0o755)
        write_set(Path(folder) / "kmnist")
        environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "XDG_CACHE_HOME")}
        command = [sys.executable, "-c", code, folder]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "6\n", done.stderr


@not_on_windows
def test_without_a_home_folder_a_command_makes_none(tmp_path):
    """As Keras does when TensorFlow is imported: a folder called ~ where the user is."""
    code = (
        "import os, pwd, sys\n"
        "def unknown(*_): raise KeyError('uid not found')\n"
        "pwd.getpwuid = pwd.getpwnam = unknown\n"
        "from digitcnn.cli.main import main\n"
        "sys.exit(main(['summary', '--architecture', 'softmax']))"
    )
    environment = {name: value for name, value in environment_of_a_user().items() if name not in HOMES}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "") and "total" in done.stdout
    assert list(tmp_path.iterdir()) == []


@not_on_windows
@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_files_have_the_permissions_of_new_files(tmp_path, umask, mode, few):
    """Files and folders of runs, too, as if another program had written them."""
    before = os.umask(umask)
    try:
        write_whole(tmp_path / "a", b"first")
        write_whole(tmp_path / "a", b"second", is_durable=True)
        train = ["train", "--architecture", "softmax", "--steps", "1", "--quiet", "--run", "run"]
        assert umask != 0o077 or main(train) == 0
    finally:
        os.umask(before)
    written = [tmp_path / "a", *tmp_path.rglob("run/**/*")]
    assert {oct(path.stat().st_mode & 0o777) for path in written if path.is_file()} == {oct(mode)}
    folders = [path for path in written if path.is_dir()]
    assert {oct(path.stat().st_mode & 0o777) for path in folders} <= {oct(0o777 & ~umask)}
