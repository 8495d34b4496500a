"""Options of a training that several commands have."""

from __future__ import annotations

from typing import Any

from ..graph.architectures import ARCHITECTURES
from ..recipes import RECIPES
from .converters import count, one_of


def add_recipe(parser: Any, meaning: str) -> None:
    """Add --recipe; meaning: what its settings are for."""
    parser.add_argument(
        "--recipe",
        type=one_of(tuple(RECIPES)),
        metavar="NAME",
        help=f"{meaning}: {', '.join(RECIPES)} (default: as for digitcnn train)",
    )


def add_architecture(parser: Any) -> None:
    """Add --architecture."""
    parser.add_argument(
        "--architecture",
        type=one_of(tuple(ARCHITECTURES)),
        metavar="NAME",
        help=f"one of {', '.join(ARCHITECTURES)} (default: the recipe's, else cnn)",
    )


def add_length(parser: Any, *, in_steps: bool = True) -> None:
    """Add --epochs and, if it is counted `in_steps` too, --steps, of which one may be given."""
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=count, metavar="N", help="passes over the images (default: the recipe's)")
    if in_steps:
        length.add_argument("--steps", type=count, metavar="N", help="training steps instead of epochs")


def add_validation(parser: Any, more: str = "") -> None:
    """Add --validation; more: what its help says at the end."""
    parser.add_argument(
        "--validation",
        type=count,
        metavar="N",
        help=f"number of training images, the last ones, that are validated on (default: one sixth){more}",
    )


def add_checkpoint_every(parser: Any) -> None:
    """Add --checkpoint-every."""
    parser.add_argument(
        "--checkpoint-every",
        type=count,
        metavar="STEPS",
        help="training steps between checkpoints, besides one after each epoch (default: only after each epoch)",
    )
