"""How Sphinx makes the site out of `docs/`: `uv run sphinx-build -W -n docs outputs/site`.

The pages are Markdown that also reads well on a code host, so links are relative paths. Nothing is fetched from a
network, neither when the site is built nor when it is read.
"""

from __future__ import annotations

import inspect
from enum import Enum
from importlib.metadata import version as installed

from pydantic import BaseModel
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

project = "RepuNet for Mesa"
author = "The RepuNet for Mesa developers"
copyright = f"2026, {author}"
version = release = installed("repunet-mesa")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["examples"]
html_theme = "furo"
html_title = f"{project} {release}"
myst_heading_anchors = 4

default_role = "py:obj"  # code in docstrings leads to what it names, where that is in the reference
autoclass_content = "both"
autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "model_config"}  # of pydantic, in every model
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True

nitpick_ignore_regex = [
    # Code in docstrings that names anything else.
    (r"py:obj", r".*"),
    # Types of other libraries: to look them up takes a network.
    (r"py:.*", r"(abc|aiohttp|collections|decimal|enum|mesa|networkx|numpy|nx|pandas|pathlib|pd|pydantic|random)\..*"),
    (r"py:.*", r"ssl\..*"),
    # Type variables, and types that are imported for type checkers alone: they have no full name.
    (r"py:class", r"[A-Z]\w*"),
    # The function that reads a number in parameters of games, and the parts of files of traits.
    (r"py:class", r"repunet_model\.(games\.parameters\._number|populations\._\w+|backends\.planted\._Played)"),
    # Types of parts that are internal, so that the reference does not describe them.
    (r"py:.*", r"repunet_model\.(backends\.(endpoints|prices)|jobs|journal|questions\.(compound|prompts)|stages)\..*"),
    (r"py:.*", r"repunet_model\.results\.sentiment\..*"),
]


_MAKING_A_MODEL = inspect.cleandoc(BaseModel.__init__.__doc__ or "").splitlines()[0]


class LinksOutOfDocs(SphinxTransform):
    """Let a link to a page outside `docs/`, such as ../README.md, lead to a copy of the file.

    MyST does so with other files, but takes every link to Markdown for one to a page of the site.
    """

    default_priority = 400

    def apply(self, **kwargs: object) -> None:
        """Turn such references into downloads."""
        for link in list(self.document.findall(pending_xref)):
            target = str(link["reftarget"])
            if link["reftype"] == "myst" and link["refdomain"] == "doc" and target not in self.env.found_docs:
                where = {"reftarget": f"/{target}.md", "refdoc": link["refdoc"]}
                link.replace_self(download_reference("", "", *link.children, **where))


def tidy(_app: Sphinx, what: str, _name: str, described: object, _options: object, lines: list[str]) -> None:
    """Prepare a docstring for napoleon.

    In the first line of an attribute's, napoleon takes what stands before a colon for a type: an empty comment takes
    its place. What pydantic says of making any model at all is left out. Enums show their values.
    """
    if what in {"attribute", "data", "property"}:
        lines[:0] = ["..", ""]
    if (of_pydantic := _MAKING_A_MODEL) in lines:
        del lines[lines.index(of_pydantic) :]
    if isinstance(described, type) and issubclass(described, Enum):
        lines += ["Values: " + ", ".join(f"``{member.name}`` ({member.value})" for member in described) + ".", ""]


def setup(app: Sphinx) -> None:
    """Register the above; docstrings are seen before napoleon sees them."""
    app.add_transform(LinksOutOfDocs)
    app.connect("autodoc-process-docstring", tidy, priority=100)
