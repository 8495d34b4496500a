"""The old place of Standardization, for estimators that 0.1.0 pickled. It goes with 0.3.0."""

from .data.standardization import Standardization

__all__ = ["Standardization"]
