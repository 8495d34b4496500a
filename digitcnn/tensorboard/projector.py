"""Files for TensorBoard's projector: points, each with its digit's image and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from .._files import scratch_folder
from .image_grids import sprite_picture

_CONFIG_FILE = "projector_config.pbtxt"  # TensorBoard's name for the file that names the others
PROJECTOR_FOLDER = "projector"


def write_projector(
    logdir: Path, name: str, points: np.ndarray, images: np.ndarray, labels: np.ndarray, predictions: np.ndarray
) -> None:
    """Write an embedding, replacing that of an earlier training.

    Each file appears whole, and the one that names the others last.

    Parameters
    ----------
    logdir : Path
        Folder of the training's events.
    name : str
        The embedding's name: the layer whose output the points are.
    points : array of shape (n, d)
        The embedding.
    images : array of shape (n, height, width)
        The digit shown at each point.
    labels, predictions : array of shape (n,)
        True and predicted labels, shown and searchable.

    Raises
    ------
    OSError
        If a file cannot be written.
    """
    from tensorboard.plugins import projector

    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name=name, tensor_shape=points.shape)
    embedding.tensor_path = f"{PROJECTOR_FOLDER}/points.tsv"
    embedding.metadata_path = f"{PROJECTOR_FOLDER}/labels.tsv"
    embedding.sprite.image_path = f"{PROJECTOR_FOLDER}/digits.png"
    sprite, size = sprite_picture(images)
    embedding.sprite.single_image_dim.extend(size)
    (logdir / PROJECTOR_FOLDER).mkdir(parents=True, exist_ok=True)
    with scratch_folder(logdir, PROJECTOR_FOLDER) as scratch:
        np.savetxt(scratch / "points.tsv", points, "%.6g", "\t")
        rows = zip(labels.tolist(), predictions.tolist(), strict=True)
        metadata = "".join(f"{label}\t{prediction}\n" for label, prediction in rows)
        (scratch / "labels.tsv").write_text("label\tpredicted\n" + metadata, encoding="utf-8")
        (scratch / "digits.png").write_bytes(sprite)
        try:
            projector.visualize_embeddings(str(scratch), config)
        except tf.errors.OpError as error:  # TensorFlow's report of a full disk
            raise OSError(f"could not write for TensorBoard into {logdir}: {error.message}") from error
        for file in ("points.tsv", "labels.tsv", "digits.png"):
            (scratch / file).replace(logdir / PROJECTOR_FOLDER / file)
        (scratch / _CONFIG_FILE).replace(logdir / _CONFIG_FILE)
