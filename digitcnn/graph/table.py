"""A network's layers as a table: text for `summary()`, HTML for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, NamedTuple

import tensorflow as tf

from .._text import printable
from .inspection import count_parameters, model_variables, variable_size
from .layers import Layer

v1 = tf.compat.v1


class Row(NamedTuple):
    """A layer, the shape of its output as text ('' if unknown), and its number of parameters."""

    layer: str
    shape: str
    parameters: int


def summary_rows(graph: tf.Graph, layers: Iterable[Layer]) -> tuple[list[Row], list[Row]]:
    """Return rows of layers in the order of creation, then of variables made without wrappers; and the totals."""
    sizes = {variable.op.name: variable_size(variable) for variable in model_variables(graph)}
    trainable = sum(map(variable_size, graph.get_collection(v1.GraphKeys.TRAINABLE_VARIABLES)))
    rows = []
    for layer in layers:
        shape = ""
        if layer.output.shape.rank is not None:
            shape = f"[{', '.join('batch' if size is None else str(size) for size in layer.output.shape)}]"
        rows.append(Row(layer.name, shape, sum(sizes.pop(name) for name in layer.variables)))
    rows += [Row(name, "", size) for name, size in sizes.items()]
    return rows, [Row("total", "", count_parameters(graph)), Row("trainable", "", trainable)]


def summary_text(graph: tf.Graph, layers: Iterable[Layer], title: str) -> str:
    """Return a table of layers, output shapes and numbers of parameters, with the totals."""
    rows, totals = summary_rows(graph, layers)
    lines = [printable(title), f"{'layer':<24}{'output shape':<24}{'parameters':>12}"]
    lines += [f"{printable(row.layer):<24}{row.shape:<24}{row.parameters:>12,}" for row in rows + totals]
    return "\n".join(lines)


def summary_html(graph: tf.Graph, layers: Iterable[Layer], title: str, settings: Mapping[str, Any]) -> str:
    """Return the same table in HTML, with the settings folded up below it.

    Parameters
    ----------
    graph : tf.Graph
        The network's graph.
    layers : iterable of Layer
        Its layers with their variables.
    title : str
        Text above the table.
    settings : mapping
        The model's settings by name.
    """
    rows, totals = summary_rows(graph, layers)
    cells = [(row.layer, row.shape, f"{row.parameters:,}") for row in rows + totals]
    layer_table = _table(["layer", "output shape", "parameters"], cells)
    values = _table(["setting", "value"], [(name, repr(value)) for name, value in settings.items()])
    return f"<b>{escape(printable(title))}</b>{layer_table}<details><summary>settings</summary>{values}</details>"


def _table(header: list[str], rows: Iterable[tuple[str, ...]]) -> str:
    """Return an HTML table; a third column, of numbers, is aligned right, as in `summary_text`."""

    def line(tag: str, cells: Iterable[str]) -> str:
        sides = ("left", "left", "right")
        return "".join(
            f'<{tag} style="text-align:{side}">{escape(printable(cell))}</{tag}>'
            for cell, side in zip(cells, sides, strict=False)
        )

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{line('th', header)}</tr></thead><tbody>{body}</tbody></table>"


def state_text(epochs: int, steps: int) -> str:
    """Return how far a model with weights is trained, in finished epochs and in steps."""
    if steps == 0:
        return "first weights, not trained"
    counted = [f"{n:,} {unit}{'s' * (n != 1)}" for n, unit in ((epochs, "epoch"), (steps, "step")) if n]
    return f"trained {', '.join(counted)}"
