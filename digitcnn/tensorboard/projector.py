"""Points for TensorBoard's embedding projector, each with its digit's picture and label."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from .image_grids import sprite_picture

CONFIG = "projector_config.pbtxt"


FOLDER = "projector"


def write_projector(
    logdir: Path, name: str, points: np.ndarray, images: np.ndarray, labels: np.ndarray, predictions: np.ndarray
) -> None:
    """Write `points` [n, d] as the embedding `name` into `logdir`, in place of what an earlier training wrote.

    images: [n, height, width], as pictures of the points; labels, predictions: [n], as their metadata.
    Files come one by one, each whole, and last the one that names them. Raises OSError.
    """
    from tensorboard.plugins import projector

    config = projector.ProjectorConfig()
    embedding = config.embeddings.add(tensor_name=name, tensor_shape=points.shape)
    embedding.tensor_path = f"{FOLDER}/points.tsv"
    embedding.metadata_path = f"{FOLDER}/labels.tsv"
    embedding.sprite.image_path = f"{FOLDER}/digits.png"
    sprite, size = sprite_picture(images)
    embedding.sprite.single_image_dim.extend(size)
    (logdir / FOLDER).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=logdir, prefix=f".{FOLDER}-", ignore_cleanup_errors=True) as scratch:
        scratch = Path(scratch)
        np.savetxt(scratch / "points.tsv", points, "%.6g", "\t")
        rows = zip(labels.tolist(), predictions.tolist(), strict=True)
        metadata = "".join(f"{label}\t{prediction}\n" for label, prediction in rows)
        (scratch / "labels.tsv").write_text("label\tpredicted\n" + metadata, encoding="utf-8")
        (scratch / "digits.png").write_bytes(sprite)
        try:
            projector.visualize_embeddings(str(scratch), config)
        except tf.errors.OpError as error:  # a full disk
            raise OSError(f"could not write for TensorBoard into {logdir}: {error.message}") from error
        for file in ("points.tsv", "labels.tsv", "digits.png"):
            (scratch / file).replace(logdir / FOLDER / file)
        (scratch / CONFIG).replace(logdir / CONFIG)
