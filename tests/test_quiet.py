"""What reaches standard error while TensorFlow is loaded: remarks do not, errors and other people's messages do."""

import logging
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
from conftest import environment_of_a_user

from digitcnn import _quiet
from digitcnn._quiet import quiet, quiet_stderr

CUDA = "Could not find cuda drivers on your machine, GPU will not be used."
REGISTERED = "factory: Attempting to register factory for plugin {0} when one has already been registered"
# TID stands for the thread that imports TensorFlow.
REMARKS = f"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795611682.725041   TID cudart_stub.cc:31] {CUDA}
I0000 00:00:1795611682.919793   TID cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use available CPU
To enable the following instructions: AVX2 FMA, in other operations, rebuild TensorFlow with the appropriate compiler flags.
E0000 00:00:1795611697.368687   TID cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error: UNKNOWN ERROR (303)
E0000 00:00:1795611765.277759   TID cuda_blas.cc:1407] Unable to register cuBLAS {REGISTERED.format("cuBLAS")}
W0000 00:00:1795611765.340044   TID computation_placer.cc:177] computation placer already registered. Please check it.
2026-11-25 13:02:29.594594: I external/local_xla/xla/tsl/cuda/cudart_stub.cc:32] {CUDA}
2026-11-25 13:02:29.594594: I external/local_tsl/tsl/cuda/cudart_stub.cc:32] {CUDA}
2026-11-25 13:02:30.734982: I tensorflow/core/platform/cpu_feature_guard.cc:210] This TensorFlow binary is optimized
2026-11-25 13:02:07.929553: E external/local_xla/xla/cuda/cuda_fft.cc:479] Unable to register cuFFT {REGISTERED.format("cuFFT")}
2026-11-25 13:02:08.071501: E external/local_xla/xla/cuda/cuda_dnn.cc:10575] Unable to register cuDNN {REGISTERED.format("cuDNN")}
2026-11-25 13:02:12.302809: W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT
2026-11-25 13:02:56.786393: E external/local_xla/xla/cuda/cuda_platform.cc:51] failed call to cuInit: UNKNOWN ERROR (303)
""".splitlines()  # noqa: E501

KEPT = """\
E0000 00:00:1795611697.734375   TID session.cc:85] Failed to get session factory: NOT_FOUND
W0000 00:00:1795611697.720125   TID gpu_device.cc:2341] Cannot dlopen some GPU libraries. Skipping registering GPU devices...
F0000 00:00:1795611697.720125   TID cpu_feature_guard.cc:95] The TensorFlow library was compiled to use AVX instructions
E0000 00:00:1795611697.368687   TID cuda_platform.cc:52] failed call to cuInit: CUDA_ERROR_UNKNOWN: unknown error (999)
2026-11-25 13:03:23.731855: E tensorflow/core/common_runtime/session.cc:83] Failed to get session factory: NOT_FOUND
2026-11-25 13:03:23.731855: I someone/elses/file.cc:83] A line of another library
I0000 00:00:1795611697.725041   1TID server.cc:31] A line of another thread
Traceback (most recent call last):
""".splitlines()  # noqa: E501


def run(code, *arguments, expected_code=0, **variables):
    """What a new Python prints on standard output and standard error."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environment_of_a_user(**variables),
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == expected_code, done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def fake_tensorflow(tmp_path, monkeypatch):
    """Makes a package `tensorflow` of the given code, which has `write(line)` to write as native code does."""

    def make(code):
        start = (
            "import os, threading\n"
            "def write(text, end='\\n', thread=str(threading.get_native_id())):\n"
            "    os.write(2, (text.replace('TID', thread) + end).encode())\n"
        )
        (tmp_path / "fake" / "tensorflow").mkdir(parents=True)
        (tmp_path / "fake" / "tensorflow" / "__init__.py").write_text(start + code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "fake"), prepend=os.pathsep)

    return make


LOAD = "from digitcnn._quiet import load_tensorflow; load_tensorflow()\n"


@pytest.mark.parametrize("line", REMARKS, ids=range(len(REMARKS)))
@pytest.mark.parametrize("end", ["\n", "\r\n", ""], ids=["LF", "CRLF", "end of text"])
def test_remark_is_recognized(line, end):
    line = line.replace("TID", "8476") + end
    assert _quiet._without_remarks(line.encode(), 8476) == b""
    assert _quiet._without_remarks(f"before\n{line}".encode(), 8476) == b"before\n"


@pytest.mark.parametrize("line", KEPT, ids=range(len(KEPT)))
def test_other_line_is_kept(line):
    text = "\n".join([line, REMARKS[0], line]).replace("TID", "8476").encode()
    assert _quiet._without_remarks(text, 8476).decode() == f"{line}\n{line}".replace("TID", "8476")


def test_loading_drops_remarks_and_keeps_other_output(fake_tensorflow):
    """The other output is by Python, by native code, by another thread, and a line without an end."""
    lines = [line for pair in zip(REMARKS, KEPT, strict=False) for line in pair] + REMARKS[len(KEPT) :]
    fake_tensorflow(
        "import sys, warnings\n"
        f"for line in {lines}: write(line)\n"
        "def other():\n"
        f"    write({REMARKS[1]!r}, thread=str(threading.get_native_id()))\n"
        "thread = threading.Thread(target=other); thread.start(); thread.join()\n"
        "print('from print', file=sys.stderr)\n"
        "warnings.warn('from warn')\n"
        "write('no end', end='')\n"
    )
    out, err = run("import threading; print(threading.get_native_id())\n" + LOAD)
    *kept, other, printed, warned, _, last = err.splitlines()
    assert kept == [line.replace("TID", out.strip()) for line in KEPT]
    assert "cudart_stub.cc" in other and out.strip() not in other
    assert printed == "from print" and warned.endswith("UserWarning: from warn") and last == "no end"


def test_loading_changes_the_level_only_meanwhile(fake_tensorflow):
    fake_tensorflow("LEVEL = os.environ['TF_CPP_MIN_LOG_LEVEL']")
    code = LOAD + "import os, tensorflow; print(tensorflow.LEVEL, os.environ.get('TF_CPP_MIN_LOG_LEVEL'))"
    assert run(code) == ("1 None\n", "")


@pytest.mark.parametrize(
    "variables",
    [
        {"TF_CPP_MIN_LOG_LEVEL": "0"},
        {"TF_CPP_MIN_LOG_LEVEL": "2"},
        {"TF_CPP_MAX_VLOG_LEVEL": "1"},
        {"TF_CPP_VMODULE": "session=1"},
    ],
    ids=lambda variables: "".join(variables),
)
def test_loading_leaves_the_users_choice_alone(fake_tensorflow, variables):
    fake_tensorflow(
        f"for line in {REMARKS}: write(line, thread='7')\n"
        "print({name: value for name, value in os.environ.items() if name.startswith('TF_CPP')})"
    )
    out, err = run(LOAD, **variables)
    assert out == f"{variables}\n"
    assert err.splitlines() == [line.replace("TID", "7") for line in REMARKS]


def test_loading_leaves_a_loaded_tensorflow_alone(fake_tensorflow):
    fake_tensorflow("write('loaded')")
    code = "import os, tensorflow\nbefore = dict(os.environ), os.fstat(2)\n"
    out, err = run(code + LOAD + "print(before == (dict(os.environ), os.fstat(2)))")
    assert (out, err) == ("True\n", "loaded\n")


def test_failed_loading_restores_everything(fake_tensorflow):
    fake_tensorflow(f"write({REMARKS[0]!r}); write('why'); raise ImportError('no')")
    code = (
        "import os\nbefore = dict(os.environ), os.fstat(2)[:3]\n"
        f"try:\n    {LOAD}except ImportError as error: print(error)\n"
        "print(before == (dict(os.environ), os.fstat(2)[:3]))"
    )
    assert run(code) == ("no\nTrue\n", "why\n")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGABRT")
def test_crash_while_loading_is_not_silent(fake_tensorflow):
    fake_tensorflow("write('last words'); os.abort()")
    _, err = run(LOAD, expected_code=-6)
    assert "Fatal Python error: Aborted" in err and str(Path("tensorflow", "__init__.py")) in err


def test_loading_ends_the_crash_handler_that_it_began(fake_tensorflow):
    fake_tensorflow("")
    code = LOAD + "import faulthandler; print(faulthandler.is_enabled())"
    assert run(code) == ("False\n", "")
    assert run(f"import faulthandler; faulthandler.enable()\n{code}") == ("True\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="no POSIX shell")
def test_loading_without_standard_error(fake_tensorflow):
    fake_tensorflow("try: write('nobody reads this')\nexcept OSError: pass")
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, LOAD + "print('done')"],
        env=environment_of_a_user(),
        text=True,
        capture_output=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_loading_without_a_folder_for_temporary_files(fake_tensorflow):
    fake_tensorflow(f"write({REMARKS[0]!r})")
    code = "import tempfile\ndef fail(): raise FileNotFoundError('no folder')\ntempfile.TemporaryFile = fail\n"
    assert run(code + LOAD) == ("", REMARKS[0] + "\n")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts file descriptors")
@pytest.mark.parametrize("is_closed", [False, True])
def test_no_file_descriptor_leaks(is_closed):
    """With standard error closed, the temporary file may itself become file descriptor 2."""
    code = (
        "import os\nfrom digitcnn._quiet import quiet_stderr, without_remarks\n"
        f"if {is_closed}: os.close(2)\n"
        "def count(): return sorted(os.listdir('/proc/self/fd'))\n"
        "before = count()\n"
        "for _ in range(5):\n"
        "    with without_remarks(), quiet_stderr(): pass\n"
        "    with quiet_stderr(), without_remarks(): pass\n"
        "print(count() == before)"
    )
    assert run(code) == ("True\n", "")


def test_threads_take_turns_and_lose_nothing(capfd, monkeypatch):
    for name in _quiet._LOG_VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def work(i):
        for _ in range(50):
            with _quiet.without_remarks():
                os.write(2, f"thread {i}\n".encode())
            with quiet_stderr():
                os.write(2, b"dropped\n")

    threads = [threading.Thread(target=work, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"end\n")
    *lines, end = capfd.readouterr().err.splitlines()
    assert end == "end"
    # One thread's line falls into another's silence, if at all, between two of its own blocks.
    assert sorted(lines) == sorted(f"thread {i}" for i in range(4) for _ in range(50))


def test_quiet_stderr_drops_native_output_of_all_threads(capfd):
    with quiet_stderr():
        thread = threading.Thread(target=os.write, args=[2, b"thread\n"])
        thread.start()
        thread.join()
        with quiet_stderr():
            os.write(2, b"inner\n")
        os.write(2, b"outer\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_quiet_drops_warnings_and_logging_and_restores_them(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    with pytest.raises(KeyError), quiet():
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # as tf2onnx does
        warnings.warn("a warning", stacklevel=1)
        logging.getLogger("any").critical("a line")
        raise KeyError
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == "2" and logging.root.manager.disable == logging.NOTSET
    with pytest.warns(UserWarning, match="a warning"):
        warnings.warn("a warning", stacklevel=1)
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    with quiet():
        os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
    assert capfd.readouterr().err == ""


def test_names_that_load_tensorflow_load_it_quietly():
    """All others load none, so that they need no silence."""
    code = (
        "import sys, digitcnn\n"
        "modules = digitcnn._WITH_TENSORFLOW\n"
        "quiet = [name for name, module in digitcnn._MODULES.items() if module in modules]\n"
        "for name in sorted(set(digitcnn._MODULES) - set(quiet)): getattr(digitcnn, name)\n"
        "print(quiet, 'tensorflow' in sys.modules)"
    )
    assert run(code) == (
        "['DigitCNN', 'DigitClassifier', 'Ensemble', 'predict_file', 'Reader', 'limit_threads'] False\n",
        "",
    )


SCRIPT = """
import os, sys
from digitcnn import DigitCNN, load_dataset
digits = load_dataset()
with DigitCNN(fc_3_output_units=8, random_seed=1) as cnn:
    cnn.train((digits.train_images[:100], digits.train_labels[:100]), epochs=1, verbose=False)
    cnn.predict(digits.test_images)
assert "TF_CPP_MIN_LOG_LEVEL" not in os.environ
os.write(2, b"-\\n")
import tensorflow as tf
try:
    tf.compat.v1.Session("nonsense://")
except tf.errors.NotFoundError:
    pass
from digitcnn.cli.main import main
print("-")
main(["summary", "--architecture", "softmax"])  # which would set a variable to leave Keras out
print("keras.src" in sys.modules, os.environ.get("TF_USE_LEGACY_KERAS"))
"""
# As the program `digitcnn`.
COMMAND = "import sys; from digitcnn.cli.main import main; main(); print('keras.src' in sys.modules)"


@pytest.fixture(scope="module")
def script():
    """What a script prints that trains and calls a command, on standard output and standard error."""
    return run(SCRIPT)


@pytest.fixture(scope="module")
def command(finished_run, tmp_path_factory):
    """What an export prints, in a process of its own; in int8, training images are looked for before the model."""
    file = tmp_path_factory.mktemp("exported") / "digits.tflite"
    return run(COMMAND, "export", "--run", str(finished_run[0]), "--format", "tflite-int8", str(file))


def test_script_shows_errors_of_tensorflow_only(script):
    """TensorFlow logs at level ERROR that it knows no such kind of session."""
    before, _, after = script[1].partition("-\n")
    assert before == "" and script[0].startswith("-\n")
    assert "session.cc" in after and "No session factory registered" in after


def test_command_shows_no_remarks(command):
    """`digitcnn export`; test_cli.py looks at what a training prints."""
    assert "digits.tflite" in command[0]
    assert "cuda" not in command[1] and "absl" not in command[1] and "oneDNN" not in command[1]


def test_commands_load_tensorflow_without_keras_and_scripts_with_it(command, script):
    assert command[0].endswith("False\n") and script[0].endswith("True None\n")
