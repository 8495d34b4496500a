"""Which precision is chosen on which machine, and what each one guarantees."""

import numpy as np
import pytest

from digitcnn import DigitCNN
from digitcnn.engine import precision
from digitcnn.engine.precision import can_bfloat16, resolve_precision

needs_bfloat16 = pytest.mark.skipif(not can_bfloat16(), reason="this CPU has no bfloat16, or oneDNN is off")


@pytest.fixture
def cpu(monkeypatch, tmp_path):
    """Pretend that the CPU has these flags."""

    def pretend(flags):
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor : 0\nmodel name : one\nflags\t\t: {flags}\n\nprocessor : 1\nflags\t\t: {flags}\n")
        monkeypatch.setattr(precision, "_CPU_INFO", file)
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    return pretend


@pytest.mark.parametrize("flags", ["fpu avx512f avx512_bf16 sse", "amx_bf16 fpu"])
def test_auto_is_bfloat16_if_the_cpu_has_it(cpu, flags, monkeypatch):
    cpu(flags)
    assert resolve_precision("auto") == resolve_precision("bfloat16") == "bfloat16"
    assert resolve_precision("float32") == "float32"
    assert resolve_precision("auto", has_gpu=True) == "float32"
    for off in ("0", "false", "False"):
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", off)
        assert resolve_precision("auto") == "float32"


def test_auto_is_float32_otherwise(cpu, monkeypatch, tmp_path):
    cpu("fpu avx512f bf16")
    assert resolve_precision("auto") == "float32"
    monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "none")
    assert resolve_precision("auto") == "float32"


def test_impossible_precision_raises(cpu):
    with pytest.raises(ValueError, match="precision: expected one of auto, float32, bfloat16, found 'half'"):
        DigitCNN(precision="half")
    cpu("fpu avx512f")
    with pytest.raises(ValueError, match="expected 'auto' or 'float32' on this machine, found 'bfloat16'"):
        DigitCNN(precision="bfloat16")
    cpu("avx512_bf16")
    with pytest.raises(ValueError, match="and no GPU"):
        resolve_precision("bfloat16", has_gpu=True)


@needs_bfloat16
def test_bfloat16_model_restores_on_machine_without_bfloat16(cpu, few):
    with DigitCNN(random_seed=3, fc_3_output_units=16, precision="bfloat16") as model:
        model.train(few, steps=1, verbose=False)
        model.save(path="m")
        expected = model.predict(few[0], return_proba=True)
    cpu("fpu")
    with DigitCNN.restore("m") as again:
        assert (again.precision, again.computes_in) == ("auto", "float32")
        np.testing.assert_allclose(again.predict(few[0], return_proba=True), expected, atol=0.02)


@pytest.mark.parametrize("kind", ["float32", pytest.param("bfloat16", marks=needs_bfloat16)])
def test_training_is_reproducible_in_each_precision(few, kind):
    runs = []
    for _ in range(2):
        with DigitCNN(random_seed=3, fc_3_output_units=64, precision=kind, learning_rate=1e-3) as cnn:
            assert cnn.computes_in == kind
            cnn.train(few, epochs=6, verbose=False)
            assert cnn.history["Loss"].iloc[-1] < 0.5 * cnn.history["Loss"][0]
            runs.append(cnn.predict(few[0], return_proba=True))
            assert runs[-1].dtype == np.float32
            # In both, fetched tensors, variables and Adam's state are float32.
            feed = {"tf_x:0": cnn.standardization(few[0][:2])}
            assert cnn.sess.run("conv_1/activation:0", feed).dtype == np.float32
            assert {v.dtype.name for v in cnn.g.get_collection("trainable_variables")} == {"float32"}
    np.testing.assert_array_equal(*runs)


@needs_bfloat16
def test_few_images_are_predicted_in_float32(few):
    """That is faster than casting the weights to bfloat16."""
    with DigitCNN(random_seed=3, fc_3_output_units=64, precision="bfloat16", learning_rate=1e-3) as cnn:
        cnn.train(few, epochs=2, verbose=False)
        one, all_of_them = cnn.predict(few[0][:1], True), cnn.predict(few[0], True)
        cnn.save(path="m")
        with DigitCNN(random_seed=3, fc_3_output_units=64, precision="float32") as exact:
            exact.load(path="m")
            np.testing.assert_allclose(one, exact.predict(few[0][:1], True), rtol=1e-5)
            assert 0 < np.abs(exact.predict(few[0], True) - all_of_them).max() < 0.02


@needs_bfloat16
def test_bfloat16_is_close_but_not_equal_to_float32(few):
    found = {}
    for kind in ("float32", "bfloat16"):
        with DigitCNN(random_seed=3, fc_3_output_units=64, precision=kind) as cnn:
            cnn.train(few, steps=1, verbose=False)
            found[kind] = cnn.predict(few[0], return_proba=True)
    difference = np.abs(found["float32"] - found["bfloat16"]).max()
    assert 0 < difference < 0.02
