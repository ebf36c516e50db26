"""Registry of stages that are not built in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from repunet_model.errors import ConfigurationError
from repunet_model.stages.base import Stage
from repunet_model.stages.step import BUILT_IN
from repunet_model.storage.schema import TABLES, Table

_OWN: dict[str, type[Stage]] = {}


def register[S: type[Stage]](stage: S) -> S:
    """Register a subclass of `PopulationStage`, `EncounterStage` or `SideStage` for all models created later.

    Raises:
        ConfigurationError: If its name is taken or it may not follow the stage named by `after`.
    """
    taken = {each.name for each in BUILT_IN}
    if not stage.name.isidentifier() or stage.name in taken:
        raise ConfigurationError(
            f"stage {stage.name!r}: must be a name such as tax, other than {', '.join(sorted(taken))}"
        )
    kind = next(each for each in stage.__mro__ if "places" in vars(each))
    assert issubclass(kind, Stage)
    places = [*kind.places, *(name for name, each in _OWN.items() if issubclass(each, kind) and name != stage.name)]
    if stage.after not in places:
        raise ConfigurationError(
            f"stage {stage.name!r}: after is {stage.after!r}; {kind.__name__} may follow {', '.join(places)}"
        )
    _OWN[stage.name] = stage
    return stage


def registered() -> list[type[Stage]]:
    """Return all stages in the order of registration."""
    return list(_OWN.values())


def named(names: Sequence[str]) -> list[type[Stage]]:
    """Return the stages of a stored run by their names; raise ConfigurationError if one is not registered."""
    for name in names:
        if name not in _OWN:
            raise ConfigurationError(
                f"the run has a stage {name!r}, which is not registered: import the file it is in, or name it by "
                "--extension"
            )
    return [_OWN[name] for name in names]


def tables() -> list[Table[Any]]:
    """Return all tables, those of built-in and registered stages included, which exist once a stage is imported."""
    return list(TABLES.values())
