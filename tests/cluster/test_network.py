"""Two hosts with addresses of their own, in network namespaces, train over a real link."""

import subprocess
import sys
from types import SimpleNamespace

import pytest
from conftest import ROOT

from digitcnn import DigitCNN

SETTINGS = {"architecture": "softmax", "batchsize": 100, "random_seed": 27, "precision": "float32"}
STEPS = 24


@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
@pytest.mark.parametrize("kind", [(), ("netem", "delay", "50ms", "loss", "1%")], ids=["link", "slow link with losses"])
def test_two_hosts_have_the_weights_of_one(kind, digits, tmp_path, monkeypatch):
    """tests/benchmarks/network.py also cuts the link, for 20 s."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    import network

    training, validation = digits.split(239)
    with DigitCNN(learning_rate=1e-3, **SETTINGS) as alone:
        alone.train(training, validation, steps=STEPS, devices=2, verbose=False)
        expected = alone.weights_sha256()
    arguments = SimpleNamespace(data="bundled", what="softmax", steps=STEPS, timeout=60, precision="float32")
    try:
        with network.two_hosts() as hosts:
            for host in hosts if kind else ():
                network.shell("tc", "-n", host, "qdisc", "add", "dev", "wire", "root", *kind)
            statuses, outputs = network.train(hosts, tmp_path / "a run [x]", arguments)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a link like this cannot be made here: {getattr(error, 'stderr', None) or error}")
    assert statuses == [0, 0], outputs
    assert [network.digest(output) for output in outputs] == [expected] * 2
