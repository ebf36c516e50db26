"""RepuNet for Mesa: reputation, gossip and rewiring among LLM-backed agents.

The public names are loaded when they are first used, so that importing a part does not import Mesa.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from repunet_model.agents import RepuNetAgent
    from repunet_model.backends.mind import Rules
    from repunet_model.backends.rules import RulesBackend
    from repunet_model.errors import RepuNetError
    from repunet_model.mechanism import Mechanism
    from repunet_model.model import RepuNetModel
    from repunet_model.stored_run import StoredRun, load_run

__all__ = [
    "Mechanism",
    "RepuNetAgent",
    "RepuNetError",
    "RepuNetModel",
    "Rules",
    "RulesBackend",
    "StoredRun",
    "load_run",
]

_HOMES = {
    "Mechanism": "repunet_model.mechanism",
    "RepuNetAgent": "repunet_model.agents",
    "RepuNetError": "repunet_model.errors",
    "RepuNetModel": "repunet_model.model",
    "Rules": "repunet_model.backends.mind",
    "RulesBackend": "repunet_model.backends.rules",
    "StoredRun": "repunet_model.stored_run",
    "load_run": "repunet_model.stored_run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
