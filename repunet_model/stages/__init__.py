"""The stages of a step, and the registry in which a run looks up those that are not built in.

A stage lets agents decide (asynchronously, changing nothing) and is then applied, in one order: see `stages.base`.
"""

from __future__ import annotations

from repunet_model.stages.registry import named, register, registered, tables

__all__ = ["named", "register", "registered", "tables"]
