"""The parts that make up a model, and how they are saved and loaded together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ..engine.engine import Engine
from ..engine.state import HISTORY_COLUMNS, ModelState
from ..settings import Settings, settings_dict
from .checkpoint import SavedModel
from .layout import record_file
from .record import Plan, Record
from .variables import restore_variables
from .writing import write_checkpoint


@dataclass(frozen=True)
class ModelParts:
    """The parts of one model, which saving and training need.

    Parameters
    ----------
    class_name : str
        The Python class that built the graph.
    settings : Settings
        The constructor's arguments as they are now.
    engine : Engine
        The session that has the variables.
    state : ModelState
        History, progress and standardization, which loading replaces.
    """

    class_name: str
    settings: Settings
    engine: Engine
    state: ModelState

    def record(self, plan: Plan | None = None) -> Record:
        """The model without its variables; `plan` is that of the training, for a checkpoint to resume from."""
        return Record(
            class_name=self.class_name,
            settings=settings_dict(self.settings),
            progress=self.state.progress,
            history=self.state.history.to_dict("records"),
            standardization=self.state.standardization,
            plan=plan,
        )

    def write(self, prefix: Path, record: Record) -> None:
        """Write the files of a saved model. On OSError, the model of that name before stays."""
        write_checkpoint(self.engine, prefix, record)

    def load(self, saved: SavedModel) -> None:
        """Load a saved model. Raises CheckpointError, and then changes nothing."""
        record = saved.record
        record.check_fits(record_file(saved.prefix), self.class_name, settings_dict(self.settings))
        self.engine.check_open()
        restore_variables(self.engine, saved)
        self.take(record)

    def take(self, record: Record) -> None:
        """Take history, progress and standardization from a record."""
        self.state.history = pd.DataFrame(record.history, columns=HISTORY_COLUMNS)
        self.state.progress, self.state.standardization = record.progress, record.standardization
