"""What rounding depends on is recorded, and a difference is a warning at the next resume."""

import json
import warnings
from pathlib import Path

import pytest
import tensorflow as tf

from digitcnn import DigitCNN
from digitcnn.engine import machine, precision
from digitcnn.engine.machine import code_sha256, differences, this_machine
from digitcnn.exceptions import DigitCNNWarning
from digitcnn.graph.inspection import graph_sha256
from digitcnn.saving.record import record_sha256


def softmax():
    return DigitCNN(architecture="softmax", random_seed=3, batchsize=50, precision="float32")


def train(model, few, **options):
    model.train(few, steps=3, verbose=False, checkpoint_dir="run", checkpoint_every=1, **options)


def begin(few):
    """Train two of three steps, as if a power failure had come after the second."""
    with softmax() as model:
        step = model._engine.train_step

        def fail_at_the_third(*arguments, **options):
            if model.global_step == 2:
                raise ZeroDivisionError
            return step(*arguments, **options)

        model._engine.train_step = fail_at_the_third
        with pytest.raises(ZeroDivisionError):
            train(model, few)


@pytest.fixture
def started(few):
    """A training that ended after two of three steps."""
    begin(few)


VARIABLES = {
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "DNNL_MAX_CPU_ISA": "AVX2",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "TF_DETERMINISTIC_OPS": "1",
    "OMP_PROC_BIND": "true",
    "KMP_BLOCKTIME": "0",
}


@pytest.mark.parametrize("name", VARIABLES)
def test_resume_with_another_environment_warns(started, few, monkeypatch, name):
    monkeypatch.setenv(name, VARIABLES[name])
    with softmax() as model, pytest.warns(DigitCNNWarning, match=f"environment: expected .*{name}={VARIABLES[name]}"):
        train(model, few, resume=True)


SET_BY_LIBRARIES = {"KMP_INIT_AT_FORK": "FALSE", "KMP_DUPLICATE_LIB_OK": "True"}  # by importing scikit-learn


def test_resume_after_the_import_of_scikit_learn_does_not_warn(few, monkeypatch):
    for name in SET_BY_LIBRARIES:
        monkeypatch.delenv(name, raising=False)
    begin(few)
    for name, value in SET_BY_LIBRARIES.items():
        monkeypatch.setenv(name, value)
    with softmax() as model, warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, few, resume=True)


OTHERS = {
    "threads": lambda patch: patch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: 1),
    "vector_units": lambda patch: patch.setattr(machine, "vector_units", lambda: "sse2"),
    "digitcnn": lambda patch: patch.setattr(machine, "__version__", "0.0.1"),
    "code": lambda patch: patch.setattr(machine, "code_sha256", lambda: "0123456789ab"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_resume_with_another_machine_or_code_warns(started, few, monkeypatch, name):
    OTHERS[name](monkeypatch)
    with softmax() as model, pytest.warns(DigitCNNWarning, match=f"{name}: expected .* with which this training began"):
        train(model, few, resume=True)


class Changing(DigitCNN):
    """A graph of one's own, edited between start and resume; the settings do not tell."""

    factor = 1.0

    def build(self):
        tf_x = tf.compat.v1.placeholder(tf.float32, [None, 784], name="tf_x")
        tf_y = tf.compat.v1.placeholder(tf.int32, [None], name="tf_y")
        logits = self.fc_layer(tf_x, "fc_1", 10) * self.factor
        tf.nn.softmax(logits, name="probabilities")
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf_y, logits=logits)
        loss = tf.reduce_mean(losses, name="cross_entropy_loss")
        tf.compat.v1.train.AdamOptimizer(0.001).minimize(loss, name="train_op")


def test_resume_with_an_edited_graph_warns(few, monkeypatch):
    with Changing(random_seed=3, batchsize=50) as model:
        train(model, few)
    monkeypatch.setattr(Changing, "factor", 1.5)
    with Changing(random_seed=3, batchsize=50) as model, pytest.warns(DigitCNNWarning, match="graph: expected"):
        train(model, few, resume=True)


def test_resume_of_an_older_record_does_not_warn(started, few):
    """Records of earlier versions have fewer entries."""
    file = Path("run/model.ckpt-2.json")
    content = json.loads(file.read_text())
    for name in ("vector_units", "gpu_names", "threads", "environment", "digitcnn", "code", "graph"):
        del content["plan"]["machine"][name]
    del content["sha256"]
    file.write_text(json.dumps(content | {"sha256": record_sha256(content)}))
    with softmax() as model, warnings.catch_warnings():
        warnings.simplefilter("error")
        train(model, few, resume=True)


@pytest.mark.parametrize("name", ["TF_CPP_MIN_LOG_LEVEL", "ONEDNN_VERBOSE", "TF_VAR_PASSWORD"])
def test_variables_that_only_log_or_are_of_other_programs_are_not_recorded(monkeypatch, name):
    before = this_machine()
    monkeypatch.setenv(name, "2")
    assert list(differences(before, this_machine())) == [] and name not in str(this_machine())


def test_code_sha256_follows_the_files(monkeypatch, tmp_path):
    before = code_sha256()
    for name in machine._COMPUTING:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((machine._PACKAGE / name).read_bytes())
    monkeypatch.setattr(machine, "_PACKAGE", tmp_path)
    assert code_sha256() == before
    (tmp_path / machine._COMPUTING[0]).write_text("pass")
    assert code_sha256() != before


def test_graph_sha256_tells_seeds_and_not_copies():
    """The branches of tf.cond have other names in each copy."""
    with (
        DigitCNN(architecture="strided", random_seed=3, rotation=5) as one,
        DigitCNN(architecture="strided", random_seed=3, rotation=5) as copy,
        DigitCNN(architecture="strided", random_seed=4, rotation=5) as other,
    ):
        assert graph_sha256(one.g) == graph_sha256(copy.g) != graph_sha256(other.g)


@pytest.mark.parametrize(
    ("limit", "expected"), [("SSE41", False), ("avx2", False), ("AVX512_CORE", False), ("AVX512_CORE_BF16", True)]
)
def test_onednn_limit_turns_bfloat16_off(monkeypatch, limit, expected):
    """A convolution in bfloat16 fails below it."""
    monkeypatch.setattr(precision, "has_bfloat16", lambda: True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    assert precision.can_bfloat16() is expected
