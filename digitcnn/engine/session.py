"""A session in which a variable's name fetches its value."""

from __future__ import annotations

import tensorflow as tf

from ..graph.inspection import find_operation

v1 = tf.compat.v1


class NamedSession(v1.Session):
    """A Session in which a variable's name fetches its value, as in TensorFlow 1.

    In TensorFlow 2, `conv_1/_weights:0` is the handle of the variable, whose bytes mean nothing.
    """

    def run(self, fetches, feed_dict=None, options=None, run_metadata=None):
        """Run as tf.compat.v1.Session.run.

        Parameters
        ----------
        fetches, feed_dict, options, run_metadata
            As there; `fetches` may also name variables.
        """
        return super().run(self._values(fetches), feed_dict, options, run_metadata)

    def make_callable(self, fetches, feed_list=None, accept_options=False):
        """Make a callable as tf.compat.v1.Session.make_callable."""
        return super().make_callable(self._values(fetches), feed_list, accept_options)

    def _values(self, fetches):
        """Return fetches of the same structure, with each handle of a variable replaced by its value."""
        if isinstance(fetches, dict):
            return {key: self._values(fetch) for key, fetch in fetches.items()}
        if type(fetches) in (list, tuple):
            return type(fetches)(map(self._values, fetches))
        name = fetches if isinstance(fetches, str) else getattr(fetches, "name", None)
        if isinstance(fetches, (str, tf.Tensor)) and name is not None and name.endswith(":0"):
            handle = find_operation(self.graph, name[:-2])
            if handle is not None and handle.type == "VarHandleOp":
                return f"{handle.name}/Read/ReadVariableOp:0"
        return fetches
