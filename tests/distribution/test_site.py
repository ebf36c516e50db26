"""The documentation as a site: it builds without a warning or a network, and everything in it leads somewhere."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass, field
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote

import pytest

import repunet_model
from tests import ROOT

DOCS = ROOT / "docs"

OFFLINE = """
import socket

def refuse(*_):
    raise OSError("the site is built without a network")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""

PUBLIC = (
    "repunet_model.model",
    "repunet_model.config",
    "repunet_model.stored_run",
    "repunet_model.agents",
    "repunet_model.errors",
    "repunet_model.personas",
    "repunet_model.reputation",
    "repunet_model.network",
    "repunet_model.memory",
    "repunet_model.games",
    "repunet_model.games.base",
    "repunet_model.questions.base",
    "repunet_model.questions.encounter",
    "repunet_model.questions.gossip",
    "repunet_model.backends.base",
    "repunet_model.backends.setup",
    "repunet_model.backends.policies",
    "repunet_model.backends.limits",
    "repunet_model.measures",
    "repunet_model.extensions",
    "repunet_model.storage.schema",
    "repunet_model.storage.reader",
    "repunet_model.storage.manifest",
    "repunet_model.storage.folder",
    "repunet_model.results.tables",
    "repunet_model.sweep.grid",
    "repunet_model.sweep.folder",
    "repunet_model.sweep.running",
    "repunet_model.report.evidence",
    "repunet_model.report.statistics",
    "repunet_model.populations",
    "repunet_model.export",
    "repunet_model.chronicle",
    "repunet_model.rng",
    "repunet_model.testing",
    "visualization.for_mesa",
)
"""Modules of which the reference describes every public class and function."""


@dataclass
class Page(HTMLParser):
    """What a page has: the ids of its parts, where its links lead, and what a browser loads with it."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = defaultdict(str, {name: value or "" for name, value in attrs})
        self.ids.add(known["id"])
        if tag == "a":
            self.links.append(known["href"])
        elif tag in {"script", "img", "link", "iframe", "object"}:
            self.loaded += [known[name] for name in ("src", "href", "data") if known[name]]


def build(docs: Path, site: Path, offline: Path) -> subprocess.CompletedProcess[str]:
    offline.mkdir()
    (offline / "sitecustomize.py").write_text(OFFLINE)
    return subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-d", site / ".doctrees", docs, site],
        env={**os.environ, "PYTHONPATH": str(offline)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Page]:
    """The pages of the site by their files."""
    site = tmp_path_factory.mktemp("site")
    built = build(DOCS, site, tmp_path_factory.mktemp("offline") / "first")
    assert built.returncode == 0, built.stderr
    found = {}
    for file in site.rglob("*.html"):
        found[file] = page = Page()
        page.feed(file.read_text(encoding="utf-8"))
    return found


def test_every_page_is_there(pages: dict[Path, Page]) -> None:
    there = {file.stem for file in pages}
    assert {page.stem for page in DOCS.glob("*.md")} <= there
    assert {"index", "odd", "architecture", "extending", "results", "differences", "reproducibility", "api"} <= there


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    by_path = {file.resolve(): page for file, page in pages.items()}
    for file, page in pages.items():
        for link in page.links:
            if re.match(r"(https?|mailto):", link):
                continue
            path, _, anchor = unquote(link).partition("#")
            target = (file.parent / path).resolve() if path else file.resolve()
            assert target.exists(), f"{file.name}: {link}"
            if anchor:
                assert anchor in by_path[target].ids, f"{file.name}: {link}"


def test_nothing_is_loaded_from_a_network(pages: dict[Path, Page]) -> None:
    for file, page in pages.items():
        for place in page.loaded:
            assert not re.match(r"(https?:)?//", place), f"{file.name}: {place}"


def test_every_public_name_is_there(pages: dict[Path, Page]) -> None:
    described = next(page for file, page in pages.items() if file.name == "api.html").ids
    for name in PUBLIC:
        module = import_module(name)
        own = {
            f"{name}.{part}"
            for part, value in vars(module).items()
            if not part.startswith("_")
            and (inspect.isclass(value) or inspect.isfunction(value))
            and value.__module__ == name
        }
        assert own, name
        assert own <= described, sorted(own - described)
    assert {f"repunet_model.model.RepuNetModel.{part}" for part in ("step", "astep", "interrupt", "load")} <= described
    for part in repunet_model.__all__:
        value = getattr(repunet_model, part)
        assert f"{value.__module__}.{part}" in described


@pytest.mark.parametrize("paper", ["CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_of_papers_lead_somewhere(paper: str) -> None:
    for link in re.findall(r"\]\(([^)#]+)", (ROOT / paper).read_text(encoding="utf-8")):
        assert link.startswith("https://") or (ROOT / link).exists(), link


def test_the_citation_names_the_version() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"\nversion: {project['version']}\n" in citation


def test_a_link_to_nowhere_fails(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "conf.py").write_text((DOCS / "conf.py").read_text(encoding="utf-8"), encoding="utf-8")
    (docs / "index.md").write_text("# Home\n\n[nowhere](nowhere.md) and [nothing](#nothing)\n", encoding="utf-8")
    built = build(docs, tmp_path / "site", tmp_path / "offline")
    assert built.returncode == 1
    assert "nowhere.md" in built.stderr
    assert "nothing" in built.stderr
