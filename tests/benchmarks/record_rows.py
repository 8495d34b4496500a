"""The rows of the record: what is trained, and how it is tested. The settings were chosen on 50,000/10,000."""

from __future__ import annotations

import contextlib
import inspect
import math
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from record_peers import PEERS, Predict
from record_table import MIXTURE, N_DRAWS, N_OF_KIND, mixed_draws, runs_of

from digitcnn import RECIPES

if TYPE_CHECKING:
    from digitcnn import DigitCNN  # elsewhere where it is used, so that the peers' processes load no TensorFlow


@dataclass(frozen=True)
class Row:
    """A network of the record.

    Parameters
    ----------
    name : str
        Its name in the table, and that of its folder.
    recipe : str
        A recipe of digitcnn.
    settings : dict
        Settings that differ from the recipe's.
    prediction : dict
        Arguments of `predict` besides the images.
    """

    name: str
    recipe: str
    settings: dict[str, Any] = field(default_factory=dict)
    prediction: dict[str, Any] = field(default_factory=dict)

    @property
    def about(self) -> dict[str, Any]:
        """What a run of it is: another row of that name is another one."""
        return {"settings": RECIPES[self.recipe].settings | self.settings, "prediction": self.prediction}

    def check(self, out: Path, seeds: Sequence[int], names: Sequence[str]) -> None:
        """A recipe has all that it needs."""

    @contextlib.contextmanager
    def trained(self, seed: int, training_set, folder: Path) -> Iterator[tuple[Predict, dict[str, Any]]]:
        """A function from raw pixels to probabilities, once it is trained from where the folder stands, and facts."""
        from digitcnn import DigitCNN

        with DigitCNN.from_recipe(self.recipe, random_seed=seed, **self.settings) as model:
            model.train(training_set, verbose=False, checkpoint_dir=folder, max_to_keep=1, resume=True)
            facts = {
                "tflop": tflop(model, len(training_set[0])),
                "epochs": model.epochs,
                "computes_in": model.computes_in,
                "weights_sha256": model.weights_sha256(),
            }
            yield (lambda X: model.predict(X, return_proba=True, verbose=False, **self.prediction)), facts


@dataclass(frozen=True)
class Distilled:
    """A network that learns what five networks of several kinds answer together: draw `seed` of the table's five.

    The members see warped copies of the images, and the network the same ones. Its seconds are those of the
    distillation, the answers included: the trainings of the teachers are not in them.

    Parameters
    ----------
    name : str
        Its name in the table, and that of its folder.
    student : Row
        The network, as it is trained on labels alone; here without label smoothing.
    copies : int
        Of each image. An epoch goes over all of them, so that there are fewer epochs, and as many steps.
    """

    name: str
    student: Row
    copies: int

    @property
    def about(self) -> dict[str, Any]:
        """What a run of it is: another row of that name is another one."""
        return {"student": self.student.about, "copies": self.copies, "teachers": MIXTURE, "of each kind": N_OF_KIND}

    def check(self, out: Path, seeds: Sequence[int], names: Sequence[str]) -> None:
        """End the program unless the teachers' runs are there, or are made before."""
        for row in MIXTURE:
            found = {run["seed"] for run in runs_of(out, row)} | (set(seeds) if row in names else set())
            if missing := sorted(set(range(1, N_OF_KIND + 1)) - found):
                sys.exit(f"{self.name}: expected runs of {row} with seeds 1 to {N_OF_KIND}, found none of {missing}")

    def teachers(self, out: Path, seed: int) -> list[Path]:
        """Folders of the runs that teach run `seed`, by the record's folder."""
        drawn = mixed_draws()[(seed - 1) % N_DRAWS]
        return [out / row / str(seed) for row, seed in drawn]

    @contextlib.contextmanager
    def trained(self, seed: int, training_set, folder: Path) -> Iterator[tuple[Predict, dict[str, Any]]]:
        """A function from raw pixels to probabilities, once it is trained from where the folder stands, and facts."""
        from digitcnn import DigitCNN, Ensemble

        out = folder.parent.parent
        found = self.teachers(out, seed)
        settings = {**RECIPES[self.student.recipe].settings, **self.student.settings, "label_smoothing": 0.0}
        settings["epochs"] //= 1 + self.copies
        with Ensemble([DigitCNN.restore(each) for each in found]) as teachers:
            model = teachers.distill(
                training_set,
                copies=self.copies,
                checkpoint_dir=folder,
                verbose=False,
                random_seed=1_000 + seed,
                **settings,
            )
        with model:
            facts = {
                "tflop": tflop(model, len(training_set[0]) * (1 + self.copies)),
                "epochs": model.epochs,
                "teachers": [each.relative_to(out).as_posix() for each in found],
            }
            yield (lambda X: model.predict(X, return_proba=True, verbose=False, **self.student.prediction)), facts


# The mean over shifted images was chosen on 50,000/10,000: it was better in each run (README.md beside this file).
SHIFTS = {"shifts": 1}
FORM = {"shear": 10.0, "stretch": 0.1}  # members of other kinds see other warps too
COMPACT = Row("compact", "accurate", {"architecture": "compact", "dropout": 0.0, "epochs": 30, **FORM}, SHIFTS)
ROWS = {
    row.name: row
    for row in (
        Row("fast", "fast"),
        Row("accurate", "accurate", prediction=SHIFTS),
        Row("deep", "accurate", {"architecture": "deep", **FORM}, SHIFTS),
        COMPACT,
        Distilled("distilled", COMPACT, copies=5),
    )
}


def read_row(text: str) -> Any:
    """The row of that name, or a candidate: a recipe and settings, such as 'accurate epochs=20 dropout=0.4'."""
    if found := ROWS.get(text) or PEERS.get(text):
        return found
    recipe, *given = shlex.split(text)
    if recipe not in RECIPES:
        raise ValueError(
            f"--rows: expected one of {', '.join(dict.fromkeys((*ROWS, *PEERS, *RECIPES)))}, found {recipe!r}"
        )
    from digitcnn import DigitCNN

    of_prediction = frozenset(inspect.signature(DigitCNN.predict).parameters) - {"self", "X", "return_proba"}
    settings, prediction = {}, {}
    for part in given:
        name, equals, value = part.partition("=")
        if not equals:
            raise ValueError(f"--rows: expected NAME=VALUE after the recipe, found {part!r}")
        (prediction if name in of_prediction else settings)[name] = number(value)
    return Row("_".join([recipe, *given]), recipe, settings, prediction)


def number(text: str) -> int | float | str:
    """A whole number, another number, or the text itself."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def flop_per_image(model: DigitCNN) -> int:
    """Multiplications and additions of convolutions and products for the prediction of one image.

    A step of training takes three times as many: the gradients of inputs and of filters cost as much again.
    """
    total = 0
    for operation in model.g.get_operations():
        if "gradients" in operation.name or operation.type not in ("Conv2D", "MatMul"):
            continue
        images, weights = operation.inputs[0].shape, operation.inputs[1].shape
        if images[0] is not None or not weights.is_fully_defined():
            continue  # no layer: something between weights
        outputs = operation.outputs[0].shape.as_list()[1:]
        # Each output is a sum over all weights of its filter, or over a column of the matrix.
        total += 2 * math.prod(outputs) * weights.num_elements() // weights.as_list()[-1]
    return total


def tflop(model: DigitCNN, n_images: int) -> float:
    """Of a whole training, in 10^12 multiplications and additions."""
    return 3 * flop_per_image(model) * n_images * model.epochs / 1e12
