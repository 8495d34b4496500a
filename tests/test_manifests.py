"""Training on a cluster's machines: the Kubernetes manifest and the Slurm script of the examples."""

import contextlib
import copy
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import kubernetes_validate
import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from digitcnn.cluster.hosts import PORT

MANIFEST, SCRIPT = ROOT / "examples" / "kubernetes.yaml", ROOT / "examples" / "slurm.sh"
VERSIONS = ("1.31", kubernetes_validate.latest_version().removesuffix(".0"))
SHORT = "--data bundled --architecture softmax --steps 4 --checkpoint-every 2 --worker-timeout 60"
SECONDS = 150  # for a short training by two workers, which takes about 20 on two idle cores

needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
needs_sh = pytest.mark.skipif(shutil.which("sh") is None, reason="sh is not installed")


@pytest.fixture(scope="module")
def manifest():
    """The manifest's objects by kind."""
    objects = list(YAML(typ="safe").load_all(MANIFEST.read_text(encoding="utf-8")))
    found = {one["kind"]: one for one in objects}
    assert len(found) == len(objects)
    return found


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A function that puts a shell script on the PATH, where this package's `digitcnn` already is."""
    folder = tmp_path / "programs"
    folder.mkdir()

    def write(name, text):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
        (folder / name).chmod(0o755)

    write("digitcnn", f'exec "{sys.executable}" -m digitcnn "$@"')
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    for name in [name for name in os.environ if name.startswith("SLURM") or name == "TF_CONFIG"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    return write


def run_together(commands, environments):
    """Run commands at once, each with variables of its own; return their outputs. All must succeed."""
    started = [
        subprocess.Popen(
            command,
            env=os.environ | environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        outputs = [one.communicate(timeout=SECONDS)[0] for one in started]
    finally:
        for one in started:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.pid, signal.SIGKILL)
            one.communicate()
    assert [one.returncode for one in started] == [0] * len(started), outputs
    return outputs


def weights_of(output):
    return re.findall(r"weights sha256: ([0-9a-f]{64})", output)


@pytest.mark.parametrize("version", VERSIONS)
def test_manifest_follows_the_published_schemas(manifest, version):
    assert set(manifest) == {"Service", "NetworkPolicy", "PersistentVolumeClaim", "Job"}
    for one in manifest.values():
        assert kubernetes_validate.validate(one, version, strict=True) == version


@pytest.mark.parametrize("place", [("completionsMode",), ("template", "spec", "subDomain")])
def test_manifest_with_an_unknown_field_is_rejected(manifest, place):
    job = copy.deepcopy(manifest["Job"])
    inside = job["spec"]
    for name in place[:-1]:
        inside = inside[name]
    inside[place[-1]] = "x"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(job, VERSIONS[-1], strict=True)


def test_manifest_names_labels_and_ports_agree(manifest):
    """What no schema can tell."""
    job, pod = manifest["Job"]["spec"], manifest["Job"]["spec"]["template"]["spec"]
    service, policy = manifest["Service"], manifest["NetworkPolicy"]["spec"]
    [worker] = pod["containers"]
    labels = manifest["Job"]["spec"]["template"]["metadata"]["labels"]
    assert job["completions"] == job["parallelism"] == int(worker["env"][0]["value"])
    assert worker["env"][0]["name"] == "WORKERS" and job["completionMode"] == "Indexed"
    assert pod["subdomain"] == service["metadata"]["name"] and service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == policy["podSelector"]["matchLabels"] == labels
    [entry] = policy["ingress"]
    assert [source["podSelector"]["matchLabels"] for source in entry["from"]] == [labels]
    [port] = worker["ports"]
    assert {p["port"] for p in (*entry["ports"], *service["spec"]["ports"])} == {port["containerPort"]} == {PORT}
    assert f"{manifest['Job']['metadata']['name']}-$i.{pod['subdomain']}:{PORT}" in worker["args"][0]
    assert {mount["name"] for mount in worker["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    claim = manifest["PersistentVolumeClaim"]["metadata"]["name"]
    assert pod["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim


def test_manifest_restarts_a_lost_worker_and_no_mistake(manifest):
    job = manifest["Job"]["spec"]
    # The server demands both for a podFailurePolicy; the schema does not know.
    assert (job["template"]["spec"]["restartPolicy"], job["podReplacementPolicy"]) == ("Never", "Failed")
    actions = {
        status: rule["action"]
        for rule in job["podFailurePolicy"]["rules"]
        for status in rule.get("onExitCodes", {"values": ["disrupted"]})["values"]
    }
    assert actions == {"disrupted": "Ignore", 75: "Ignore", 1: "FailJob", 2: "FailJob"}
    assert job["successPolicy"]["rules"] == [{"succeededIndexes": "0", "succeededCount": 1}]


def test_manifest_gives_the_worker_no_rights(manifest):
    pod = manifest["Job"]["spec"]["template"]["spec"]
    own = pod["containers"][0]["securityContext"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"]
    assert own["capabilities"] == {"drop": ["ALL"]}


def container_command(manifest, replaced):
    """The container's command, with parts of its script replaced, each of which must be there."""
    worker = manifest["Job"]["spec"]["template"]["spec"]["containers"][0]
    [script] = worker["args"]
    for old, new in replaced.items():
        assert script.count(old) == 1, old
        script = script.replace(old, new)
    return [*worker["command"], script]


@needs_sh
@pytest.mark.parametrize("n", [1, 3])
def test_container_command_gives_each_worker_its_tf_config(manifest, programs, n):
    programs("digitcnn", 'printf "%s" "$TF_CONFIG"')
    for index in range(n):
        environment = {"WORKERS": str(n), "JOB_COMPLETION_INDEX": str(index)}
        [printed] = run_together([container_command(manifest, {})], [environment])
        assert json.loads(printed) == {
            "cluster": {"worker": [f"digitcnn-{number}.digitcnn:8888" for number in range(n)]},
            "task": {"type": "worker", "index": index},
        }


def test_environment_is_read_without_remarks_of_tensorflow(programs, monkeypatch):
    """Which prints a dozen lines where it is imported; the mistake is the only line."""
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    cluster = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    command = [sys.executable, "-m", "digitcnn", "train"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("digitcnn: error: TF_CONFIG (--cluster none trains alone): expected --seed N and --run DIR")


@needs_sh
def test_container_command_trains(manifest, programs, tmp_path):
    """Both workers of the Job, on loopback instead of in pods."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = {f"PORT{number}": str(probe.getsockname()[1]) for number, probe in enumerate(probes)}
    replaced = {
        "digitcnn-$i.digitcnn:8888": "127.0.0.1:$(printenv PORT$i)",
        "--data mnist --recipe fast": SHORT,
        "/runs/mnist-fast": str(tmp_path / "run"),
        "--checkpoint-every 100 --worker-timeout 400": "",
    }
    command = container_command(manifest, replaced)
    for probe in probes:
        probe.close()
    common = {**ports, "WORKERS": "2", "HOME": str(tmp_path)}
    outputs = run_together([command] * 2, [common | {"JOB_COMPLETION_INDEX": str(index)} for index in range(2)])
    assert "Worker 1 of 2, listening on 127.0.0.1:" in outputs[1]
    digests = [weights_of(output) for output in outputs]
    assert digests[0] == digests[1] and len(digests[0]) == 1


@needs_bash
@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ("0", 0),
        ("75 137 0", 0),
        ("75 1", 1),  # a mistake ends it
        ("253", 253),  # too little memory, which another attempt would not have either
        ("75 " * 30, 75),  # 20 attempts, not more
    ],
)
def test_slurm_script_starts_again_when_a_worker_was_lost(programs, statuses, expected):
    programs("srun", 'read -r status rest <<X\n$(cat left)\nX\necho "$rest" > left; echo "$@" >> calls; exit "$status"')
    programs("sleep", "exit 0")
    Path("left").write_text(statuses)
    done = subprocess.run(["bash", str(SCRIPT), "--epochs", "2"], check=False, capture_output=True, text=True)
    calls = Path("calls").read_text().splitlines()
    assert done.returncode == expected, done.stderr
    assert len(calls) == min(20, len(statuses.split())) and len(set(calls)) == 1
    assert "--kill-on-bad-exit=0" in calls[0] and calls[0].endswith(" --checkpoint-every 100 --epochs 2")


@needs_bash
def test_slurm_script_is_queued_again_at_the_end_of_its_time(programs, monkeypatch):
    programs("srun", "exit 143")
    programs("scontrol", 'echo "$@" > asked')
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    done = subprocess.run(["bash", str(SCRIPT)], check=False, capture_output=True, text=True)
    assert (Path("asked").read_text(), done.returncode) == ("requeue 17\n", 0)
    assert done.stderr == "Out of time: the job is queued again, and resumes from the last checkpoint\n"


@needs_bash
def test_slurm_script_that_is_cancelled_is_not_queued_again(programs, tmp_path):
    programs("srun", "echo > started; sleep 2; exit 143")
    programs("scontrol", "echo > asked")
    script = subprocess.Popen(["bash", str(SCRIPT)])
    for _ in range(100):
        if (tmp_path / "started").exists():
            break
        time.sleep(0.1)
    script.send_signal(signal.SIGTERM)
    assert script.wait(SECONDS) == 143
    assert not (tmp_path / "asked").exists()


FAKE_SRUN = """
# Two tasks on this machine, with the variables that srun sets; the status is the highest.
while [ "$1" != digitcnn ]; do shift; done
export SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2 SLURM_STEP_NODELIST=localhost SLURMD_NODENAME=localhost
SLURM_PROCID=0 "$@" & first=$!
SLURM_PROCID=1 "$@" & second=$!
wait $first; a=$?
wait $second; b=$?
[ $a -gt $b ] && exit $a
exit $b
"""


@needs_bash
def test_slurm_script_trains(programs, tmp_path):
    for port in (PORT, PORT + 1):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                pytest.skip(f"port {port}, which a first worker on a Slurm node takes, is in use")
    programs("srun", FAKE_SRUN)
    command = ["bash", str(SCRIPT), *SHORT.split(), "--run", str(tmp_path / "run of Slurm")]
    [output] = run_together([command], [{}])
    assert f"Worker 1 of 2, listening on localhost:{PORT + 1}" in output
    digests = weights_of(output)
    assert len(digests) == 2 and len(set(digests)) == 1
    assert (tmp_path / "run of Slurm" / "model.ckpt-4.index").exists()
