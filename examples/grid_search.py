"""Choose dropout and learning rate by k-fold cross-validation, then test the best once.

    python examples/grid_search.py                              # the bundled digits, under three minutes
    python examples/grid_search.py --data mnist --epochs 3      # about an hour on two cores

The search is scikit-learn's own; what it finds holds a DigitCNN, which is saved like any other.
"""

import argparse
import sys

import pandas as pd
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from digitcnn import ARCHITECTURES, DigitClassifier, load_dataset


def main() -> None:
    parser = argparse.ArgumentParser(description="Choose dropout and learning rate by k-fold cross-validation.")
    parser.add_argument("--data", default="bundled", help="data set's name, or a folder of IDX files")
    parser.add_argument("--data-dir", help="folder to look in for named data sets first")
    parser.add_argument("--architecture", default="cnn", choices=ARCHITECTURES)
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=12, help="of each training (default: 12)")
    parser.add_argument("--dropout", type=float, nargs="+", default=[0.0, 0.5])
    parser.add_argument("--learning-rate", type=float, nargs="+", default=[1e-4, 1e-3])
    parser.add_argument("--seed", type=int, default=27)
    parser.add_argument("--save", metavar="FOLDER", help="where to save the network of the best")
    arguments = parser.parse_args()

    dataset = load_dataset(arguments.data, arguments.data_dir)
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
    search.fit(X, y)
    columns = ["param_dropout", "param_learning_rate", "mean_test_score", "std_test_score", "mean_fit_time"]
    table = pd.DataFrame(search.cv_results_)[columns].sort_values("mean_test_score", ascending=False)
    table.columns = ["dropout", "learning rate", "accuracy", "std over folds", "seconds to fit"]
    print(table.to_string(index=False, float_format=lambda number: f"{number:.4g}"))

    best = search.best_estimator_  # trained again on all the training images
    accuracy = best.score(dataset.test_images, dataset.test_labels)
    print(f"Best: {search.best_params_}, test accuracy {accuracy:.2%}")
    if arguments.save:
        print("Saved as", best.cnn_.save(path=arguments.save))


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:  # a data set that is not there, a setting out of range
        sys.exit(f"error: {error}")
