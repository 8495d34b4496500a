"""The workers of a training: from addresses, TF_CONFIG and Slurm's variables."""

import json

import pytest

from digitcnn import Cluster, ClusterError

HOSTS = ["10.0.0.1:8888", "10.0.0.2:8888", "[fe80::1]:8888"]


def test_addresses_and_index():
    cluster = Cluster(HOSTS, 2)
    assert (cluster.n_workers, cluster.address, cluster.timeout) == (3, "[fe80::1]:8888", 120)


@pytest.mark.parametrize(
    ("hosts", "index", "message"),
    [
        ("a:1", 0, "hosts: expected a list of addresses"),
        ([], 0, "number of workers"),
        (["a"], 0, "hosts: expected addresses 'HOST:PORT', found 'a'"),
        (["a:b"], 0, "hosts: expected a port in 1..65535 in 'a:b', found 'b'"),
        (["a:0"], 0, "found '0'"),
        (["a:65536"], 0, "found '65536'"),
        (["a:²"], 0, "found '²'"),
        (["http://a:1"], 0, "expected addresses"),
        (["fe80::1:1"], 0, "expected addresses"),
        (["a :1"], 0, "expected addresses"),
        (["a:1", "a:1"], 0, "'a:1' twice"),
        (["a:1", "b:1"], 2, "index: expected"),
        (["a:1", "b:1"], -1, "index: expected"),
        ([1], 0, "expected addresses"),
    ],
)
def test_wrong_addresses_raise(hosts, index, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        Cluster(hosts, index)
    assert message in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True, None])
def test_wrong_timeout_raises(timeout):
    with pytest.raises((ValueError, TypeError), match=r"^timeout: expected"):
        Cluster(HOSTS, 0, timeout)


@pytest.fixture
def clean(monkeypatch):
    for name in ("TF_CONFIG", "SLURM_STEP_NUM_TASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST", "SLURMD_NODENAME"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_environment_without_cluster_gives_none(clean):
    assert Cluster.from_environment() is None
    clean.setenv("SLURM_STEP_NUM_TASKS", "1")  # a notebook in an allocation
    assert Cluster.from_environment() is None


@pytest.mark.parametrize(
    ("kind", "index", "jobs", "expected"),
    [
        ("worker", 1, {"worker": HOSTS}, 1),
        ("chief", 0, {"chief": ["c:1"], "worker": HOSTS}, 0),
        ("worker", 1, {"chief": ["c:1"], "worker": HOSTS}, 2),
    ],
)
def test_tf_config(clean, kind, index, jobs, expected):
    clean.setenv("TF_CONFIG", json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}}))
    cluster = Cluster.from_environment(30)
    assert (list(cluster.hosts), cluster.index) == ([*jobs.get("chief", []), *HOSTS], expected)
    assert cluster.timeout == 30


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "5",
        "{}",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "x"}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}',
    ],
)
def test_wrong_tf_config_raises(clean, text):
    clean.setenv("TF_CONFIG", text)
    with pytest.raises(ClusterError, match=r"^TF_CONFIG: (expected JSON such as|hosts: expected)"):
        Cluster.from_environment()


def slurm(monkeypatch, rank, node):
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "3")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "n[09-10]")
    monkeypatch.setenv("SLURM_STEP_TASKS_PER_NODE", "2,1")
    monkeypatch.setenv("SLURM_PROCID", str(rank))
    monkeypatch.setenv("SLURMD_NODENAME", node)


@pytest.mark.parametrize(("rank", "node"), [(0, "n09"), (1, "n09"), (2, "n10")])
def test_slurm_step_of_several_tasks(clean, rank, node):
    slurm(clean, rank, node)
    cluster = Cluster.from_environment()
    assert (list(cluster.hosts), cluster.index) == (["n09:8888", "n09:8889", "n10:8888"], rank)


def test_slurm_nodes_in_another_order_raise(clean):
    """Slurm numbers n9 before n10, TensorFlow's resolver sorts n10 before n9."""
    slurm(clean, 0, "n9")
    clean.setenv("SLURM_STEP_NODELIST", "n[9-10]")
    with pytest.raises(ClusterError, match=r"Slurm: expected .* give --cluster and --index instead"):
        Cluster.from_environment()


def test_incomplete_slurm_variables_raise(clean):
    clean.setenv("SLURM_STEP_NUM_TASKS", "3")
    with pytest.raises(ClusterError, match="^Slurm: expected"):
        Cluster.from_environment()
