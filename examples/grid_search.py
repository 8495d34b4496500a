"""Choose dropout and learning rate by k-fold cross-validation, then test the best once.

    python examples/grid_search.py                              # the bundled digits, under three minutes
    python examples/grid_search.py --data mnist --epochs 3      # about an hour on two cores
    python examples/grid_search.py --dask tcp://10.0.0.1:8786   # on the workers of a Dask cluster

The search is scikit-learn's own; the best estimator holds a DigitCNN, which is saved like any other.
"""

import argparse
import contextlib
import sys

from digitcnn import ARCHITECTURES, load_dataset


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Choose dropout and learning rate by k-fold cross-validation.")
    parser.add_argument("--data", default="bundled", help="name of a data set, or a folder of IDX files")
    parser.add_argument("--data-dir", metavar="DIR", help="folder that is searched for named data sets first")
    parser.add_argument("--architecture", default="cnn", choices=ARCHITECTURES, help="(default: cnn)")
    parser.add_argument("--folds", type=int, default=3, metavar="K", help="(default: 3)")
    parser.add_argument("--epochs", type=int, default=12, metavar="N", help="of each training (default: 12)")
    parser.add_argument("--dropout", type=float, nargs="+", default=[0.0, 0.5], metavar="P", help="(default: 0 0.5)")
    parser.add_argument(
        "--learning-rate", type=float, nargs="+", default=[1e-4, 1e-3], metavar="X", help="(default: 1e-4 1e-3)"
    )
    parser.add_argument("--seed", type=int, default=27, metavar="N", help="(default: 27)")
    parser.add_argument("--dask", metavar="ADDRESS", help="of a Dask scheduler, whose workers do the trainings")
    parser.add_argument("--save", metavar="DIR", help="folder to save the best network in")
    return parser.parse_args()


@contextlib.contextmanager
def workers(address: str | None):
    """Where scikit-learn trains: in this process, or on a cluster, each of whose workers has one thread."""
    if address is None:
        yield
        return
    import joblib
    from distributed import Client

    from digitcnn import limit_threads

    with Client(address) as client, joblib.parallel_config(backend="dask"):
        client.run(limit_threads, 1)
        yield


def main() -> None:
    arguments = parse_arguments()
    dataset = load_dataset(arguments.data, arguments.data_dir)
    # After the options are parsed, so that --help and mistakes do not wait for these.
    import pandas as pd
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    from digitcnn import DigitClassifier

    X, y = dataset.train_images.reshape(-1, *dataset.image_shape), dataset.train_labels
    search = GridSearchCV(
        DigitClassifier(
            architecture=arguments.architecture,
            epochs=arguments.epochs,
            precision="auto",
            random_state=arguments.seed,
        ),
        {"dropout": arguments.dropout, "learning_rate": arguments.learning_rate},
        cv=StratifiedKFold(arguments.folds, shuffle=True, random_state=arguments.seed),
        verbose=2,
        error_score="raise",
    )
    with workers(arguments.dask):
        search.fit(X, y)
    columns = ["param_dropout", "param_learning_rate", "mean_test_score", "std_test_score", "mean_fit_time"]
    table = pd.DataFrame(search.cv_results_)[columns].sort_values("mean_test_score", ascending=False)
    table.columns = ["dropout", "learning rate", "accuracy", "std over folds", "seconds to fit"]
    print(table.to_string(index=False, float_format=lambda number: f"{number:.4g}"))

    best = search.best_estimator_  # trained again on all training images
    accuracy = best.score(dataset.test_images, dataset.test_labels)
    print(f"Best: {search.best_params_}, test accuracy {accuracy:.2%}")
    if arguments.save:
        print("Saved as", best.cnn_.save(path=arguments.save))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:  # a data set that is not there, a setting out of range
        sys.exit(f"error: {error}")
