"""No operation of a training step reads a variable in no fixed order to its update."""

import itertools

import pytest
from tensorflow.core.protobuf import config_pb2

from digitcnn import ARCHITECTURES, DigitCNN
from digitcnn.engine import calls
from digitcnn.engine.engine import Engine
from digitcnn.engine.machine import has_gpu
from digitcnn.engine.precision import can_bfloat16

PRECISIONS = ["float32", *(["bfloat16"] if can_bfloat16() and not has_gpu() else [])]
OPTIONS = {"schedule": "one_cycle", "average_decay": 0.9, "label_smoothing": 0.1, "rotation": 9, "dropout": 0.5}
PASSED_ON = ("Identity", "Switch", "_Send", "_HostSend", "_Recv", "_HostRecv")  # a handle, from one to the next


def executed_graphs(monkeypatch, few, devices=1, **settings):
    """The graphs that TensorFlow runs for a training step, rewritten, one a device; and the trained variables."""
    found, train_step = config_pb2.RunMetadata(), Engine.train_step
    with monkeypatch.context() as patch:
        patch.setattr(calls, "_TRACED", config_pb2.RunOptions(output_partition_graphs=True))
        patch.setattr(Engine, "train_step", lambda *given, **named: train_step(*given, **named | {"trace": found}))
        with DigitCNN(random_seed=3, batchsize=50, **settings) as model:
            model.train(few, steps=1, devices=devices, verbose=False)
            trained = {variable.op.name for variable in model.g.get_collection("trainable_variables")}
    return found.partition_graphs, trained


class Executed:
    """What is before what in the graphs of a step."""

    def __init__(self, graphs):
        self.nodes = {node.name: node for graph in graphs for node in graph.node}
        functions = {function.signature.name for graph in graphs for function in graph.library.function}
        assert not any(node.op in functions or "Call" in node.op for node in self.nodes.values())
        assert not any(node.op.removeprefix("Stateless") in ("If", "While", "Case") for node in self.nodes.values())
        self.sent = {node.attr["tensor_name"].s: node.name for node in self.nodes.values() if "Send" in node.op}
        self.before = {}
        waiting = list(self.nodes)
        while waiting:  # what is behind a Merge counts as before it: what TensorFlow skips, no result depends on
            assert len(waiting) < len(self.nodes) ** 2, "a cycle"
            name = waiting[-1]
            missing = [one for one in self.inputs(name) if one not in self.before]
            waiting += missing
            if not missing:
                waiting.pop()
                self.before[name] = frozenset().union(*({one} | self.before[one] for one in self.inputs(name)))

    def inputs(self, name):
        """Names of the operations that are right before one."""
        if "Recv" in self.nodes[name].op:
            return [self.sent[self.nodes[name].attr["tensor_name"].s]]
        return [one.removeprefix("^").split(":")[0] for one in self.nodes[name].input]

    def variable(self, name):
        """The variable whose handle an operation makes or passes on; None of others."""
        while self.nodes[name].op in PASSED_ON:
            name = self.inputs(name)[0]
        return name if self.nodes[name].op == "VarHandleOp" else None

    def uses(self):
        """Reads and updates of each variable."""
        reads, updates = {}, {}
        for name, node in self.nodes.items():
            variables = {self.variable(one) for one in self.inputs(name)} - {None}
            if variables and node.op not in PASSED_ON:
                is_read = node.op == "ReadVariableOp"
                assert is_read or "Apply" in node.op or node.op.startswith("Assign"), f"{name}: {node.op}"
                for variable in variables:
                    (reads if is_read else updates).setdefault(variable, []).append(name)
        return reads, updates


def races(graphs, trained):
    """Pairs of one variable's reads and updates, or of its updates, neither of which must come before the other."""
    executed = Executed(graphs)
    reads, updates = executed.uses()
    assert trained <= reads.keys() & updates.keys()
    pairs = [
        pair
        for variable, changes in updates.items()
        for pair in (*itertools.product(reads.get(variable, []), changes), *itertools.combinations(changes, 2))
    ]
    return [(a, b) for a, b in pairs if a not in executed.before[b] and b not in executed.before[a]]


# `tapered` has all that our networks have: batch normalization before a ReLU, with and without pooling, convolutions of
# small outputs, a dense layer without biases.
@pytest.mark.parametrize("name", [name for name in ARCHITECTURES if name not in ("same", "compact", "slim", "deep")])
def test_each_read_is_before_or_after_the_update(name, few, monkeypatch):
    options = OPTIONS if name != "softmax" else {}
    assert races(*executed_graphs(monkeypatch, few, architecture=name, **options)) == []


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", ["cnn", "slim"])  # without batch normalization, and with it
def test_each_read_of_several_devices_is_before_or_after_the_update(name, precision, few, monkeypatch):
    graphs, trained = executed_graphs(monkeypatch, few, 2, architecture=name, precision=precision, **OPTIONS)
    assert len(graphs) == 2 and races(graphs, trained) == []
