"""Choose on a validation set, retrain on all the training data, then look at the test set, once.

    python examples/retrain.py                                  # the bundled digits, under a minute
    python examples/retrain.py --data mnist --epochs 30         # the tutorial's sections 4 and 5

Chosen is the number of epochs: the one after which validation accuracy was best. Give
`--retrain-only` to take `--epochs` as it stands, and several `--seeds` to see how much is luck.
"""

import argparse
import statistics
import sys

from digitcnn import ARCHITECTURES, DigitCNN, load_dataset


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Choose on a validation set, retrain on all the training data, then test once."
    )
    parser.add_argument("--data", default="bundled", help="data set's name, or a folder of IDX files")
    parser.add_argument("--data-dir", help="folder to look in for named data sets first")
    parser.add_argument("--architecture", default="cnn", choices=ARCHITECTURES)
    parser.add_argument("--epochs", type=int, default=30, help="the most that are tried (default: 30)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[27], help="one run each (default: 27)")
    parser.add_argument("--retrain-only", action="store_true", help="do not choose, use --epochs")
    parser.add_argument("--save", metavar="FOLDER", help="where to save the last model")
    arguments = parser.parse_args()

    dataset = load_dataset(arguments.data, arguments.data_dir)
    tutorial = ARCHITECTURES[arguments.architecture].settings
    settings = {name: tutorial[name] for name in ("batchsize", "learning_rate", "dropout")}
    accuracies = []
    for seed in arguments.seeds:
        sizes = {"image_shape": dataset.image_shape, "n_classes": dataset.n_classes}
        with DigitCNN(architecture=arguments.architecture, random_seed=seed, **settings, **sizes) as cnn:
            epochs = arguments.epochs
            if not arguments.retrain_only:
                training, validation = dataset.split(max(1, len(dataset.train_images) // 6))
                print(f"Seed {seed}: {len(training[0])} images to train on, {len(validation[0])} to choose by")
                cnn.train(training, validation, epochs=epochs)
                best = cnn.history.loc[cnn.history["Accuracy"].idxmax()]
                epochs = int(best["Epoch"])
                print(f"Chosen: {epochs} epochs, validation accuracy {best['Accuracy']:.4f}")
            print(f"Seed {seed}: {epochs} epochs on all {len(dataset.train_images)} training images")
            cnn.train((dataset.train_images, dataset.train_labels), epochs=epochs)
            accuracies.append(cnn.evaluate(dataset.test_images, dataset.test_labels)["accuracy"])
            print(f"Seed {seed}: test accuracy {accuracies[-1]:.2%}", flush=True)
            if arguments.save:
                print("Saved as", cnn.save(path=arguments.save))
    if len(accuracies) > 1:
        mean, spread = statistics.mean(accuracies), statistics.stdev(accuracies)
        print(f"{len(accuracies)} seeds: mean test accuracy {mean:.3%}, standard deviation {spread:.3%}")


if __name__ == "__main__":
    try:
        main()
    except (OSError, ValueError) as error:  # a data set that is not there, a setting out of range
        sys.exit(f"error: {error}")
