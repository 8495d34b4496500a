"""No operation of a training step reads a variable that another one may have updated before, or not: no race."""

import functools
import operator

import pytest
from tensorflow.core.protobuf import config_pb2

from digitcnn import ARCHITECTURES, DigitCNN
from digitcnn.engine import calls
from digitcnn.engine.engine import Engine
from digitcnn.engine.precision import can_bfloat16

PRECISIONS = ["float32", *(["bfloat16"] if can_bfloat16() else [])]
OPTIONS = {"schedule": "one_cycle", "average_decay": 0.9, "label_smoothing": 0.1, "rotation": 9, "dropout": 0.5}


def executed_graphs(monkeypatch, few, devices=1, **settings):
    """The graphs that TensorFlow runs for a training step: rewritten, and one for each device."""
    options = config_pb2.RunOptions(output_partition_graphs=True)
    monkeypatch.setattr(calls, "_TRACED", options)
    found, train_step = config_pb2.RunMetadata(), Engine.train_step
    monkeypatch.setattr(Engine, "train_step", lambda *given, **named: train_step(*given, **named | {"trace": found}))
    with DigitCNN(random_seed=3, batchsize=50, **settings) as model:
        model.train(few, steps=1, devices=devices, verbose=False)
    monkeypatch.undo()
    return found.partition_graphs


def races(graphs):
    """(read, update) of one variable, of which none is before the other: their order depends on the threads."""
    nodes = {node.name: node for graph in graphs for node in graph.node}
    sent = {node.attr["tensor_name"].s: node.name for node in nodes.values() if node.op in ("_Send", "_HostSend")}
    before = {}  # bits of all nodes that are before a node, by its name
    number = {name: 1 << place for place, name in enumerate(nodes)}

    def earlier(node):
        if node.op in ("_Recv", "_HostRecv"):
            return [sent[node.attr["tensor_name"].s]]
        return [name.removeprefix("^").split(":")[0] for name in node.input]

    waiting = list(nodes)
    while waiting:
        name = waiting[-1]
        missing = [one for one in earlier(nodes[name]) if one not in before]
        if missing and name not in before:
            waiting += missing
            continue
        waiting.pop()
        before[name] = functools.reduce(operator.or_, (before[one] | number[one] for one in earlier(nodes[name])), 0)
    reads, updates = {}, {}
    for node in nodes.values():
        if node.op == "ReadVariableOp":
            reads.setdefault(node.input[0], []).append(node.name)
        elif "Apply" in node.op or node.op.startswith("Assign"):
            for handle in node.input:
                if handle in nodes and nodes[handle].op == "VarHandleOp":
                    updates.setdefault(handle, []).append(node.name)
    assert reads and updates
    return [
        (read, update)
        for variable, changed in updates.items()
        for update in changed
        for read in reads.get(variable, [])
        if not before[update] & number[read] and not before[read] & number[update]
    ]


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_each_read_is_before_or_after_the_update(name, precision, few, monkeypatch):
    options = OPTIONS if name != "softmax" else {}
    assert races(executed_graphs(monkeypatch, few, architecture=name, precision=precision, **options)) == []


@pytest.mark.parametrize("name", ["cnn", "batchnorm", "deep"])
def test_each_read_of_several_devices_is_before_or_after_the_update(name, few, monkeypatch):
    graphs = executed_graphs(monkeypatch, few, devices=2, architecture=name, average_decay=0.9)
    assert len(graphs) == 2 and races(graphs) == []
