"""Stages of a step (see `stages.base`), and the registry of stages that are not built in."""

from __future__ import annotations

from repunet_model.stages.registry import named, register, registered, tables

__all__ = ["named", "register", "registered", "tables"]
