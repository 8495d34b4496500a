"""Progress bars on a fake terminal: what they show, when they are drawn, what they leave behind."""

import io
import sys

import pytest

from digitcnn._progress import TrainingBar, image_bar, progress_bar


class Terminal(io.StringIO):
    """A terminal that remembers everything written to it."""

    def isatty(self):
        return True

    @property
    def drawings(self):
        """The states of its one line, oldest first."""
        return [text.rstrip() for text in self.getvalue().split("\r")]


@pytest.fixture(autouse=True)
def outside_notebooks(monkeypatch):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)


def open_terminal(monkeypatch):
    """Standard error as a terminal; not a fixture, since pytest replaces standard error after fixtures are made."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


def draw_every_step(bar):
    bar._bar.mininterval, bar._bar.miniters, bar._bar.dynamic_miniters = 0, 1, False


def test_training_bar_shows_epoch_steps_and_loss(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with TrainingBar(7, show=True) as bar:
        draw_every_step(bar)
        bar.begin_epoch(3)
        bar.step(0.25)
        bar.step(0.03125)
        assert terminal.drawings[-1].startswith("epoch 3:  29%|")
        assert "| 2/7, loss=0.0312 [" in terminal.drawings[-1]
        assert "val_accuracy" not in terminal.getvalue()


def test_training_bar_shows_validation_accuracy_after_an_epoch(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with TrainingBar(7, show=True) as bar:
        draw_every_step(bar)
        bar.begin_epoch(1)
        bar.step(0.5)
        bar.end_epoch(0.9125)
        bar.begin_epoch(2)
        assert "| 1/7, loss=0.5000, val_accuracy=0.912 [" in terminal.drawings[-1]
        bar.step(0.125)
        assert "| 2/7, loss=0.1250, val_accuracy=0.912 [" in terminal.drawings[-1]
        bar.end_epoch(0.25)
        bar.begin_epoch(3)
        assert "| 2/7, loss=0.1250, val_accuracy=0.250 [" in terminal.drawings[-1]


def test_training_bar_shows_divergence_but_no_missing_accuracy(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with TrainingBar(7, show=True) as bar:
        bar.end_epoch(float("nan"))  # a resumed run may first finish the epoch it stopped in
        bar.begin_epoch(2)
        assert "| 0/7 [" in terminal.drawings[-1]
        draw_every_step(bar)
        bar.step(float("nan"))
        assert "| 1/7, loss=nan [" in terminal.drawings[-1]


def test_training_bar_leaves_an_empty_line(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with pytest.raises(KeyboardInterrupt), TrainingBar(7, show=True) as bar:
        bar.begin_epoch(1)
        bar.step(0.5)
        raise KeyboardInterrupt
    assert terminal.drawings[-2:] == ["", ""]


def test_training_bar_draws_no_step_before_the_interval_ends(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with TrainingBar(10_000, show=True) as bar:
        bar.begin_epoch(1)
        bar._bar.mininterval = 3600
        before = terminal.getvalue()
        for _ in range(1000):
            bar.step(0.5)
        assert terminal.getvalue() == before


@pytest.mark.parametrize("show", [False, True])
def test_bars_are_drawn_only_where_wanted_and_only_in_a_terminal(show, monkeypatch):
    stream = io.StringIO() if show else Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    with TrainingBar(7, show=show) as bar:
        bar.begin_epoch(1)
        bar.step(0.5)
        bar.end_epoch(0.5)
    assert list(progress_bar(iter("abc"), 130, 50, "evaluating", show=show)) == ["a", "b", "c"]
    assert stream.getvalue() == ""


def test_bars_do_without_standard_error(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with TrainingBar(7, show=True) as bar:
        bar.begin_epoch(1)
        bar.step(0.5)
    assert list(progress_bar(iter("abc"), 130, 50, "evaluating", show=True)) == ["a", "b", "c"]


def test_progress_bar_counts_batches_and_appears_after_a_second(monkeypatch):
    terminal = open_terminal(monkeypatch)
    bar = progress_bar(iter("abc"), 130, 50, "evaluating", show=True)
    assert list(bar) == ["a", "b", "c"] and terminal.getvalue() == ""
    bar = progress_bar(iter("abc"), 130, 50, "evaluating", show=True)
    bar.start_t -= 2  # seconds
    bar.mininterval = 0
    assert list(bar) == ["a", "b", "c"]
    assert any(drawing.startswith("evaluating:  67%|") and "2/3" in drawing for drawing in terminal.drawings)


def test_image_bar_begins_where_it_resumes_and_shows_images_per_second(monkeypatch):
    terminal = open_terminal(monkeypatch)
    with image_bar(10_000_000, 4_000_000, "predicting", show=True) as bar:
        bar.delay, bar.mininterval, bar.miniters, bar.dynamic_miniters = 0, 0, 1, False
        bar.update(500_000)
        assert terminal.drawings[-1].startswith("predicting:  45%|")
        assert "| 4.50M/10.0M [" in terminal.drawings[-1] and " images/s]" in terminal.drawings[-1]
    assert terminal.drawings[-1] == ""
