"""The names that the API reference gives can be imported."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest

import repunet_model
from tests import ROOT

TEXT = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

MODULES = re.findall(r"^\.\. automodule:: (\S+)$", TEXT, re.MULTILINE)

HEADINGS = re.findall(r"^### (\S+)$", TEXT, re.MULTILINE)

PARTS = re.findall(r"^\.\. automodule:: (\S+)\n(?:   :.*\n)*?   :(?:exclude-)?members: (\S.*)$", TEXT, re.MULTILINE)
"""Modules of which single members are named, and these."""


def named(thing: object) -> set[str]:
    """Return the names that a module has, and those that its classes have or declare."""
    classes = [each for each in vars(thing).values() if isinstance(each, type)]
    own: list[Mapping[str, Any]] = [vars(thing), *(vars(part) for each in classes for part in each.__mro__)]
    return {name for names in own for name in (*names, *names.get("__annotations__", ()))}


@pytest.mark.parametrize("name", MODULES)
def test_a_module_of_the_reference_can_be_imported(name: str) -> None:
    import_module(name)


def test_each_module_has_a_heading_of_its_own() -> None:
    assert MODULES == HEADINGS
    assert len(MODULES) > 30


@pytest.mark.parametrize(("module", "members"), PARTS)
def test_the_members_that_are_named_are_there(module: str, members: str) -> None:
    assert {name.strip(" +") for name in members.split(",")} <= named(import_module(module))


def test_the_names_of_the_package_are_those_that_the_reference_gives() -> None:
    sentence = re.search(r"These names can be imported\s+from `repunet_model` itself: (.*?)\.\s", TEXT, re.DOTALL)
    assert sentence is not None
    names = re.findall(r"`(\w+)`", sentence[1])
    assert sorted(names) == sorted(repunet_model.__all__)
    for name in names:
        assert getattr(repunet_model, name).__name__ == name
