"""The launcher's supervision, on real processes and with real signals; the workers are small programs."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says so in /proc")
SECONDS = 60  # until a test that waits for ever fails

# The launcher, with workers from the tests; PID stands for its number.
LAUNCHER = """
import json, os, sys
from digitcnn._text import printable
from digitcnn.cluster.launcher import Launcher, Limits
from digitcnn.cluster.lines import Lines

def say(line): print(printable(line), flush=True)
def remark(line): print(printable(line), file=sys.stderr, flush=True)

programs, limits = json.loads(sys.argv[1])
commands = {name: [sys.executable, "-c", text.replace("PID", str(os.getpid()))] for name, text in programs.items()}
try:
    status, is_printed = Launcher(commands, Lines(say, remark), Limits(**limits)).run()
except OSError as error:
    status, is_printed = str(error), True
heavy = {"tensorflow", "numpy"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else status) if is_printed else os._exit(status)
"""
# What each worker begins with: it ends with the launcher, and notes its number.
START = """
import os, signal, sys, time
from pathlib import Path
from digitcnn.cluster.worker_process import end_with_launcher
end_with_launcher(PID)
with Path("pids").open("a") as file:
    print(os.getpid(), file=file)

def lives(name):
    "How often this line was reached by any process."
    with Path(name).open("a") as file:
        file.write("x")
    return len(Path(name).read_text())

def wait(name):
    while not Path(name).exists():
        time.sleep(0.01)

def end(number, frame):
    with Path("ended").open("a") as file:
        file.write("x")
    sys.exit(143)

signal.signal(signal.SIGTERM, end)
"""
# Many short sleeps: a signal between Python's last look for one and a sleep waits until the sleep is over.
SLEEP = "print('ready', flush=True)\nfor _ in range(6_000): time.sleep(0.01)"
DEAF = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
QUICK = {"first_pause": 0.05, "longest_pause": 0.2, "grace": 5, "last_grace": 0.3, "stopped": 0.5}


def command(programs, **limits):
    """The command of a launcher for workers 0, 1, ... that run these programs."""
    workers = {str(number): START + text for number, text in enumerate(programs)}
    return [sys.executable, "-c", LAUNCHER, json.dumps([workers, QUICK | limits])]


def launch(*programs, **limits):
    """Run a launcher to its end; its status, output and errors; none of its workers is left."""
    done = subprocess.run(
        command(programs, **limits), capture_output=True, text=True, check=False, timeout=SECONDS, cwd=Path.cwd()
    )
    assert not left()
    return done


@contextlib.contextmanager
def launched(*programs, n_ready=None, **limits):
    """A launcher in a process group of its own, after as many workers as there are programs have said 'ready'."""
    with subprocess.Popen(
        command(programs, **limits), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            n = len(programs) if n_ready is None else n_ready
            while n:
                line = process.stdout.readline()
                assert line, "the launcher ended"
                n -= line.endswith("ready\n")
            yield process
        finally:
            process.kill()
            for number in left():
                os.kill(number, signal.SIGKILL)


def finish(process):
    """The status and the rest of the output of a launcher, whose workers are gone by then."""
    output, errors = process.communicate(timeout=SECONDS)
    assert not left()
    return process.returncode, output, errors


def pids():
    return [int(line) for line in Path("pids").read_text().split()]


def is_alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    with contextlib.suppress(OSError):  # a zombie is dead; whom nobody waits for, process 1 will
        return Path(f"/proc/{number}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    return True


def left():
    return [number for number in pids() if is_alive(number)] if Path("pids").exists() else []


def wait_until(holds):
    """Wait, but not for ever, until a condition holds."""
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_worker_killed_is_restarted():
    killed = "os.kill(os.getpid(), signal.SIGKILL) if lives('lives') < 3 else Path('go').touch()"
    done = launch("wait('go')", killed)
    assert done.returncode == 0 and Path("lives").read_text() == "xxx"
    assert re.findall(r"launcher: worker 1 .* by SIGKILL; restart (\d) of 20", done.stderr) == ["1", "2"]


def test_worker_that_lost_a_peer_is_restarted():
    done = launch("wait('go')", "sys.exit(75) if lives('lives') < 2 else Path('go').touch()")
    assert done.returncode == 0 and "worker 1 has ended after 0 s, as it lost another worker; restart 1" in done.stderr


@pytest.mark.parametrize("ending", ["os.kill(os.getpid(), signal.SIGTERM); time.sleep(9)", "os.abort()"])
def test_worker_ended_by_any_signal_is_restarted(ending):
    done = launch("wait('go')", f"if lives('lives') < 2: {ending}\nPath('go').touch()")
    assert done.returncode == 0 and ("by SIGTERM" in done.stderr or "by SIGABRT" in done.stderr)


@pytest.mark.parametrize(("ending", "status"), [("sys.exit(75)", 75), ("os.kill(os.getpid(), 9)", 137)])
def test_launcher_gives_up_after_max_restarts(ending, status):
    done = launch(SLEEP, f"lives('lives'); {ending}", max_restarts=2)
    assert done.returncode == status and Path("lives").read_text() == "xxx"
    assert "was restarted 2 times: giving up" in done.stderr and done.stderr.count("restart ") == 2


def test_pause_grows_and_is_short_again_after_a_long_life():
    text = "n = lives('lives'); time.sleep(2.5 * (n == 4)); n > 5 and Path('go').touch(); n > 5 or sys.exit(75)"
    done = launch("wait('go')", text, long_life=2.4)
    assert re.findall(r"in ([\d.]+) s", done.stderr) == ["0.05", "0.1", "0.2", "0.05", "0.1"]


def test_error_of_a_worker_ends_all_with_its_status():
    done = launch("Path('here').touch();" + SLEEP, "wait('here'); print('no such data', file=sys.stderr); sys.exit(3)")
    assert done.returncode == 3 and Path("ended").read_text() == "x"
    message, remark = done.stderr.splitlines()
    assert message == "[1] no such data" and "worker 1 has ended" in remark and "with status 3" in remark


def test_worker_zero_complete_ends_the_others():
    workers = ["Path('here1').touch();" + SLEEP, "Path('here2').touch();" + DEAF]
    done = launch("wait('here1'); wait('here2'); time.sleep(0.2)", *workers, grace=0.5)
    assert done.returncode == 0 and Path("ended").read_text() == "x"
    assert "worker 0 is complete; ending those that are left: 1, 2" in done.stderr


def test_others_that_end_by_themselves_are_waited_for():
    done = launch("pass", "time.sleep(0.5); print('done')", last_grace=SECONDS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[1] done\n", "")


def test_other_worker_complete_before_worker_zero_runs_again_with_it():
    first = "wait('here'); time.sleep(1); os.kill(os.getpid(), 9) if lives('lives') < 2 else None"
    done = launch(first, "lives('others'); Path('here').touch()")
    assert done.returncode == 0 and Path("others").read_text() == "xx"


@on_linux
def test_stopped_worker_is_killed_and_restarted():
    done = launch("wait('go')", "if lives('lives') < 2: os.kill(os.getpid(), signal.SIGSTOP)\nPath('go').touch()")
    assert done.returncode == 0
    assert "worker 1 was stopped for 1 s, and others wait: killing it" in done.stderr and "restart 1" in done.stderr


@on_linux
def test_worker_stopped_for_a_moment_lives_on():
    with launched("lives('lives'); print('ready', flush=True); wait('go')", stopped=2) as process:
        for _ in range(3):
            os.kill(pids()[0], signal.SIGSTOP)
            time.sleep(0.8)
            os.kill(pids()[0], signal.SIGCONT)
            time.sleep(0.3)
        Path("go").touch()
        assert finish(process) == (0, "", "") and Path("lives").read_text() == "x"


def test_worker_that_cannot_be_started_ends_all(tmp_path):
    text = LAUNCHER.replace("try:", "commands['1'] = ['./none']\ntry:", 1)
    arguments = json.dumps([{"0": START + SLEEP, "1": ""}, QUICK])
    done = subprocess.run([sys.executable, "-c", text, arguments], capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 1 and "worker 1: expected a process that can be started, found" in done.stderr
    assert not left()


def test_lines_are_whole_and_have_their_workers_name():
    many = "for n in range(3000): print('NAME' * 20, n); print('NAME' * 20, n, file=sys.stderr)"
    done = launch(*(many.replace("NAME", name) for name in "ab"), last_grace=SECONDS)
    for text in (done.stdout, done.stderr):
        for number, name in enumerate("ab"):
            lines = [line for line in text.splitlines() if line.startswith(f"[{number}]")]
            assert lines == [f"[{number}] {name * 20} {n}" for n in range(3000)]
        assert text.count("\n") == 6000


def test_last_line_bars_and_signs_of_terminals_are_lines():
    program = r"sys.stdout.write('10%\r20%\r\nlast \x1b[2J\u202e\n\nno end'); os.write(2, b'\xff\r99%')"
    done = launch(program)
    assert done.stdout.split("\n") == ["[0] 10%", "[0] 20%", r"[0] last \x1b[2J\u202e", "[0] ", "[0] no end", ""]
    assert done.stderr.split("\n") == [r"[0] \xff", "[0] 99%", ""]


def test_endless_line_is_handed_on_in_parts():
    done = launch("print('x' * 200_000)")
    assert done.stdout.count("\n") == 4 and done.stdout.count("x") == 200_000


def test_reader_that_goes_away_ends_all():
    text = "print('ready', flush=True)\nwhile True: print('line', flush=True); time.sleep(0.01)"
    with launched(text, text) as process:
        process.stdout.close()
        assert process.wait(SECONDS) == 1
        wait_until(lambda: not left())
        assert len(Path("ended").read_text()) == 2, "with time for a last checkpoint"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_ends_no_training():
    programs = ["print('a'); wait('go')", "print('b\\n' * 20_000); Path('go').touch()"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command(programs), stdout=full, stderr=subprocess.PIPE, timeout=SECONDS, check=False)
    assert Path("go").exists() and b"restart" not in done.stderr and not left()


def test_output_that_nobody_reads_hinders_no_end():
    text = "print('ready', flush=True)\nwhile True: print('line' * 99, flush=True)"
    with launched(text, text, grace=0.5) as process:
        time.sleep(1)  # all pipes are full by then
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: not left())
        assert process.wait(SECONDS) == 143


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (getattr(signal, "SIGHUP", 1), 129)]
)
def test_signal_ends_all_with_sigterm_once(number, status):
    with launched(SLEEP, SLEEP) as process:
        os.killpg(process.pid, number)  # as a terminal does
        found, _, errors = finish(process)
    assert found == status and Path("ended").read_text() == "xx"
    assert f"launcher: ending the workers after {number.name}" in errors


def test_signal_during_a_pause_ends_all():
    with launched("print('ready', flush=True); sys.exit(75)", SLEEP, first_pause=60, longest_pause=60) as process:
        assert "restart 1 of 20 in 60 s" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert finish(process)[0] == 143


def test_second_ctrl_c_kills_at_once():
    with launched(DEAF, DEAF, grace=600) as process:
        process.send_signal(signal.SIGINT)
        assert "SIGINT" in process.stderr.readline()
        time.sleep(0.3)
        assert len(left()) == 2
        process.send_signal(signal.SIGTERM)  # as `timeout` and others send it twice
        time.sleep(0.3)
        assert len(left()) == 2
        process.send_signal(signal.SIGINT)
        assert finish(process)[0] == 130


def test_deaf_worker_is_killed_after_the_grace(monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "START", START.replace("end_with_launcher(PID)", ""))
    with launched(DEAF, SLEEP, grace=0.5) as process:
        process.send_signal(signal.SIGTERM)
        assert finish(process)[0] == 143 and Path("ended").read_text() == "x"


def test_stopped_worker_ends_by_sigterm():
    with launched(SLEEP, SLEEP, stopped=60, grace=60) as process:
        for number in pids():
            os.kill(number, signal.SIGSTOP)
        process.send_signal(signal.SIGTERM)
        assert finish(process)[0] == 143 and Path("ended").read_text() == "xx"


def test_nohup_is_obeyed(monkeypatch):
    monkeypatch.setattr(
        sys.modules[__name__], "LAUNCHER", f"import signal; signal.signal(1, signal.SIG_IGN)\n{LAUNCHER}"
    )
    with launched(SLEEP) as process:
        process.send_signal(signal.SIGHUP)
        time.sleep(0.3)
        assert process.poll() is None and len(left()) == 1
        process.send_signal(signal.SIGTERM)
        assert finish(process)[0] == 143


@pytest.mark.parametrize("number", ["SIGKILL", "SIGQUIT", "SIGSEGV"])
def test_killed_launcher_leaves_no_worker(number):
    with launched(SLEEP, DEAF, SLEEP) as process:
        os.kill(pids()[2], signal.SIGSTOP)
        assert len(left()) == 3
        process.send_signal(getattr(signal, number))
        process.wait(SECONDS)
        if sys.platform != "linux":
            os.kill(pids()[2], signal.SIGCONT)
        wait_until(lambda: not left())


@pytest.mark.parametrize("seconds", [0.02, 0.05, 0.1, 0.2])
def test_launcher_killed_at_its_start_leaves_no_worker(seconds):
    """Also before the workers have asked to be ended with it."""
    with launched(*[SLEEP] * 3, n_ready=0) as process:
        time.sleep(seconds)
        process.kill()
        process.wait(SECONDS)
        time.sleep(0.5)  # until a worker that just begins has noted its number
        wait_until(lambda: not left())


def test_closed_pipe_ends_a_worker_without_help_of_the_kernel():
    text = "import sys; sys.platform = 'other'\nfrom digitcnn.cluster.worker_process import end_with_launcher\n"
    text += "end_with_launcher(0); print('ready', flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n" and process.poll() is None
            process.stdin.close()
            assert process.wait(SECONDS) == 137
        finally:
            process.kill()


def test_worker_of_a_launcher_that_is_gone_ends_at_its_start():
    if sys.platform != "linux":
        pytest.skip("elsewhere the pipe says so")
    text = "from digitcnn.cluster.worker_process import end_with_launcher; end_with_launcher(1); print('alive')"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, stdin=subprocess.DEVNULL, timeout=SECONDS)
    assert (done.returncode, done.stdout) == (137, b"")
