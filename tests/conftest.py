"""Fixtures and helpers for all tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from repunet_model.cli import main
from repunet_model.config import MODES as MODES_BY_NAME

pytest_plugins = ["repunet_model.testing"]

LONG_ENOUGH = 120.0
"""The longest wait of a test, in seconds, on a busy machine."""

IN_MEMORY, ROOM = "/dev/shm", 4 << 30
"""A folder in memory, as Linux has it, and the bytes that must be free there."""

TESTS = Path(__file__).parent

MODE_NAMES = list(MODES_BY_NAME)
MODES = list(MODES_BY_NAME.values())


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run folders on all cores, and single files in this process.

    Many tests wait for replies, time limits and processes, so one worker more than cores runs them. Compiled modules
    are kept whatever the machine's setting: else each worker and process compiles all that it imports, for seconds.
    Files of the plain command's tests are in memory where they can be, since every step that is stored is synced.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    if config.getoption("--rest"):
        if not _is_default(config):
            raise pytest.UsageError("--rest goes without names of files: it runs all that `pytest` leaves out")
        config.args = [str(TESTS)]
    elif _is_default(config) and os.path.isdir(IN_MEMORY) and shutil.disk_usage(IN_MEMORY).free > ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", IN_MEMORY)
    config.option.loadscopereorder = False  # begin with the files that come first, not with those of the most tests
    if _is_worker() or not config.pluginmanager.hasplugin("xdist") or config.option.numprocesses is not None:
        return
    if any(Path(argument).is_dir() for argument in config.args):
        config.option.numprocesses = (os.cpu_count() or 1) + 1
        # Outside the default folders the tests of a file share servers, browsers and builds, and some take minutes.
        config.option.dist = "worksteal" if _is_plain(config) else "loadfile"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option for what the plain command leaves out."""
    parser.addoption("--rest", action="store_true", help="run all tests that the command without it leaves out")


def pytest_configure(config: pytest.Config) -> None:
    """Describe the marks of tests of which the plain command runs a part."""
    config.addinivalue_line("markers", "cover: the plain command runs some combinations, with every value in one")
    config.addinivalue_line("markers", "first: the plain command runs the first combination alone")
    config.addinivalue_line("markers", "thorough: the plain command leaves the test out")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the plain command does not run: other folders, thorough tests, and most combinations of values.

    With --rest, leave out what it runs, and begin with what takes the longest: the other folders, then the files with
    the most tests.
    """
    if not _is_default(config):
        return
    plain = [config.rootpath / folder for folder in config.getini("testpaths")]
    left_out = {item for item in items if item.get_closest_marker("thorough") or item.path.parent not in plain}
    combined: dict[str, list[pytest.Function]] = defaultdict(list)
    for item in [item for item in items if item not in left_out]:
        if isinstance(item, pytest.Function) and any(map(item.get_closest_marker, ("cover", "first"))):
            combined[item.nodeid.partition("[")[0]].append(item)
    for group in combined.values():
        values = [_values(item) for item in group]
        known = [list(dict.fromkeys(column)) for column in zip(*values, strict=True)]
        places = range(1 if group[0].get_closest_marker("first") else max(map(len, known)))
        cover = {tuple(column[place % len(column)] for column in known) for place in places}
        left_out |= {item for item, own in zip(group, values, strict=True) if own not in cover}
    if config.getoption("--rest"):
        left_out = set(items) - left_out
        sizes = Counter(item.path for item in items if item not in left_out and item.path.parent in plain)
        items.sort(key=lambda item: (item.path in sizes, -sizes[item.path]))
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]


def _values(item: pytest.Function) -> tuple[str, ...]:
    """Return the values of a combination: one text for each parametrization."""
    names = [mark.args[0] for mark in item.iter_markers("parametrize")]
    return tuple(repr([item.callspec.params[name] for name in _split(each)]) for each in names)


def _split(names: str | Sequence[str]) -> Sequence[str]:
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else names


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Name what the plain command leaves out."""
    if _is_plain(config) and not _is_worker():
        tiers = sorted({f"tests/{path.parent.name}" for path in TESTS.glob("*/test_*.py")} - set(config.args))
        line = f"Not run: most combinations of values, {', '.join(tiers)}."
        config.get_terminal_writer().line(f"{line} These alone: uv run pytest --rest; every test: uv run pytest tests")


def _is_worker() -> bool:
    return "PYTEST_XDIST_WORKER" in os.environ


def _is_default(config: pytest.Config) -> bool:
    """Whether no tests were named on the command line."""
    return config.args_source is pytest.Config.ArgsSource.TESTPATHS


def _is_plain(config: pytest.Config) -> bool:
    """Whether this is the plain command."""
    return _is_default(config) and not config.getoption("--rest")


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the machine's own settings from the environment, and restore Ctrl-C.

    A shell that starts a command in the background makes it and its children ignore interrupts.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith(("LLM_", "OPENAI_", "REPUNET_"))]:
        monkeypatch.delenv(name)


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition holds, with a limit far above the expected time."""
    deadline = time.monotonic() + LONG_ENOUGH
    while not condition():
        assert time.monotonic() < deadline, "what is waited for did not happen"
        time.sleep(0.005)


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files of a run that must be equal in equal runs, byte for byte."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("usage") and not path.name.endswith(".lock")
    }


def complaint(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one error line of a command line with bad input, and check that nothing was written.

    The test must be in a folder of its own: others write to the checkout, such as what counts lines.
    """
    assert not (Path() / "pyproject.toml").exists()
    before = set(Path().rglob("*"))
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.count("\n") == 1
    assert shown.err.startswith("error: ")
    assert set(Path().rglob("*")) == before
    return shown.err


def decided(folder: Path) -> dict[str, object]:
    """Return the calls of a run without the reasoning before them, and the state after each step."""
    files = sorted(folder.rglob("calls.jsonl"))
    calls = [json.loads(line) for path in files for line in path.read_bytes().splitlines()]
    states = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("state.json"))}
    assert states
    return {"calls": [{name: call[name] for name in call if name != "thought"} for call in calls], **states}
