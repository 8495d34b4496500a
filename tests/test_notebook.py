"""In a notebook: what an instance shows, bars, cells that are run again, the stop button; in real kernels."""

import contextlib
import subprocess
from xml.etree import ElementTree

import pytest
import tensorflow as tf
from jupyter_client.manager import start_new_kernel

from digitcnn import DigitCNN

SMALL = {"conv_1_output_channels": 4, "conv_2_output_channels": 8, "fc_3_output_units": 16}
PREPARE = f"""
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import gc, tensorflow
from digitcnn import DigitCNN, load_dataset
digits = load_dataset()
training, validation = digits.split(237)
settings = {SMALL}
"""


class Kernel:
    """A running kernel; `run` gives what a cell shows, as (kind, content)."""

    def __init__(self, manager, client):
        self._manager, self._client = manager, client

    def run(self, code, stop_after=None):
        """stop_after: text on standard output after which the stop button is pressed, once."""
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

    def value(self, expression):
        """What an expression gives, a literal."""
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
    """One that has loaded TensorFlow and the bundled digits."""
    with start_kernel(kernel_name) as kernel:
        shown = kernel.run(PREPARE)
        assert "error" not in dict(shown), shown
        yield kernel


def text_of(shown, kind="stdout"):
    return "".join(content for name, content in shown if name == kind)


def on_screen(text):
    """What a front end makes of carriage returns: a line is overwritten from its start."""
    lines = []
    for line in text.split("\n"):
        seen = ""
        for part in line.split("\r"):
            seen = part + seen[len(part) :]
        lines.append(seen.rstrip())
    return "\n".join(lines)


def read_table(html):
    """Title, rows of the first table and those of the second of what a notebook shows."""
    whole = ElementTree.fromstring(f"<div>{html}</div>")
    tables = [[["".join(cell.itertext()) for cell in row] for row in t.iter("tr")] for t in whole.iter("table")]
    return whole.find("b").text, *tables


def test_an_instance_shows_layers_settings_and_state(few):
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


def test_an_instance_whose_session_was_closed_shows_itself():
    cnn = DigitCNN(**SMALL)
    cnn.sess.close()
    assert repr(cnn).endswith(", closed>") and cnn._repr_html_()


def test_an_instance_shows_itself_while_it_is_built():
    seen = []

    class Curious(DigitCNN):
        def build(self):
            seen.append(repr(self))
            super().build()

    Curious(**SMALL).close()
    assert seen == ["<Curious, own graph, 0 parameters, not built yet>"]


def test_an_odd_graph_shows_itself():
    """A layer in a branch, which is a graph of its own, and a variable whose shape is not known yet."""

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
        assert "own graph" in repr(odd) and "conv_1" in odd._repr_html_() and "any" in odd.summary()


def test_what_an_instance_shows_is_escaped():
    bad = type("<script>alert(1)</script>", (DigitCNN,), {"build": lambda self: DigitCNN.build(self)})
    with bad(**SMALL) as cnn:
        assert "<script>" not in cnn._repr_html_()
        assert read_table(cnn._repr_html_())[0].startswith("<script>alert(1)</script>, own graph")


def test_a_cell_shows_the_table_and_as_text_a_line(kernel):
    [(kind, data)] = kernel.run("cnn = DigitCNN(**settings)\ndisplay(cnn)")
    assert kind == "display_data"
    assert "<td" in data["text/html"] and data["text/plain"].startswith("<DigitCNN, architecture 'cnn', ")


def test_nothing_but_lines_and_bars_is_shown(kernel):
    """Neither TensorFlow's log nor its messages of files, which it prints in notebooks."""
    shown = kernel.run(
        "cnn = DigitCNN(**settings, random_seed=1)\n"
        "cnn.train(training, validation, epochs=2, logdir='logs', verbose='lines')\n"
        "path = cnn.save(epoch=2)\n"
        "cnn.load(epoch=2)\n"
        "with DigitCNN.restore() as again:\n"
        "    _ = again.predict(digits.test_images), again.predict(digits.test_images[:2], return_proba=True)\n"
    )
    assert {name for name, _ in shown} == {"stdout"}
    assert [line.split(":")[0] for line in text_of(shown).splitlines()] == ["Epoch 01", "Epoch 02"]


COUNT = """
def count():
    gc.collect()
    kinds = [type(thing) for thing in gc.get_objects()]
    return [sum(issubclass(kind, wanted) for kind in kinds) for wanted in
            (DigitCNN, tensorflow.Graph, tensorflow.compat.v1.Session)]
"""


def test_a_cell_that_is_run_again_leaks_nothing(kernel):
    kernel.run("cnn = None" + COUNT)
    cell = "cnn = DigitCNN(**settings)\ncnn.train(training, steps=2)\n_ = cnn.predict(digits.test_images)\n"
    kernel.run(cell)
    once = kernel.value("count()")
    for _ in range(3):
        assert "error" not in dict(kernel.run(cell + "display(cnn)"))
    assert kernel.value("count()") == once
    # What the last line shows, IPython keeps: the notebook says so.
    kernel.run(cell + "cnn")
    kernel.run(cell + "cnn")
    assert kernel.value("count()") != once
    kernel.run("%reset -f out")
    assert kernel.value("count()") == once


def test_the_stop_button_leaves_a_usable_model(kernel):
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
    assert kernel.value("len(cnn.history) - stopped[1]") == "1", "the open epoch was finished"
    assert kernel.value("cnn.global_step % 12") == "0"


LOOP = """
import numpy
from digitcnn._progress import bar_options, tqdm
from digitcnn.engine.state import Progress
from digitcnn.training.loop import run_epochs, verbosity
X, y = numpy.zeros([40, 784]), numpy.zeros(40)
progress = Progress()
progress.open_epoch(0, 40, 10)
def on_epoch(epoch):
    for _ in tqdm(range(3), "evaluating", **bar_options(True)):
        pass
    return f"line {epoch}"
run_epochs(lambda X, y: (1.0, None), X, y, shuffle=False, random_seed=1, progress=progress, global_step=0, last_step=8,
           on_epoch=on_epoch, checkpoint=None, checkpoint_every=None, shown=verbosity(True))
"""


def test_bars_are_text_without_ipywidgets(kernel_name):
    with start_kernel(kernel_name) as kernel:
        shown = kernel.run("import sys\nsys.modules['ipywidgets'] = None" + LOOP)
    assert {name for name, _ in shown} == {"stdout"}, "no warning, and no second stream to mix with"
    assert "epoch 2: " in text_of(shown) and "evaluating: " in text_of(shown)
    assert "\x1b" not in text_of(shown), "front ends move no cursor"
    assert on_screen(text_of(shown)).split() == ["line", "1", "line", "2"], "bars leave nothing"


def test_bars_are_widgets_with_ipywidgets(kernel_name):
    with start_kernel(kernel_name) as kernel:
        shown = kernel.run(LOOP)
    widgets = [data for name, data in shown if name == "display_data"]
    assert ["application/vnd.jupyter.widget-view+json" in data for data in widgets] == [True] * 3
    assert text_of(shown, "stderr") == "" and text_of(shown).split() == ["line", "1", "line", "2"]
