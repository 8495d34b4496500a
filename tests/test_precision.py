"""Which precision is taken where, and what each of them promises."""

import numpy as np
import pytest

from digitcnn import DigitCNN, precision
from digitcnn.precision import has_bfloat16, resolve_precision


@pytest.fixture
def cpu(monkeypatch, tmp_path):
    """Pretend to be a machine whose CPU has these flags."""

    def pretend(flags, machine="x86_64"):
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor : 0\nmodel name : one\nflags\t\t: {flags}\n\nprocessor : 1\nflags\t\t: {flags}\n")
        monkeypatch.setattr(precision, "_CPU_INFO", file)
        monkeypatch.setattr(precision.platform, "machine", lambda: machine)
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    return pretend


@pytest.mark.parametrize("flags", ["fpu avx512f avx512_bf16 sse", "amx_bf16 fpu"])
def test_auto_takes_bfloat16_where_the_cpu_has_it(cpu, flags, monkeypatch):
    cpu(flags)
    assert has_bfloat16() and resolve_precision("auto") == "bfloat16"
    assert resolve_precision("auto", has_gpu=True) == "float32"
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert resolve_precision("auto") == "float32"


@pytest.mark.parametrize(("flags", "machine"), [("fpu avx512f bf16", "x86_64"), ("avx512_bf16", "aarch64")])
def test_auto_takes_float32_elsewhere(cpu, flags, machine):
    cpu(flags, machine)
    assert resolve_precision("auto") == "float32"
    assert resolve_precision("bfloat16") == "bfloat16"


def test_a_machine_that_does_not_tell(monkeypatch, tmp_path):
    monkeypatch.setattr(precision, "_CPU_INFO", tmp_path / "none")
    assert not has_bfloat16()


def test_other_names_and_bfloat16_on_a_gpu_are_told():
    with pytest.raises(ValueError, match="precision: expected one of auto, float32, bfloat16, found 'half'"):
        DigitCNN(precision="half")
    with pytest.raises(ValueError, match="for CPUs and this machine has a GPU"):
        resolve_precision("bfloat16", has_gpu=True)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
def test_either_precision_learns_and_is_reproducible_to_the_bit(few, kind):
    runs = []
    for _ in range(2):
        with DigitCNN(random_seed=3, fc_3_output_units=64, precision=kind, learning_rate=1e-3) as cnn:
            assert cnn.computes_in == kind
            cnn.train(few, epochs=6, verbose=False)
            assert cnn.history["Loss"].iloc[-1] < 0.5 * cnn.history["Loss"][0]
            runs.append(cnn.predict(few[0], return_proba=True))
            assert runs[-1].dtype == np.float32
            # What is fetched by name is float32 in either, as its variables and Adam's state are.
            feed = {"tf_x:0": cnn.standardization(few[0][:2])}
            assert cnn.sess.run("conv_1/activation:0", feed).dtype == np.float32
            assert {v.dtype.name for v in cnn.g.get_collection("trainable_variables")} == {"float32"}
    np.testing.assert_array_equal(*runs)


def test_bfloat16_is_close_to_float32_and_not_the_same(few):
    found = {}
    for kind in ("float32", "bfloat16"):
        with DigitCNN(random_seed=3, fc_3_output_units=64, precision=kind) as cnn:
            cnn.train(few, steps=1, verbose=False)
            found[kind] = cnn.predict(few[0], return_proba=True)
    difference = np.abs(found["float32"] - found["bfloat16"]).max()
    assert 0 < difference < 0.02
