"""Time of each kind of operation in a training step of T1, from TensorFlow's traces.

    python tests/benchmarks/trace.py --precision bfloat16

Operations run one after the other; times are means of 50 traced steps of 100 images. Tracing takes time too, so the
sum is more than the time of an untraced step.
"""

import argparse
from collections import Counter

import tensorflow as tf

from digitcnn import DigitCNN, load_dataset

v1 = tf.compat.v1
STEPS = 50
KINDS = {"Conv": "convolution", "MatMul": "matrix product", "ApplyAdam": "Adam", "Pool": "pooling", "Cast": "casts"}


def kind_of(operation: str) -> str:
    """The kind of an operation, by the type in its label."""
    return next((kind for part, kind in KINDS.items() if part in operation), "everything else")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time of each kind of operation in a training step of T1.")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--data", default="mnist")
    parser.add_argument("--data-dir")
    arguments = parser.parse_args()
    dataset = load_dataset(arguments.data, arguments.data_dir)
    X, y = dataset.train_images, dataset.train_labels
    spent = Counter()
    with DigitCNN(random_seed=1, precision=arguments.precision) as model:
        model.train((X, y), steps=50, verbose=False)
        feed = {"tf_x:0": model.standardization(X[:100]), "tf_y:0": y[:100], "fc_keep_prob:0": 0.5}
        fetches = ["cross_entropy_loss:0", "train_op"]
        options = v1.RunOptions(trace_level=v1.RunOptions.SOFTWARE_TRACE, inter_op_thread_pool=-1)
        for _ in range(STEPS):
            metadata = v1.RunMetadata()
            model.sess.run(fetches, feed, options=options, run_metadata=metadata)
            for device in metadata.step_stats.dev_stats:
                for node in device.node_stats:
                    operation = node.timeline_label.partition("=")[2].partition("(")[0]
                    nanoseconds = node.op_end_rel_nanos - node.op_start_rel_nanos
                    spent[kind_of(operation)] += nanoseconds / 1e6 / STEPS
        print(f"{model.computes_in}, {spent.total():.1f} ms in operations")
    for kind, milliseconds in spent.most_common():
        print(f"{kind:<16}{milliseconds:6.2f} ms {milliseconds / spent.total():5.0%}")


if __name__ == "__main__":
    main()
