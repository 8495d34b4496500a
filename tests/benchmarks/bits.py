"""Digests of the results of every architecture and recipe, to compare two versions of the code on one machine.

    python tests/benchmarks/bits.py before.json                    # with the old code
    python tests/benchmarks/bits.py after.json --compare before.json

Each graph is trained for 30 steps on the bundled digits with each seed, in float32 and, if the machine has it, in
bfloat16. With `--pretend`, the graphs for bfloat16 are built on any machine; TensorFlow then computes them in float32.
A row has the digests of the trained weights, of the probabilities of 100 test images and of the names, types and
inputs of the graph's operations.
"""

import argparse
import hashlib
import importlib
import json
import sys
from pathlib import Path

import numpy as np

from digitcnn import ARCHITECTURES, RECIPES, DigitCNN, load_dataset

# Modules that know the machine's precision, in this version and in 0.1.0.
PRECISION_MODULES = ("digitcnn.engine.precision", "digitcnn.precision")


def digest_graph(model):
    """SHA-256 of the names, types and inputs of all operations, in the order of creation."""
    lines = [f"{op.name} {op.type} {[tensor.name for tensor in op.inputs]}" for op in model.g.get_operations()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def digests(settings, seed, precision, digits, steps):
    """The digests of one graph by name, or None if the machine does not have the precision."""
    try:
        model = DigitCNN(**settings, random_seed=seed, precision=precision)
    except ValueError as error:
        if "on this machine" not in str(error):
            raise
        return None
    with model:
        model.train((digits.train_images, digits.train_labels), steps=steps, verbose=False)
        probabilities = model.predict(digits.test_images[:100], return_proba=True)
        return {
            "weights": model.weights_sha256(),
            "probabilities": hashlib.sha256(np.ascontiguousarray(probabilities)).hexdigest(),
            "graph": digest_graph(model),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path, help="JSON file to write")
    parser.add_argument("--compare", type=Path, help="JSON file of another version, which must be equal")
    parser.add_argument("--seeds", type=int, nargs="+", default=[27, 28])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--pretend", action="store_true", help="build for bfloat16 on any machine")
    arguments = parser.parse_args()

    if arguments.pretend:
        importlib.import_module(DigitCNN.__module__)
        precision = next(sys.modules[name] for name in PRECISION_MODULES if name in sys.modules)
        precision.has_bfloat16 = lambda: True
    digits = load_dataset("bundled")
    graphs = {name: {"architecture": name} for name in ARCHITECTURES}
    graphs |= {f"recipe {name}": recipe.settings for name, recipe in RECIPES.items()}
    rows = {}
    for name, settings in graphs.items():
        for precision in ("float32", "bfloat16"):
            for seed in arguments.seeds:
                row = digests(settings, seed, precision, digits, arguments.steps)
                if row:
                    rows[f"{name}, {precision}, seed {seed}"] = row
                    print(f"{name}, {precision}, seed {seed}: weights {row['weights'][:16]}", flush=True)
    arguments.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    if arguments.compare:
        before = json.loads(arguments.compare.read_text(encoding="utf-8"))
        different = [
            f"{name}: {part}"
            for name, row in before.items()
            for part, digest in row.items()
            if rows.get(name, {}).get(part) != digest
        ]
        print(f"{len(before)} rows compared; " + ("all are equal" if not different else "different: "))
        if different:
            sys.exit("\n".join(different))


if __name__ == "__main__":
    main()
