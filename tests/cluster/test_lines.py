"""The printer of the workers' lines waits for a reader as long as it should, and no longer."""

import io
import os
import subprocess
import sys
import threading
import time

import pytest

from digitcnn.cluster import lines
from digitcnn.cluster.lines import Lines


def test_lines_are_printed_before_the_end():
    said = []

    def say(line):
        time.sleep(0.01)  # a slow reader
        said.append(line)

    printer = Lines(say, say)
    printer.hand_on("a", io.StringIO("1\n2\n3"), io.StringIO(""))
    printer.remark("end")
    assert printer.finish(lambda: False)
    assert sorted(said) == ["[a] 1", "[a] 2", "[a] 3", "end"]


@pytest.mark.parametrize("n", [1, 3 * lines.MAX_WAITING])
def test_lines_that_nobody_reads_are_given_up_when_it_is_urgent(n):
    is_read = threading.Event()
    printer = Lines(lambda line: is_read.wait(), lambda line: None)
    printer.hand_on("a", io.StringIO("line\n" * n), io.StringIO(""))
    start = time.monotonic()
    assert not printer.finish(lambda: time.monotonic() - start > 0.3)
    is_read.set()
    assert printer.finish(lambda: False)


def test_remark_waits_for_nobody():
    is_read = threading.Event()
    printer = Lines(lambda line: is_read.wait(), lambda line: None)
    printer.hand_on("a", io.StringIO("line\n" * 2 * lines.MAX_WAITING), None)
    time.sleep(0.1)
    for _ in range(9):
        printer.remark("lost")
    is_read.set()
    assert printer.finish(lambda: False)


@pytest.mark.skipif(os.name == "nt", reason="Windows inherits pipes in another way")
def test_pipe_that_a_process_left_open_is_given_up():
    said = []
    printer = Lines(said.append, said.append)
    program = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])"
    program += "; print('left', flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        printer.hand_on("a", process.stdout, None)
        process.wait()
        start = time.monotonic()
        assert printer.finish(lambda: False) and said == ["[a] left"]
        assert time.monotonic() - start < 10
        os.killpg(process.pid, 9)


def test_first_error_of_printing_is_kept_and_the_rest_goes_on():
    said = []

    def say(line):
        if line != "[a] 3":
            raise OSError(f"no space for {line}")
        said.append(line)

    printer = Lines(say, say)
    printer.hand_on("a", io.StringIO("1\n2\n3\n"), None)
    assert printer.finish(lambda: False) and str(printer.error) == "no space for [a] 1" and said == ["[a] 3"]


def test_reader_that_is_gone_is_noted_and_errors_are_still_printed():
    def say(line):
        raise BrokenPipeError

    remarks = []
    printer = Lines(say, remarks.append)
    printer.hand_on("a", io.StringIO("1\n2\n"), io.StringIO("3\n"))
    assert printer.finish(lambda: False) and printer.is_broken and remarks == ["[a] 3"]
