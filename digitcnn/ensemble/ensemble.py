"""Ensemble: several DigitCNNs that answer together."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._text import printable
from .._validation import check_bool, check_text_path, check_whole
from ..data.arrays import LabelledImages, as_images
from ..data.datasets import Dataset
from ..data.standardization import Standardization, check_scaling
from ..engine.engine import BATCH_SIZE
from ..exceptions import CheckpointError
from ..export.combined_graph import combine_graphs
from ..export.writer import check_target, write_export
from ..model import DigitCNN
from ..training.options import TrainingOptions
from .combining import DOUBT_MEASURES, check_measure, check_rule, combine, combined_labels
from .copies import Copies, begin_on_copies
from .distilling import TEMPERATURE, WEIGHT, Asked, check_mixture, open_distillation, recorded_seed, training_set_for
from .folder import restore_members, save_members
from .plan import EnsemblePlan
from .training import train_members

_LEAST_PROBABILITY = 1e-12  # in the loss: a class without any vote would have an infinite one
SAME = ("image_shape", "n_classes")  # settings that all members must share


class Ensemble:
    """Several trained models that answer together.

    Parameters
    ----------
    members : sequence of DigitCNN
        Trained models of one `image_shape` and one `n_classes`, all trained on raw pixels or all on floats. Raw
        pixels go through each member's own standardization. The ensemble closes them.
    rule : str, default 'mean'
        How their probabilities are combined: 'mean', their mean; 'confident', those of the member whose highest
        probability is the highest, of equals the first; 'majority', the share of members that vote for each class,
        where of classes with as many votes the one with the highest mean probability is the answer.

    Attributes
    ----------
    members : tuple of DigitCNN
        The models.
    rule : str
        The rule.

    Raises
    ------
    TypeError, ValueError
        If a member is no DigitCNN, is there twice, or does not fit to the first one; if there is no such rule.
    UntrainedModelError
        If a member has no weights.

    Examples
    --------
    >>> from digitcnn import DigitCNN, Ensemble, load_dataset
    >>> digits = load_dataset("bundled")
    >>> members = [DigitCNN(architecture="softmax", epochs=2, random_seed=seed) for seed in (1, 2, 3)]
    >>> for member in members:
    ...     member.train((digits.train_images, digits.train_labels), verbose=False)
    >>> with Ensemble(members) as ensemble:
    ...     ensemble.predict(digits.test_images[:4]).shape, ensemble.member_probabilities(digits.test_images).shape
    ((4,), (3, 360, 10))
    """

    def __init__(self, members: Sequence[DigitCNN], rule: str = "mean"):
        self.rule = check_rule(rule)
        self.members = _checked_members(members)

    @classmethod
    def train(
        cls,
        folder: str | os.PathLike,
        data: Dataset | str | os.PathLike = "bundled",
        *,
        n_jobs: int = 1,
        threads: int | None = None,
        checkpoint_every: int | None = None,
        verbose: bool | str = True,
        **options: Any,
    ) -> Ensemble:
        """Train members into a folder, and make an ensemble of them.

        It can be killed at any moment: the same call resumes it, and ends with the same bits. A member that is
        complete is not trained again.

        Parameters
        ----------
        folder : path
            New or empty folder, made if need be, or that of a training to resume. `restore` reads it afterwards.
        data : Dataset, str or path, default 'bundled'
            What to train on: a data set, or what `load_dataset` takes. The last training images are validated on.
        n_jobs : int, default 1
            Members that are trained beside each other, each in a process of its own (extra `search`); 1 trains them
            one after another in this process.
        threads : int, optional
            TensorFlow's threads for each member, on which rounding depends; default those with which this training
            began, else the cores of this machine over `n_jobs`.
        checkpoint_every : int, optional
            Steps between checkpoints, besides those after each epoch.
        verbose : bool or str, default True
            True, False, 'lines' or 'bar'.
        **options
            `n_members` (default 5); `random_seed` (default 1), that of the first member, the next one having the
            next; `rule`; `recipe`; `architectures`, which the members have in turn; `epochs` or `steps`;
            `n_validation` (default a sixth of the training images); and other settings of DigitCNN. What is not
            given is as for `digitcnn train`.

        Returns
        -------
        Ensemble
            Of all members.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong; nothing is changed then.
        ResumeError
            If the folder has the training of another ensemble: what differs.
        FileExistsError, FolderInUseError, OSError
            If the folder has other files, if another process trains there, or if it cannot be written.
        ChildProcessError
            If members could not be trained in their own processes: why. The others are recorded.
        RuntimeError
            If TensorFlow has started in this process with another number of threads.
        KeyboardInterrupt, SystemExit
            After Ctrl-C or SIGTERM, with a checkpoint of the member that this process trains.

        Examples
        --------
        >>> import tempfile
        >>> from digitcnn import Ensemble
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     options = {"n_members": 2, "architectures": ["softmax"], "epochs": 1, "verbose": False}
        ...     with Ensemble.train(folder, "bundled", **options) as ensemble:
        ...         len(ensemble)
        2
        """
        plan = EnsemblePlan.of(options)
        train_members(
            folder,
            data,
            plan,
            n_jobs=n_jobs,
            threads=threads,
            checkpoint_every=checkpoint_every,
            verbose=verbose,
        )
        return cls.restore(folder)

    @classmethod
    def restore(cls, path: str | os.PathLike, *, member_class: type[DigitCNN] = DigitCNN) -> Ensemble:
        """Make an ensemble of what `save`, or a complete training, left in a folder.

        Parameters
        ----------
        path : path
            The folder.
        member_class : type, default DigitCNN
            Class of the members; your own if they have a `build()` of their own.

        Returns
        -------
        Ensemble
            With the rule and the weights that were saved, to the bit.

        Raises
        ------
        FileNotFoundError
            If there is no ensemble, or only a part of one that is being trained.
        CheckpointError
            If the folder is damaged.
        """
        members, rule = restore_members(path, member_class)
        try:
            return cls(members, rule)
        except ValueError as error:
            for member in members:
                member.close()
            raise CheckpointError(f"{path}: expected members that fit to each other, found: {error}") from error

    @property
    def image_shape(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.members[0].image_shape

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return self.members[0].n_classes

    @property
    def standardization(self) -> Standardization | None:
        """What raw pixels go through in the first member; None if the members were trained on floats."""
        return self.members[0].standardization

    def __len__(self) -> int:
        return len(self.members)

    def __repr__(self) -> str:
        return printable(f"<Ensemble of {len(self)}, rule {self.rule!r}: {self.members[0]!r}, ...>")

    def member_probabilities(
        self, X: Any, *, batch_size: int = BATCH_SIZE, verbose: bool | str = False, shifts: int = 0
    ) -> np.ndarray:
        """Predict each member's probabilities.

        Parameters
        ----------
        X : array of shape (n, 784), (n, 28, 28) or (n, 28, 28, 1), or of the members' `image_shape`
            Raw pixels 0..255, or floats scaled as in training.
        batch_size : int, default 1000
            Images in a graph at once.
        verbose : bool or str, default False
            True or 'bar' show a bar for each member that takes longer than a second.
        shifts : int, default 0
            As `DigitCNN.predict` has it.

        Returns
        -------
        ndarray of float32, shape (members, n, n_classes)
            Rows that sum to 1.

        Raises
        ------
        TypeError, ValueError, UntrainedModelError, MemoryError
            As `DigitCNN.predict`.
        """
        X = as_images(X, image_shape=self.image_shape)
        options: dict[str, Any] = {"batch_size": batch_size, "verbose": verbose, "shifts": shifts}
        return np.stack([one.predict(X, return_proba=True, **options) for one in self.members])

    def predict(
        self,
        X: Any,
        return_proba: bool = False,
        *,
        batch_size: int = BATCH_SIZE,
        verbose: bool | str = True,
        shifts: int = 0,
    ) -> np.ndarray:
        """Predict the class of each image, by the ensemble's rule.

        Parameters
        ----------
        X : array of shape (n, 784), (n, 28, 28) or (n, 28, 28, 1), or of the members' `image_shape`
            Raw pixels 0..255, or floats scaled as in training.
        return_proba : bool, default False
            Return class probabilities instead of labels.
        batch_size : int, default 1000
            Images in a graph at once.
        verbose : bool or str, default True
            True or 'bar' show a bar for each member that takes longer than a second.
        shifts : int, default 0
            As `DigitCNN.predict` has it.

        Returns
        -------
        ndarray of int32, shape (n,), or of float32, shape (n, n_classes)
            Labels, or probabilities that sum to 1 for each image.

        Raises
        ------
        TypeError, ValueError, UntrainedModelError, MemoryError
            As `DigitCNN.predict`.
        """
        return_proba = check_bool("return_proba", return_proba)
        probabilities = self.member_probabilities(X, batch_size=batch_size, verbose=verbose, shifts=shifts)
        return combine(probabilities, self.rule) if return_proba else combined_labels(probabilities, self.rule)

    def doubt(
        self,
        X: Any,
        measure: str = "margin",
        *,
        batch_size: int = BATCH_SIZE,
        verbose: bool | str = False,
        shifts: int = 0,
    ) -> np.ndarray:
        """Measure how doubtful the answer for each image is, by the members' probabilities and whatever the rule.

        Parameters
        ----------
        X : array
            Images as `predict` takes them.
        measure : str, default 'margin'
            'margin', how narrowly the first class of the mean wins (Scheffer, Decomain, Wrobel 2001), which finds more
            of the mistakes; or 'disagreement', the Jensen-Shannon divergence (Lin 1991): the entropy of the mean less
            the mean of the entropies, which is 0 too where all members are unsure alike.
        batch_size : int, default 1000
            Images in a graph at once.
        verbose : bool or str, default False
            True or 'bar' show a bar for each member that takes longer than a second.
        shifts : int, default 0
            As `DigitCNN.predict` has it.

        Returns
        -------
        ndarray of float64, shape (n,)
            'margin': 1 less the margin between the two highest mean probabilities, 0..1. 'disagreement': in nats, at
            most log(len(ensemble)).

        Raises
        ------
        TypeError, ValueError, UntrainedModelError, MemoryError
            If there is no such measure; as `DigitCNN.predict`.
        """
        check_measure(measure)
        probabilities = self.member_probabilities(X, batch_size=batch_size, verbose=verbose, shifts=shifts)
        return DOUBT_MEASURES[measure](probabilities)

    def evaluate(self, X: Any, y: Any, *, verbose: bool | str = True, shifts: int = 0) -> dict[str, Any]:
        """Measure accuracy and loss on labelled images.

        Parameters
        ----------
        X, y : array
            Images as `predict` takes them, and labels [n].
        verbose : bool or str, default True
            True or 'bar' show a bar for each member that takes longer than a second.
        shifts : int, default 0
            As `DigitCNN.predict` has it.

        Returns
        -------
        dict
            'accuracy', the share of correct predictions; 'loss', the mean cross-entropy of the combined
            probabilities, none of which counts as less than 1e-12; 'member_accuracies', a list of each member's own.

        Raises
        ------
        TypeError, ValueError, UntrainedModelError, MemoryError
            As `DigitCNN.predict`.
        """
        examples = LabelledImages.check((X, y), "X, y", self.image_shape, self.n_classes)
        labels = examples.labels
        members = self.member_probabilities(examples.images, verbose=verbose, shifts=shifts)
        right = combine(members, self.rule)[np.arange(len(labels)), labels].astype(np.float64)
        return {
            "accuracy": float((combined_labels(members, self.rule) == labels).mean()),
            "loss": float(-np.log(np.maximum(right, _LEAST_PROBABILITY)).mean()),
            "member_accuracies": [float((one.argmax(axis=1) == labels).mean()) for one in members],
        }

    def distill(
        self,
        training_set: tuple,
        validation_set: tuple | None = None,
        *,
        temperature: float = TEMPERATURE,
        weight: float = WEIGHT,
        copies: int = 0,
        checkpoint_dir: str | os.PathLike | None = None,
        checkpoint_every: int | None = None,
        verbose: bool | str = True,
        **settings: Any,
    ) -> DigitCNN:
        """Train one network on what the members answer about the training images.

        Its loss is the cross-entropy with (1 - weight) * one-hot labels + weight * the mean of the members'
        softmax(logits / temperature) (Hinton, Vinyals, Dean, arXiv:1503.02531), whatever the rule. The members are
        asked once, before the training. Without `copies`, they are asked about the images as they are, while the
        network may see them warped. With `copies`, the members are asked about the same warped images that the network
        is trained on (Beyer et al., arXiv:2106.05237).

        Parameters
        ----------
        training_set : tuple of (array, array)
            (X, y): images as `predict` takes them, and labels [n].
        validation_set : tuple of (array, array), optional
            The same kind of images; their accuracy is measured after each epoch.
        temperature : float, default 2.0
            Divides the members' logits; above 1 it makes their second choices more probable.
        weight : float, default 0.7
            Of the members' answers, in 0..1; 0 trains on the labels alone.
        copies : int, default 0
            Warped copies of each training image, at most 1000: an epoch has 1 + copies times as many images. The
            settings `rotation`, `scaling` and so on, at least one of which must be given, warp the copies; the
            network's own become 0. The copies follow from `random_seed`. With `epochs` divided by 1 + copies, the
            training has as many steps as without.
        checkpoint_dir : path, optional
            New or empty folder for checkpoints and targets, or that of this distillation: the same call resumes from
            them after a kill. The members' answers are kept once all of them are there.
        checkpoint_every : int, optional
            Steps between checkpoints, besides those after each epoch.
        verbose : bool or str, default True
            As for `DigitCNN.train`.
        **settings
            Arguments of DigitCNN: default T1's network. A recipe's are `RECIPES["fast"].settings`.

        Returns
        -------
        DigitCNN
            The trained network, which is like any other.

        Raises
        ------
        TypeError, ValueError
            If an argument is wrong.
        ResumeError
            If the folder has another distillation: what differs.
        FileExistsError, FolderInUseError, OSError
            If the folder has other files, if another process has it, or if it cannot be written.
        MemoryError
            If there is too little for the copies.
        """
        mixture = check_mixture(temperature, weight)
        examples = self._examples(training_set, "training_set")
        if validation_set is not None:  # now, as asking the members takes long
            self._examples(validation_set, "validation_set")
        folder = None if checkpoint_dir is None else check_text_path("checkpoint_dir", checkpoint_dir)
        for name in SAME:
            if name in settings:
                raise TypeError(f"{name}: expected to be the members', found it given")
        same = {name: getattr(self, name) for name in SAME}
        made = Copies.check(copies, settings, same)
        if settings.get("random_seed") is None:
            settings["random_seed"] = recorded_seed(folder)
        student = DigitCNN(**settings, **same)
        try:
            options: dict[str, Any] = {
                "checkpoint_dir": folder,
                "checkpoint_every": checkpoint_every,
                "resume": folder is not None,
            }
            TrainingOptions(epochs=student.epochs, verbose=verbose, **options)  # raises before anything is done
            asked = Asked(
                *mixture,
                members=[member.weights_sha256() for member in self.members],
                training_set=examples.sha256(),
                seed=check_whole("random_seed", student.random_seed, 0),  # drawn by now, if it was not given
                copies=made.described(),
            )
            n_answers = len(self) * self.n_classes
            with open_distillation(folder):
                taught = training_set_for(
                    examples,
                    asked,
                    expand=functools.partial(made.beside, image_shape=self.image_shape, n_answers=n_answers),
                    ask=lambda X: self.member_probabilities(X, verbose=verbose),
                    folder=folder,
                )
                if made.number:
                    begin_on_copies(student._parts, taught.images)
                options["initialize"] = not made.number
                student.train((taught.images, taught.labels), validation_set, verbose=verbose, **options)
        except BaseException:
            student.close()
            raise
        return student

    def _examples(self, pair: Any, name: str) -> LabelledImages:
        """Labelled images of the kind that the members take. Raises TypeError or ValueError."""
        examples = LabelledImages.check(pair, name, self.image_shape, self.n_classes)
        check_scaling(examples.images, self.standardization, name)
        return examples

    def save(self, path: str | os.PathLike) -> str:
        """Save all members and the rule in one folder.

        A kill at any moment leaves the ensemble that was there before, or the new one.

        Parameters
        ----------
        path : path
            New or empty folder, made if need be, or that of an ensemble, which is replaced.

        Returns
        -------
        str
            The path.

        Raises
        ------
        ValueError
            If `rule` was set to one that there is not.
        FileExistsError
            If the folder has other files, or an ensemble that is trained there; if its `members` is a link.
        OSError
            If it cannot be written.
        UntrainedModelError, RuntimeError
            If a member is closed; if another thread trains or changes it.
        """
        return save_members(self.members, self.rule, path)

    def export(self, path: str | os.PathLike, format: str = "savedmodel", *, representative: Any = None) -> str:
        """Write the ensemble for another runtime, as one model with one input.

        Parameters
        ----------
        path : path
            Folder ('savedmodel') or file to write, where nothing is yet.
        format : str, default 'savedmodel'
            'savedmodel', 'tflite', 'tflite-int8' or 'onnx'.
        representative : array, optional
            Some hundred training images, for 'tflite-int8', which takes the ranges in each layer from them.

        Returns
        -------
        str
            The path.

        Raises
        ------
        TypeError, ValueError, UntrainedModelError, RuntimeError, FileExistsError, OSError, ImportError
            As `DigitCNN.export`.

        Notes
        -----
        Its input and outputs are those of `DigitCNN.export`; probabilities and labels are combined by the rule.
        """
        target = check_target(path, format, representative)
        if representative is not None:
            representative = as_images(representative, "representative", self.image_shape)
            for member in self.members:
                check_scaling(representative, member.standardization, "representative")
        graphs = [member._inference_graph() for member in self.members]
        return write_export(combine_graphs(graphs, self.rule), target, format, representative)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Refuse pickle and copy, which would not have the sessions' weights."""
        raise TypeError(
            "Ensemble: an ensemble cannot be copied or pickled; save it and restore it: save(...), "
            "Ensemble.restore(...)"
        )

    def close(self) -> None:
        """Close all members."""
        for member in self.members:
            member.close()

    def __enter__(self) -> Ensemble:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _checked_members(members: Any) -> tuple[DigitCNN, ...]:
    """The members, if they are trained models that fit to each other. Raises as the constructor."""
    if not isinstance(members, (list, tuple)) or not members:
        found = "none" if isinstance(members, (list, tuple)) else type(members).__name__
        raise (ValueError if found == "none" else TypeError)(
            f"members: expected a list of at least one trained DigitCNN, found {found}"
        )
    first = members[0]
    for number, member in enumerate(members):
        name = f"members[{number}]"
        if not isinstance(member, DigitCNN):
            raise TypeError(f"{name}: expected a DigitCNN, found {type(member).__name__}")
        if any(member is other for other in members[:number]):
            raise ValueError(f"{name}: expected each model once, found one that is there twice")
        _ = member.global_step  # raises if it has no weights
        for setting in SAME:
            expected, found = getattr(first, setting), getattr(member, setting)
            if found != expected:
                raise ValueError(f"{name}: expected {setting}={expected!r}, as of members[0], found {found!r}")
        kinds = ["floats" if one.standardization is None else "raw pixels" for one in (first, member)]
        if kinds[0] != kinds[1]:
            raise ValueError(f"{name}: expected a model trained on {kinds[0]}, as members[0], found one on {kinds[1]}")
    return tuple(members)
