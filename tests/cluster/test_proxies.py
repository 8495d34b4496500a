"""A web proxy in the environment, which gRPC would use between workers."""

import pytest

from digitcnn import Cluster, ClusterError
from digitcnn.cluster.proxies import EXEMPT, PROXIES, check_no_proxy
from digitcnn.cluster.workers import Workers

HOSTS = ["10.0.0.1:8888", "Node02.cluster:8888", "[fd00::2]:8888"]
PROXY = "http://user:secret@proxy:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in (*PROXIES, *EXEMPT):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", PROXIES)
def test_proxy_is_named_before_the_server_starts(monkeypatch, name):
    monkeypatch.setenv(name, PROXY)
    with pytest.raises(ClusterError) as caught:
        Workers(Cluster(HOSTS, 0))
    assert str(caught.value).startswith(f"{name}: expected no proxy between workers, found one")
    assert "set no_grpc_proxy=10.0.0.1,Node02.cluster,fd00::2 on all workers" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("exempt", "missing"),
    [
        ("10.0.0.1,node02.cluster,fd00::2", None),
        (" 10.0.0.0/8 , .CLUSTER, fd00::/16", None),
        ("10.0.0.0/8,.cluster", "fd00::2"),
        ("10.0.0.2,node,fd00::2,x/y,10.0.0.1/z", "10.0.0.1"),  # `node` is the beginning of a name, not the end
        ("", "10.0.0.1"),
    ],
)
@pytest.mark.parametrize("name", EXEMPT)
def test_exempt_hosts_need_no_proxy(monkeypatch, name, exempt, missing):
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv(name, exempt)
    if missing is None:
        check_no_proxy(HOSTS)
    else:
        with pytest.raises(ClusterError, match=f"messages for {missing} to"):
            check_no_proxy(HOSTS)


def test_grpcs_own_variables_come_first(monkeypatch):
    """As in gRPC: an empty proxy is none, and `no_grpc_proxy` replaces `no_proxy`."""
    monkeypatch.setenv("http_proxy", PROXY)
    monkeypatch.setenv("grpc_proxy", "")
    check_no_proxy(HOSTS)
    monkeypatch.setenv("grpc_proxy", PROXY)
    monkeypatch.setenv("no_proxy", "10.0.0.1,cluster,fd00::2")
    check_no_proxy(HOSTS)
    monkeypatch.setenv("no_grpc_proxy", "elsewhere")
    with pytest.raises(ClusterError, match="^grpc_proxy: "):
        check_no_proxy(HOSTS)
    for harmless in ("socks5://proxy:1080", "proxy:3128"):  # gRPC takes none but http://
        monkeypatch.setenv("grpc_proxy", harmless)
        check_no_proxy(HOSTS)


def test_training_alone_may_have_a_proxy(monkeypatch):
    monkeypatch.setenv("http_proxy", PROXY)
    assert Workers(Cluster(HOSTS[:1], 0)).n == 1
