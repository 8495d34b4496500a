"""A worker of one cluster after another, with several trainings in each: `train_worker.py INDEX JSON`.

The JSON is a list of clusters: `hosts`, `timeout`, and `trainings`, each with a model of its own: its settings, and
arguments of `train` (`n_images` of the bundled data, `devices`, ...). Prints a line of JSON for each cluster, with
digests and history, or the error, of each training. A cluster of fewer workers goes on without this one.
"""

import json
import sys

from digitcnn import Cluster, ClusterError, DigitCNN, WorkerLostError, load_dataset


def results(index: int, task: dict):
    """Yield what each training of a task left, or its error."""
    digits = load_dataset("bundled")
    cluster = Cluster(task["hosts"], index, task["timeout"]) if len(task["hosts"]) > 1 else None
    for training in task["trainings"]:
        training = {**training, **training.get("by_worker", {}).get(str(index), {})}
        n = training.get("n_images", 330)
        images, labels = digits.train_images[:n], digits.train_labels[:n]
        options = {"steps": 5, "devices": 1} | training.get("train", {})
        with DigitCNN(**({"random_seed": 3, "batchsize": 50} | training.get("settings", {}))) as model:
            try:
                for call in range(training.get("calls", 1)):
                    options["initialize"] = call == 0
                    model.train((images, labels), (images, labels), cluster=cluster, verbose=False, **options)
                found = {
                    "weights": model.weights_sha256(),
                    "step": model.global_step,
                    "history": model.history.to_dict("records"),
                    "variables": {name: float(abs(value).sum()) for name, value in model._engine.variables().items()},
                }
            except (ClusterError, WorkerLostError) as error:
                found = {"error": f"{type(error).__name__}: {error}", "rows": len(model.history)}
        yield found


if __name__ == "__main__":
    worker = int(sys.argv[1])
    for cluster in json.loads(sys.argv[2]):
        if worker < len(cluster["hosts"]):
            print(json.dumps(list(results(worker, cluster))), flush=True)
