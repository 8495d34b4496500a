"""What the first convolution of a network makes of an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..graph.architectures import ARCHITECTURES, TensorNames

if TYPE_CHECKING:
    from ..model import DigitCNN


@dataclass(frozen=True)
class FirstLayer:
    """The response of each filter of the first convolution.

    Parameters
    ----------
    name : str
        The layer's name in the graph.
    maps : array
        uint8 [filters, height, width]: 128 is the response to blank paper, below is less, above is more.
    """

    name: str
    maps: np.ndarray


def first_layer(model: DigitCNN, image: np.ndarray) -> FirstLayer | None:
    """The response to an image, uint8 [28, 28]; None if the model has no convolution, or takes other sizes."""
    operations = model.g.get_operations()
    names = {operation.name for operation in operations}
    # In the order in which they were made; those of the gradients come last.
    convolutions = [operation.name for operation in operations if operation.type == "Conv2D"]
    if not convolutions or model.image_shape != image.shape:
        return None
    layer = convolutions[0].rpartition("/")[0]
    # After its activation and biases, where its box has them.
    outputs = (f"{layer}/activation", f"{layer}/net_pre-activation", convolutions[0])
    output = next(name for name in outputs if name in names)
    own = ARCHITECTURES[model.architecture].names.images
    images = own if own in names else TensorNames().images  # a `build()` of the user's own has T1's names
    pixels = np.stack([np.zeros_like(image), image]).reshape(2, -1)
    scaled = pixels / np.float32(255) if model.standardization is None else model.standardization(pixels)
    # Biases, and paper whose standardized pixels are not 0, would hide what the ink does: hence the difference.
    blank, inked = model.sess.run(f"{output}:0", {f"{images}:0": scaled})  # float32 [height, width, filters]
    change = inked - blank
    largest = np.abs(change).max() or 1
    maps = (128 + 127 * change / largest).round().astype(np.uint8)
    return FirstLayer(layer or output, maps.transpose(2, 0, 1))
