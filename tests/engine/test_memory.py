"""Too little memory is a sentence, before anything is changed where that can be foreseen."""

import numpy as np
import pytest
import tensorflow as tf

from digitcnn import DigitCNN
from digitcnn.cli.main import main
from digitcnn.engine import memory
from digitcnn.engine.memory import bytes_per_image, check_memory, memory_left

MB = 1 << 20


@pytest.fixture
def model(few):
    with DigitCNN(random_seed=1, batchsize=10**6, fc_3_output_units=32, precision="float32") as cnn:
        yield cnn


def limit(monkeypatch, n_bytes):
    monkeypatch.setattr(memory, "memory_left", lambda: iter([(10**12, "another"), (n_bytes, "ulimit -v")]))


@pytest.fixture(scope="module")
def many(digits):
    return np.tile(digits.train_images, (3, 1)), np.tile(digits.train_labels, 3)


def test_batch_beyond_the_memory_is_refused(model, few, many, monkeypatch):
    model.train(few, steps=1, verbose=False)
    before = model.weights_sha256(), model.history.to_csv(), model.global_step
    limit(monkeypatch, 100 * MB)
    with pytest.raises(
        MemoryError,
        match=r"batchsize: expected a batch that fits in memory, found 4,311 images, which need at least 606 MB where "
        r"100 MB are left \(ulimit -v\); give a smaller batchsize",
    ):
        model.train(many, verbose=False)
    with pytest.raises(MemoryError, match=r"batch_size: expected a batch that fits in memory, found 4,311 images"):
        model.predict(many[0], batch_size=10**6)
    assert (model.weights_sha256(), model.history.to_csv(), model.global_step) == before
    assert len(model.predict(many[0][:600])) == 600


def test_batch_that_may_fit_is_not_refused(model, many, monkeypatch):
    n_bytes = 1437 * bytes_per_image(model.g, 4, is_training=True)
    limit(monkeypatch, n_bytes)
    few = many[0][:1437], many[1][:1437]
    model.train(few, steps=1, verbose=False)
    limit(monkeypatch, n_bytes - 1)
    with pytest.raises(MemoryError):
        model.train(few, steps=1, verbose=False)


def test_bytes_per_image_of_the_tutorials_network(model):
    """Outputs of the convolutions, poolings and dense layers; twice conv_1's is less."""
    outputs = [24 * 24 * 32, 12 * 12 * 32, 8 * 8 * 64, 4 * 4 * 64, 32, 10]
    assert bytes_per_image(model.g, 4, is_training=True) == 4 * max(sum(outputs), 2 * outputs[0])
    assert bytes_per_image(model.g, 2, is_training=False) == 2 * outputs[0]


ERRORS = {
    "TensorFlow": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
    "oneDNN": tf.errors.AbortedError(
        None, None, "Operation received an exception:Status: 1, message: could not create"
    ),
    "Python": MemoryError("std::bad_alloc"),
}


@pytest.mark.parametrize("kind", ERRORS)
def test_allocation_that_fails_in_a_run_is_a_sentence(model, few, monkeypatch, kind):
    model.train(few, steps=1, verbose=False)

    def fail(*_, **__):
        raise ERRORS[kind]

    with monkeypatch.context() as patch:
        patch.setattr(model._engine._calls, "_callables", dict.fromkeys(model._engine._calls._callables, fail))
        with pytest.raises(MemoryError, match="expected enough memory for a batch, found too little; give a smaller"):
            model.train(few, steps=1, verbose=False)
    model.train(few, steps=1, verbose=False)  # the model stays usable


def test_full_disk_is_no_lack_of_memory():
    error = tf.errors.ResourceExhaustedError(None, None, "allocated/model.ckpt-3.data; No space left on device")
    assert not memory.is_out_of_memory(error) and all(map(memory.is_out_of_memory, ERRORS.values()))


def test_command_line_refuses_before_it_makes_a_folder(monkeypatch, capsys, tmp_path):
    limit(monkeypatch, 50 * MB)
    assert main(["train", "--recipe", "tutorial", "--batch-size", "1000", "--run", "run"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("digitcnn: error: batchsize: expected a batch that fits in memory, found 1,000 images")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "Unable to allocate 9.0 TiB for an array"])
def test_command_line_prints_a_memory_error_as_a_sentence(monkeypatch, capsys, text):
    def fail(*_):
        raise MemoryError(*[text] * bool(text))

    monkeypatch.setattr("digitcnn.data.datasets.load_dataset", fail)
    assert main(["train"]) == 1
    assert capsys.readouterr().err == (
        f"digitcnn: error: expected enough memory, found: {text or 'too little'}; give fewer or smaller images\n"
    )


def test_memory_left_obeys_the_address_space():
    resource = pytest.importorskip("resource", reason="no limits on this system")
    if not memory._PROC.joinpath("self/statm").is_file():
        pytest.skip("the size of a process is known on Linux only")
    pages = int(memory._PROC.joinpath("self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 900 * MB, before[1]))
        left = {name: n_bytes for n_bytes, name in memory_left()}["ulimit -v"]
        with pytest.raises(MemoryError, match="1,000 images, which need at least 1,000 MB"):
            check_memory(1000, 1000 * MB, "batchsize")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
    assert 800 * MB < left < 1000 * MB


@pytest.fixture
def container(tmp_path, monkeypatch):
    """Writes files as Linux has them below /proc and /sys/fs/cgroup."""
    monkeypatch.setattr(memory, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path / "cgroup")

    def write(files):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return {name: n_bytes // MB for n_bytes, name in memory_left() if name != "ulimit -v"}

    return write


MACHINE = {"proc/meminfo": "MemTotal: 9000000 kB\nMemAvailable: 4096 kB\nSwapFree: 1024 kB\n"}


def test_memory_left_of_the_machine_and_its_swap(container):
    assert container(MACHINE | {"proc/self/cgroup": "0::/\n"}) == {"the machine's memory": 5}


@pytest.mark.parametrize("inner", ["max", "999999999999"])
def test_memory_left_by_a_limit_of_cgroups_2(container, inner):
    """The outer group has the limit; cached files do not count."""
    files = {
        "proc/self/cgroup": "0::/a/b\n",
        "cgroup/a/memory.max": f"{10 * MB}",
        "cgroup/a/memory.stat": f"anon {4 * MB}\nfile {6 * MB}\n",
        "cgroup/a/b/memory.max": inner,
        "cgroup/a/b/memory.stat": "anon 1\nfile 2\n",
    }
    assert container(MACHINE | files)["the container's limit"] == 7


def test_memory_left_by_a_limit_of_cgroups_1(container):
    files = {
        "proc/self/cgroup": "4:memory:/a\n0::/\n",
        "cgroup/memory/a/memory.limit_in_bytes": f"{8 * MB}",
        "cgroup/memory/a/memory.stat": f"cache 9\ntotal_rss {MB}\n",
        "cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
        "cgroup/memory/memory.stat": f"cache 9\ntotal_rss {MB}\n",
    }
    assert container(MACHINE | files)["the container's limit"] == 8


def test_memory_left_is_unknown_without_these_files(container):
    assert container({}) == {}
    check_memory(1, 10**15, "batchsize")
