"""Notebooks, in real kernels: HTML of a model, progress bars, TensorFlow's log, rerun cells, the stop button."""

import contextlib
import subprocess
from xml.etree import ElementTree

import pytest
import tensorflow as tf
from jupyter_client.manager import start_new_kernel

from digitcnn import DigitCNN

SMALL = {"conv_1_output_channels": 4, "conv_2_output_channels": 8, "fc_3_output_units": 16}
IMPORT = """
import os, sys

class Loud:
    "A library whose native code writes to standard error while TensorFlow is imported."

    def find_spec(name, path=None, target=None):
        if name == "tensorflow.python":
            os.write(2, b"a message of another library\\n")

sys.meta_path.insert(0, Loud)
from digitcnn import DigitCNN, load_dataset
"""
PREPARE = f"""
import gc, tensorflow
digits = load_dataset()
training, validation = digits.split(237)
settings = {SMALL}
"""


class Kernel:
    """A running kernel; `run` returns the outputs of a cell as (kind, content)."""

    def __init__(self, manager, client):
        self._manager, self._client = manager, client

    def run(self, code, stop_after=None):
        """Run a cell; interrupt the kernel once if `stop_after` appears on standard output."""
        shown = []
        message = self._client.execute(code)
        while True:
            reply = self._client.get_iopub_msg(timeout=120)
            if reply["parent_header"].get("msg_id") != message:
                continue
            kind, content = reply["msg_type"], reply["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return shown
            if kind == "stream":
                shown.append((content["name"], content["text"]))
                if stop_after and content["name"] == "stdout" and stop_after in content["text"]:
                    stop_after = None
                    self._manager.interrupt_kernel()
            elif kind in ("display_data", "execute_result"):
                shown.append((kind, content["data"]))
            elif kind == "error":
                shown.append((kind, content["ename"]))

    def stderr(self, code):
        """Return what a cell writes to standard error; output of native code arrives later than the rest."""
        message = self._client.execute(f"{code}\nimport os; os.write(2, b'<end>')")
        text, is_idle = "", False
        while not (is_idle and text.endswith("<end>")):
            reply = self._client.get_iopub_msg(timeout=120)
            kind, content = reply["msg_type"], reply["content"]
            assert kind != "error", content
            if kind == "stream" and content["name"] == "stderr":
                text += content["text"]
            elif kind == "status" and reply["parent_header"].get("msg_id") == message:
                is_idle = content["execution_state"] == "idle"
        return text.removesuffix("<end>")

    def value(self, expression):
        """Return the repr of an expression."""
        [(kind, content)] = self.run(f"print(repr({expression}))")
        assert kind == "stdout", content
        return content.strip()


@contextlib.contextmanager
def start_kernel(name):
    manager, client = start_new_kernel(kernel_name=name, stderr=subprocess.DEVNULL)
    try:
        yield Kernel(manager, client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def kernel(kernel_name):
    """A kernel without log settings, with TensorFlow and the bundled digits loaded."""
    with start_kernel(kernel_name) as kernel:
        kernel.stderr_of_import = kernel.stderr(IMPORT)
        shown = kernel.run(PREPARE)
        assert "error" not in dict(shown), shown
        yield kernel


def text_of(shown, kind="stdout"):
    return "".join(content for name, content in shown if name == kind)


def on_screen(text):
    """Return the text after carriage returns: each overwrites its line from the start."""
    lines = []
    for line in text.split("\n"):
        seen = ""
        for part in line.split("\r"):
            seen = part + seen[len(part) :]
        lines.append(seen.rstrip())
    return "\n".join(lines)


def read_table(html):
    """Return the title and the rows of each table of a model's HTML."""
    whole = ElementTree.fromstring(f"<div>{html}</div>")
    tables = [[["".join(cell.itertext()) for cell in row] for row in t.iter("tr")] for t in whole.iter("table")]
    return whole.find("b").text, *tables


def test_html_shows_layers_settings_and_state(few):
    cnn = DigitCNN(**SMALL, batchsize=50, random_seed=3)
    title, layers, settings = read_table(cnn._repr_html_())
    assert title == "DigitCNN, architecture 'cnn', no weights yet"
    assert layers[0] == ["layer", "output shape", "parameters"]
    assert layers[1] == ["conv_1", "[batch, 24, 24, 4]", "104"]
    assert layers[-2:] == [["total", "", "3,146"], ["trainable", "", "3,146"]]
    assert ["batchsize", "50"] in settings and ["architecture", "'cnn'"] in settings
    assert repr(cnn) == "<DigitCNN, architecture 'cnn', 3,146 parameters, no weights yet>"

    cnn.sess.run(cnn.init_op)
    assert repr(cnn).endswith("first weights, not trained>")
    cnn.train(few, steps=2, verbose=False)
    assert repr(cnn).endswith(", trained 2 steps>")
    cnn.train(few, steps=1, verbose=False, initialize=False)
    assert read_table(cnn._repr_html_())[0].endswith(", trained 1 epoch, 3 steps")
    cnn.close()
    assert repr(cnn).endswith(", closed>") and read_table(cnn._repr_html_())[1] == layers


def test_repr_after_session_is_closed():
    cnn = DigitCNN(**SMALL)
    cnn.sess.close()
    assert repr(cnn).endswith(", closed>") and cnn._repr_html_()


def test_repr_during_build():
    seen = []

    class Curious(DigitCNN):
        def build(self):
            seen.append(repr(self))
            super().build()

    Curious(**SMALL).close()
    assert seen == ["<Curious, own graph, 0 parameters, not built yet>"]


def test_repr_html_and_summary_of_unusual_graph(capsys):
    """A layer inside tf.cond, whose branches are separate graphs, and a variable of unknown shape."""

    class Odd(DigitCNN):
        def build(self):
            super().build()
            tf.cond(
                self.g.get_tensor_by_name("accuracy:0") > 0.5,
                lambda: self.fc_layer(tf.ones([2, 3]), "odd", 2),
                lambda: tf.ones([2, 2]),
            )
            tf.compat.v1.get_variable("any", initializer=lambda: tf.ones([2]), validate_shape=False, use_resource=True)

    with Odd(fc_3_output_units=8) as odd:
        assert "own graph" in repr(odd) and "conv_1" in odd._repr_html_()
        odd.summary()
        assert "any" in capsys.readouterr().out


def test_html_is_escaped():
    bad = type("<script>alert(1)</script>", (DigitCNN,), {"build": lambda self: DigitCNN.build(self)})
    with bad(**SMALL) as cnn:
        assert "<script>" not in cnn._repr_html_()
        assert read_table(cnn._repr_html_())[0].startswith("<script>alert(1)</script>, own graph")


def test_cell_output_has_table_and_text(kernel):
    [(kind, data)] = kernel.run("cnn = DigitCNN(**settings)\ndisplay(cnn)")
    assert kind == "display_data"
    assert "<td" in data["text/html"] and data["text/plain"].startswith("<DigitCNN, architecture 'cnn', ")


def test_import_shows_only_messages_of_other_libraries(kernel):
    assert kernel.stderr_of_import == "a message of another library\n"
    assert kernel.value("os.environ.get('TF_CPP_MIN_LOG_LEVEL')") == "None"


USE = """
cnn = DigitCNN(**settings, random_seed=1)
cnn.train(training, validation, epochs=2, logdir='logs', verbose='lines')
path = cnn.save(epoch=2)
cnn.load(epoch=2)
with DigitCNN.restore() as again:
    _ = again.predict(digits.test_images), again.predict(digits.test_images[:2], return_proba=True)
"""


def test_only_epoch_lines_are_printed(kernel):
    """TensorFlow prints neither its log nor its messages about files, which it prints in notebooks only."""
    shown = kernel.run(USE)
    assert {name for name, _ in shown} == {"stdout"}
    assert [line.split(":")[0] for line in text_of(shown).splitlines()] == ["Epoch 01", "Epoch 02"]
    assert kernel.stderr("") == "", "no late output"


# This rewriter logs "Converted n/m nodes" on every CPU; the one for bfloat16 only on CPUs with bfloat16.
MIXED_PRECISION = """
import tensorflow as tf
v1, options = tf.compat.v1, tf.compat.v1.ConfigProto()
options.graph_options.rewrite_options.auto_mixed_precision_cpu = 1
with tf.Graph().as_default():
    x = v1.placeholder(tf.float32, [None, 28, 28, 1])
    y = tf.nn.relu(tf.nn.conv2d(x, tf.ones([3, 3, 1, 8]), 1, 'SAME'))
    y = tf.reshape(y, [-1, 28 * 28 * 8]) @ tf.ones([28 * 28 * 8, 10])
    with v1.Session(config=options) as sess:
        _ = sess.run(y, {x: [[[[1.0]] * 28] * 28]})
"""
# TensorFlow logs an unknown session target at level ERROR.
FAIL = """
try:
    tensorflow.compat.v1.Session("nonsense://")
except tensorflow.errors.NotFoundError:
    pass
"""


def test_sessions_log_errors_but_no_info(kernel):
    shown = kernel.stderr(MIXED_PRECISION)
    # On CPUs without a fast float16, oneDNN logs that as an error.
    assert "Converted" not in shown and all("oneDNN supports DT_HALF only" in line for line in shown.splitlines())
    shown = kernel.stderr(FAIL)
    assert "session.cc" in shown and "No session factory registered" in shown


def test_log_level_of_user_is_kept(kernel_name):
    with start_kernel(kernel_name) as kernel:
        # Keras is left out, as the log is TensorFlow's, and loading Keras takes half of the time.
        kernel.run("import os\nos.environ.update(TF_CPP_MIN_LOG_LEVEL='0', TF_USE_LEGACY_KERAS='1')")
        shown = kernel.stderr("from digitcnn import DigitCNN")
        assert "cpu_feature_guard.cc" in shown
        assert "Converted" in kernel.stderr(MIXED_PRECISION)
        assert kernel.value("__import__('os').environ['TF_CPP_MIN_LOG_LEVEL']") == "'0'"


COUNT = """
def count():
    gc.collect()
    kinds = [type(thing) for thing in gc.get_objects()]
    return [sum(issubclass(kind, wanted) for kind in kinds) for wanted in
            (DigitCNN, tensorflow.Graph, tensorflow.compat.v1.Session)]
"""


def test_rerun_cell_leaks_nothing(kernel):
    kernel.run("cnn = None" + COUNT)
    cell = "cnn = DigitCNN(**settings)\ncnn.train(training, steps=2)\n_ = cnn.predict(digits.test_images)\n"
    kernel.run(cell)
    once = kernel.value("count()")
    for _ in range(2):
        assert "error" not in dict(kernel.run(cell + "display(cnn)"))
    assert kernel.value("count()") == once
    # IPython keeps the value of a cell's last line.
    kernel.run(cell + "cnn")
    kernel.run(cell + "cnn")
    assert kernel.value("count()") != once
    kernel.run("%reset -f out")
    assert kernel.value("count()") == once


def test_interrupted_model_is_usable(kernel):
    shown = kernel.run(
        "cnn = DigitCNN(**settings, random_seed=1)\ncnn.train(training, validation, epochs=100_000)",
        stop_after="Epoch 02",
    )
    assert shown[-1] == ("error", "KeyboardInterrupt")
    kernel.run("stopped = cnn.global_step, len(cnn.history)")
    assert kernel.value("stopped[0] >= 24 and stopped[1] == stopped[0] // 12") == "True"
    assert kernel.value("cnn.predict(digits.test_images).shape") == "(360,)"
    shown = kernel.run("cnn.train(training, validation, epochs=1, initialize=False)")
    assert "error" not in dict(shown)
    assert kernel.value("len(cnn.history) - stopped[1]") == "1", "the unfinished epoch was completed"
    assert kernel.value("cnn.global_step % 12") == "0"


BARS = """
from digitcnn._progress import TrainingBar, bar_options, tqdm
with TrainingBar(8, show=True) as bar:
    for epoch in (1, 2):
        bar.begin_epoch(epoch)
        for step in range(4):
            bar.step(0.25)
        for _ in tqdm(range(3), "evaluating", **bar_options(show=True)):
            pass
        bar.end_epoch(0.5)
        tqdm.write(f"line {epoch}")
"""


def test_training_shows_bar_and_lines(kernel):
    shown = kernel.run("DigitCNN(**settings).train(training, validation, epochs=2)")
    [bar] = [data for name, data in shown if name == "display_data"]
    assert "application/vnd.jupyter.widget-view+json" in bar
    assert [line.split(":")[0] for line in text_of(shown).splitlines()] == ["Epoch 01", "Epoch 02"]


def test_bars_are_text_without_ipywidgets(kernel_name):
    with start_kernel(kernel_name) as kernel:
        shown = kernel.run("import sys\nsys.modules['ipywidgets'] = None" + BARS)
    assert {name for name, _ in shown} == {"stdout"}, "no warning, and all output in one stream"
    assert "epoch 2: " in text_of(shown) and "evaluating: " in text_of(shown)
    assert "loss=0.2500, val_accuracy=0.500 [" in text_of(shown)
    assert "\x1b" not in text_of(shown), "front ends do not move the cursor"
    assert on_screen(text_of(shown)).split() == ["line", "1", "line", "2"], "bars are erased at the end"


def test_bars_are_widgets_with_ipywidgets(kernel_name):
    with start_kernel(kernel_name) as kernel:
        shown = kernel.run(BARS)
    widgets = [data for name, data in shown if name == "display_data"]
    assert ["application/vnd.jupyter.widget-view+json" in data for data in widgets] == [True] * 3
    assert text_of(shown, "stderr") == "" and text_of(shown).split() == ["line", "1", "line", "2"]
