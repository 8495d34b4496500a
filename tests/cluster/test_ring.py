"""The simulated ring all-reduce against its closed formula, and the page that has its tables."""

import importlib
import re

import pytest
from conftest import ROOT

PAGE = ROOT / "digitcnn" / "cluster" / "README.md"


@pytest.fixture
def load(monkeypatch):
    """A function that imports a benchmark, whose folder is on the path as when one runs."""
    monkeypatch.syspath_prepend(str(ROOT / "tests" / "benchmarks"))
    return importlib.import_module


@pytest.fixture
def ring(load):
    return load("ring")


def made(ring, n, **changed):
    """A ring of odd distinct numbers; compute, network and messages may be changed."""
    given = {
        "compute": ring.Compute(fixed=3e-3, per_row=7e-5),
        "network": ring.Network(bits_per_second=1e9, latency=11e-5),
        "messages": ring.Messages(seconds_each=13e-5, seconds_per_byte=17e-10),
    }
    return ring.Ring(n, n_bytes=1_900_000, **(given | changed))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64])
def test_simulated_step_equals_the_closed_formula(ring, n):
    one = made(ring, n)
    expected = ring.step_seconds(n, 100, one.n_bytes, one.compute, one.network, one.messages)
    assert one.run(100) == pytest.approx(expected, rel=1e-12)
    assert one.run(100, steps=5) == pytest.approx(expected, rel=1e-12)


def test_closed_formula_by_hand(ring):
    """Two workers: 50 rows, and two messages of half the vector."""
    message = 13e-5 + 950_000 * (8e-9 + 17e-10) + 11e-5
    assert made(ring, 2).run(100) == pytest.approx(3e-3 + 50 * 7e-5 + 2 * message, rel=1e-12)


def test_ring_sends_twice_the_vector_at_most(ring):
    """2 (n - 1) / n of it, by each worker: the time without latency and overhead tends to twice that of the vector."""
    network, free = ring.Network(1e9, 0.0), ring.Messages(0.0, 0.0)
    for n in (2, 8, 64):
        seconds = made(ring, n, compute=ring.Compute(0.0, 0.0), network=network, messages=free).run(100)
        assert seconds == pytest.approx(2 * (n - 1) / n * 1_900_000 * 8e-9, rel=1e-12)


def test_step_gets_longer_with_latency_bytes_and_workers_and_shorter_with_bandwidth(ring):
    def run(n, bits_per_second, latency, rows=100):
        return made(ring, n, network=ring.Network(bits_per_second, latency)).run(rows * n)

    for n in (2, 3, 8, 31):
        assert run(n, 1e9, 1e-4) > run(n, 1e9, 1e-5)
        assert run(n, 1e9, 1e-4) > run(n, 1e10, 1e-4) > run(n, 1e11, 1e-4)
        assert run(n, 1e9, 1e-4, rows=101) > run(n, 1e9, 1e-4)
        assert run(n + 1, 1e9, 1e-4) > run(n, 1e9, 1e-4)


def test_late_workers_hold_up_the_others(ring):
    """With jitter a step takes longer than the mean of its computing times, the more so the more workers there are."""
    uneven = ring.Compute(fixed=0.1, per_row=0.0, jitter=0.2)
    fast = {"network": ring.Network(1e15, 0.0), "messages": ring.Messages(0.0, 0.0)}
    one, eight, many = (made(ring, n, compute=uneven, **fast).run(100, steps=100) for n in (1, 8, 32))
    assert one == pytest.approx(0.12, rel=0.05) and 1.1 * one < eight and 1.1 * eight < many
    # The mean of the largest of n numbers of an exponential law is 1 + 1/2 + ... + 1/n of their mean.
    assert eight == pytest.approx(0.1 * (1 + 0.2 * sum(1 / k for k in range(1, 9))), rel=0.05)


def test_simulation_repeats_by_its_seed(ring):
    uneven = ring.Compute(3e-3, 7e-5, jitter=0.3)
    first, again, other = (made(ring, 8, compute=uneven, seed=seed).run(100, steps=10) for seed in (1, 1, 2))
    assert first == again != other


def test_compute_through_two_measured_steps(ring):
    line = ring.Compute.through(((100, 12e-3), (50, 7e-3)))
    assert (line.seconds(50), line.seconds(100)) == pytest.approx((7e-3, 12e-3)) and line.fixed == pytest.approx(2e-3)
    for measured in (((50, 8e-3), (100, 7e-3)), ((50, 2e-3), (100, 7e-3))):
        line = ring.Compute.through(measured)  # noise: more rows took less, or twice the rows more than twice as long
        assert line.fixed >= 0 and line.per_row >= 0 and line.seconds(100) == pytest.approx(7e-3)


def test_measured_rounds_become_predictions(load, capsys):
    """Measured numbers that follow the model exactly are predicted exactly; others show their error."""
    step_cost = load("step_cost")
    found = {
        "step of 100": [10e-3, 10e-3],
        "step of 50": [6e-3, 6e-3],
        "step of 50, half of the cores": [9e-3, 9e-3],
        "ring, 1 number": [1e-3, 1e-3],
        "ring": [5e-3, 5e-3],
        "training, one worker": [10e-3, 10e-3],
        "training, two workers": [14e-3, 28e-3],
    }
    seconds = step_cost.print_measured(found, n_cores=2)
    compute, messages = step_cost.model_of(seconds)
    assert (compute.fixed, compute.per_row, messages.seconds_each) == pytest.approx((2e-3, 8e-5, 5e-4))
    printed = capsys.readouterr().out
    assert "| training, one worker | 10.00 | 10.00 | +0% (+0% to +0%) |" in printed
    assert "| training, two workers | 21.00 | 14.00 | -25% (-50% to +0%) |" in printed
    assert step_cost.predict_trainings(seconds, 1)["training, two workers"] == pytest.approx(23e-3)


def test_page_has_the_tables_that_the_command_prints(load, capsys):
    load("step_cost").main(["--quick"])
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(printed) > 15 and [line for line in printed if line not in page] == []


def test_page_states_the_bits_a_second_of_two_workers(load):
    """2 (n - 1) / n of the gradients in each step; the page has the product."""
    step_cost = load("step_cost")
    assert round(73 * step_cost.N_BYTES * 8 / 1e9, 1) == 2.6
    assert re.search(r"73 x 4\.45 MB x 8 = 2\.6 Gbit/s", PAGE.read_text(encoding="utf-8"))
