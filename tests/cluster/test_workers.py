"""Real processes on loopback train together."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
import train_worker

from digitcnn import Cluster, ClusterError, DigitCNN, WorkerLostError
from digitcnn.training import trainer

WORKER = train_worker.__file__
SECONDS = 480  # after which a test fails in place of hanging
SMALL = {"conv_1_output_channels": 16, "conv_2_output_channels": 8, "fc_3_output_units": 32, "dropout": 0.0}
SMALL |= {"precision": "float32"}
PLAIN = {"architecture": "softmax", "precision": "float32"}
RANDOM = {"architecture": "slim", "rotation": 9, "shift": 2, "label_smoothing": 0.1, "schedule": "one_cycle"}
RANDOM |= {"average_decay": 0.9, "precision": "float32"}


def free_ports(n):
    """Ports that are free now, held together so that they differ."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def run_workers(trainings, timeout=120):
    """What each worker found in each training, by the number of workers; all must end by themselves.

    trainings: by the number of workers, which falls. A process is a worker of one cluster after another.
    """
    n = max(trainings)
    ports = iter(free_ports(sum(trainings)))
    clusters = [
        {"hosts": [f"127.0.0.1:{next(ports)}" for _ in range(size)], "timeout": timeout, "trainings": of_cluster}
        for size, of_cluster in trainings.items()
    ]
    task = json.dumps(clusters)
    started = [
        subprocess.Popen(
            [sys.executable, WORKER, str(index), task],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(n)
    ]
    try:
        outputs = [process.communicate(timeout=SECONDS) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, outputs, strict=True):
        assert process.returncode == 0, errors
    found = {size: [] for size in trainings}
    for index, (output, _) in enumerate(outputs):
        sizes = [size for size in trainings if index < size]
        for size, line in zip(sizes, output.splitlines(), strict=True):
            found[size].append(json.loads(line))
    return found


DIFFERENT = [
    {"settings": PLAIN, "by_worker": {"1": {"settings": PLAIN | {"learning_rate": 0.5}}}},
    {"settings": PLAIN, "by_worker": {"1": {"n_images": 329}}},
    {"settings": PLAIN, "by_worker": {"1": {"train": {"steps": 6}}}},
    {"settings": PLAIN, "by_worker": {"1": {"settings": SMALL}}},
]
TRAININGS = [
    {"settings": RANDOM},
    {"settings": PLAIN, "calls": 2},
    {"settings": PLAIN, "calls": 2},  # again: servers and names of collectives are used twice
    {"settings": PLAIN | {"batchsize": 329}, "train": {"epochs": 2, "steps": None}},  # a last batch of one image
    {"settings": SMALL},
    {"settings": SMALL | {"precision": "auto"}},  # bfloat16 where the CPU has it
]


@pytest.fixture(scope="module")
def workers(digits, tmp_path_factory):
    """What three processes found in a training, and two of them in DIFFERENT, TRAININGS, and one that they resume."""
    folder = tmp_path_factory.mktemp("older") / "c"
    begin_with_an_older_version(digits, folder)
    resumed = {"checkpoint_dir": str(folder), "checkpoint_every": 1, "resume": True}
    return run_workers({3: TRAININGS[:1], 2: [*DIFFERENT, *TRAININGS, {"settings": SMALL, "train": resumed}]})


@pytest.mark.parametrize("n", [2, 3])
def test_workers_have_the_weights_of_one_process(n, workers):
    """To the bit in float32, if the one process computes in the same parts; all workers have them in the end."""
    trainings = TRAININGS if n == 2 else TRAININGS[:1]
    workers = [found[len(DIFFERENT) : -1] if n == 2 else found for found in workers[n]]
    assert [len(found) for found in workers] == [len(trainings)] * n
    trainings = [training | {"train": {"devices": n} | training.get("train", {})} for training in trainings]
    alone = list(train_worker.results(0, {"hosts": ["alone"], "timeout": 0, "trainings": trainings}))
    for found in workers[1:]:
        assert [one["weights"] for one in found] == [one["weights"] for one in workers[0]]
        assert [one["history"] for one in found] == [one["history"] for one in workers[0]]
    together = workers[0]
    for number, (one, other) in enumerate(zip(together, alone, strict=True)):
        assert one["step"] == other["step"] and one["variables"].keys() == other["variables"].keys()
        if trainings[number]["settings"].get("precision") == "auto":
            assert one["history"][-1]["Loss"] == pytest.approx(other["history"][-1]["Loss"], rel=1e-3)
            continue
        assert [row["Accuracy"] for row in one["history"]] == [row["Accuracy"] for row in other["history"]]
        if n == 2:  # the sum of three numbers depends on their order
            assert one["weights"] == other["weights"], number
        for row, expected in zip(one["history"], other["history"], strict=True):
            assert row["Loss"] == pytest.approx(expected["Loss"], rel=1e-5)
    if n == 2:
        assert together[1] == together[2]


def test_differences_between_workers_are_named_before_the_first_step(workers):
    """And the next training is as if nothing had been."""
    for found in workers[2]:
        errors = [one.get("error", "") for one in found]
        assert "ClusterError: worker 1 (127.0.0.1:" in errors[0]
        assert "expected learning_rate=0.0001, as worker 0 has, found 0.5" in errors[0]
        assert "expected training_set=" in errors[1] and "validation_set" in errors[1]
        assert "expected steps=5, as worker 0 has, found 6" in errors[2]
        assert "expected architecture='softmax', as worker 0 has, found 'cnn'" in errors[3]
        assert [one.get("rows") for one in found[:4]] == [0] * 4 and found[4]["step"] == 5


def begin_with_an_older_version(digits, folder):
    """Leave the checkpoints of a training that was interrupted after three of five steps."""
    data = digits.train_images[:330], digits.train_labels[:330]
    with DigitCNN(random_seed=3, batchsize=50, **SMALL) as model, pytest.MonkeyPatch.context() as patch:
        older = trainer.this_machine() | {"tensorflow": "2.16.1", "code": "0123456789ab"}
        patch.setattr(trainer, "this_machine", lambda: older)
        train_step = model._engine.train_step

        def interrupt(*arguments, **options):
            if model.global_step == 3:
                raise KeyboardInterrupt
            return train_step(*arguments, **options)

        patch.setattr(model._engine, "train_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            model.train(data, data, steps=5, checkpoint_dir=folder, checkpoint_every=1, verbose=False)


def test_training_of_an_older_version_is_resumed_by_workers(workers):
    """They compare their own versions, not the one that the checkpoint was begun with."""
    first, second = (found[-1] for found in workers[2])
    assert first.get("step") == 5, first
    assert first == second


def test_absent_worker_0_is_reported_in_time(few):
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    with DigitCNN(architecture="softmax") as model:
        started = time.monotonic()
        with pytest.raises(
            WorkerLostError, match=rf"missing worker 0 at {hosts[0]} \(connection refused\); start them"
        ):
            model.train(few, steps=1, cluster=Cluster(hosts, 1, timeout=2))
        assert time.monotonic() - started < 30
        model.train(few, steps=1, verbose=False)


def test_unknown_host_is_named(few):
    hosts = [f"127.0.0.1:{free_ports(1)[0]}", "no-such-host.invalid:8888"]
    with (
        DigitCNN(architecture="softmax") as model,
        pytest.raises(WorkerLostError, match=r"worker 1 at no-such-host.invalid:8888 \(no such host"),
    ):
        model.train(few, steps=1, cluster=Cluster(hosts, 0, timeout=1))


def test_port_in_use_is_named(few):
    with socket.create_server(("127.0.0.1", 0)) as other:
        hosts = [f"127.0.0.1:{other.getsockname()[1]}", "127.0.0.1:1"]
        with (
            DigitCNN(architecture="softmax") as model,
            pytest.raises(ClusterError, match=rf"^{hosts[0]}: expected a free port for this worker, found one in use"),
        ):
            model.train(few, steps=1, cluster=Cluster(hosts, 0))


def test_batch_of_fewer_images_than_workers_raises(few):
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    with (
        DigitCNN(architecture="softmax", batchsize=1) as model,
        pytest.raises(ClusterError, match="^batchsize: expected"),
    ):
        model.train(few, steps=1, cluster=Cluster(hosts, 0))


def test_ctrl_c_while_waiting_for_others_leaves_the_model(few):
    """Worker 1 never comes: what is raised meanwhile changes nothing."""
    hosts = [f"127.0.0.1:{port}" for port in free_ports(2)]
    with DigitCNN(architecture="softmax", random_seed=1) as model:
        model.train(few, steps=3, verbose=False)
        before, history = model.weights_sha256(), model.history
        ctrl_c = threading.Timer(2, signal.raise_signal, [signal.SIGINT])
        ctrl_c.start()
        with pytest.raises(KeyboardInterrupt):
            model.train(few, steps=1, cluster=Cluster(hosts, 0, timeout=60), verbose=False)
        ctrl_c.join()
        assert model.weights_sha256() == before and model.history.equals(history)


def test_other_workers_at_the_same_address_need_a_new_process(few):
    hosts = [f"127.0.0.1:{port}" for port in free_ports(3)]
    with DigitCNN(architecture="softmax") as model:
        with pytest.raises(WorkerLostError):
            model.train(few, steps=1, cluster=Cluster(hosts[:2], 0, timeout=1))
        with pytest.raises(
            ClusterError, match="for which this process listens there, found others; start a new process"
        ):
            model.train(few, steps=1, cluster=Cluster(hosts, 0, timeout=1))


def test_cluster_of_another_type_raises(few):
    with DigitCNN(architecture="softmax") as model, pytest.raises(TypeError, match="cluster: expected a Cluster or"):
        model.train(few, steps=1, cluster="10.0.0.1:8888")


def test_cluster_of_one_worker_trains_alone(few):
    with DigitCNN(architecture="softmax", random_seed=1) as one, DigitCNN(architecture="softmax", random_seed=1) as two:
        one.train(few, steps=3, verbose=False)
        two.train(few, steps=3, verbose=False, cluster=Cluster(["127.0.0.1:1"], 0))
        assert one.weights_sha256() == two.weights_sha256()
