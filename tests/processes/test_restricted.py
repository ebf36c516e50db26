"""What Windows lacks is not needed: the program in interpreters without the calls that only POSIX has.

Every process of the restricted runs, workers and senders included, loads the `sitecustomize.py` below, which PYTHONPATH
hands down. It hides:

- the modules `fcntl`, `resource`, `termios`, `tty`, `pty`, `pwd` and `grp`, and all signals that Windows lacks, SIGKILL
  among them, from the code of this checkout: importing them fails there, and its `signal` has no such names. Modules of
  Python and of installed packages keep them, since on this system they cannot do without: `filelock` locks by `fcntl`,
  `subprocess` and `ipykernel` use SIGKILL.
- `os.fork`, `os.forkpty`, `socket.send_fds` and `socket.recv_fds` from everybody.
- `pass_fds` and `preexec_fn` of `subprocess.Popen`, which raises the error that it raises on Windows.

The console is one of code page 1252. What cannot be shown this way: Windows renames no folder with an open file in it,
and compares names without regard to capitals.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from repunet_model.cli import main
from repunet_model.testing import endpoint
from tests import ROOT
from tests.conftest import contents

RESTRICTED = f"""
import builtins, os, signal, socket, subprocess, types

ours = {[str(ROOT / part) for part in ("repunet_model", "visualization", "run.py")]!r}
hidden = {{"fcntl", "resource", "termios", "tty", "pty", "pwd", "grp"}}
importing = builtins.__import__


def without_posix(name, globals=None, *more, **named):
    file = str((globals or {{}}).get("__file__") or "")
    if name in hidden and file.startswith(tuple(ours)):
        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
    if name == "signal" and file.startswith(tuple(ours)):
        return signals
    return importing(name, globals, *more, **named)


signals = types.ModuleType("signal")
known = {{"SIGINT", "SIGTERM", "SIGABRT", "SIGFPE", "SIGILL", "SIGSEGV", "SIG_IGN", "SIG_DFL"}}
vars(signals).update((name, value) for name, value in vars(signal).items() if name[:3] != "SIG" or name in known)
builtins.__import__ = without_posix
for module, names in ((os, ("fork", "forkpty")), (socket, ("send_fds", "recv_fds"))):
    for name in names:
        delattr(module, name)
starting = subprocess.Popen.__init__


def start(self, *words, **options):
    for option in ("pass_fds", "preexec_fn"):
        if options.get(option):
            raise ValueError(f"{{option}} not supported on Windows platforms")
    starting(self, *words, **options)


subprocess.Popen.__init__ = start
"""

ON_CONSOLES = """
import json, sys
from repunet_model.cli import main

for encoding, words in json.loads(sys.argv.pop()):
    sys.stdout.reconfigure(encoding=encoding)
    print("====", flush=True)
    assert main(words) == 0
"""
"""One command after another, each on a console of its own encoding, in one restricted interpreter."""

PEOPLE = ("Łukasz Żółć", "王小明", "Zoë Ångström", "Ann Lee")


@pytest.fixture
def restricted(tmp_path: Path) -> dict[str, str]:
    """The environment of a restricted process."""
    place = tmp_path / "site"
    place.mkdir()
    (place / "sitecustomize.py").write_text(RESTRICTED, encoding="utf-8", newline="\n")
    return {**os.environ, "PYTHONPATH": str(place), "PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"}


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """A persona file as Windows' editors write it: with a byte-order mark, and CR LF."""
    rows = [
        {"name": name, "age": 30, "gender": "female", "country": "Polska", "disposition": "altruistic"}
        for name in PEOPLE
    ]
    file = tmp_path / "ludzie i 人.json"
    file.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8-sig", newline="\r\n")
    return file


def command(*words: str | Path) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), *map(str, words)]


def run(words: list[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(words, capture_output=True, timeout=150, env=environment, check=False)
    assert done.returncode == 0, done.stderr.decode("cp1252", "replace")
    assert b"Traceback" not in done.stderr
    return done


def test_the_restriction_is_one(restricted: dict[str, str]) -> None:
    tried = f"""
import os, socket, subprocess, sys

assert not hasattr(os, "fork") and not hasattr(socket, "recv_fds")
assert sys.stdout.encoding == "cp1252"
for program, problem in (
    ("import fcntl", ModuleNotFoundError),
    ("import signal; signal.SIGKILL", AttributeError),
    ("import signal; signal.SIGTERM; raise KeyError", KeyError),
    ("import subprocess; subprocess.Popen(['true'], pass_fds=[0])", ValueError),
):
    try:
        exec(program, {{"__file__": {str(ROOT / "repunet_model" / "some.py")!r}}})
    except problem:
        continue
    sys.exit(program)
"""
    run([sys.executable, "-c", tried], restricted)


def test_the_main_job_has_the_same_bytes(
    restricted: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "--storage", "as it is"]) == 0
    run(command(), {**restricted, "REPUNET_STORAGE": str(tmp_path / "żółw")})
    assert len(contents(tmp_path / "żółw")) > 500
    assert contents(tmp_path / "żółw") == contents(tmp_path / "as it is")


def test_names_that_the_console_lacks_are_shown_as_escapes(
    restricted: dict[str, str], people: Path, tmp_path: Path
) -> None:
    making = ["run", "--personas", str(people), "--steps", "2", "--sim-name", "it", "--storage"]
    assert main([*making, str(tmp_path / "as it is")]) == 0
    storage = ["--storage", str(tmp_path / "żółw")]
    asked = [
        ("cp1252", [*making, storage[1]]),
        ("cp1252", ["show", "it", *storage]),
        ("ascii", ["show", "it", "--agent", "王小明", *storage]),
    ]
    done = run([sys.executable, "-c", ON_CONSOLES, json.dumps(asked)], restricted)
    shown, told, mind = done.stdout.split(b"====")[1:]
    assert "|step |cooperation |" in shown.decode("cp1252")
    assert contents(tmp_path / "żółw") == contents(tmp_path / "as it is")
    text = told.decode("cp1252")
    assert "\\u0141ukasz \\u017bó\\u0142\\u0107" in text
    assert "\\u738b\\u5c0f\\u660e" in text
    assert "Zoë Ångström" in text
    assert mind.lstrip().startswith(b"it, \\u738b\\u5c0f\\u660e after step 2")
    assert b"\\u0141ukasz \\u017b\\xf3\\u0142\\u0107" in mind


def test_a_sweep_of_two_workers_has_the_same_bytes(restricted: dict[str, str], tmp_path: Path) -> None:
    words = ["sweep", "--seeds", "1-2", "--steps", "2", "-n", "4", "--workers"]
    assert main([*words, "1", "--storage", str(tmp_path / "as it is")]) == 0
    run(command(*words, "2", "--storage", tmp_path / "żółw"), restricted)
    assert contents(tmp_path / "żółw" / "sweep" / "runs") == contents(tmp_path / "as it is" / "sweep" / "runs")
    for table in ("results.csv", "results.parquet"):
        own, other = ((tmp_path / name / "sweep" / table).read_bytes() for name in ("żółw", "as it is"))
        assert own == other


def test_the_page_answers(restricted: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = command("viz", "--no-browser", "--port", str(port), "--storage", tmp_path / "żółw")
    with ExitStack() as stack:
        page = stack.enter_context(
            subprocess.Popen(words, env=restricted, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        )
        stack.callback(page.terminate)
        until = time.monotonic() + 120
        while page.poll() is None and time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=30) as answer:
                    assert answer.status == 200
                    assert b"RepuNet for Mesa" in answer.read()
                    return
            except OSError:
                time.sleep(0.2)
        assert page.stderr is not None
        page.terminate()
        pytest.fail(page.stderr.read().decode("cp1252", "replace"))


def test_a_terminated_run_over_http_is_resumed_without_asking_twice(
    restricted: dict[str, str], people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    making = ["run", "--backend", "openai", "--personas", str(people), "--steps", "3", "--sim-name", "it", "--storage"]

    with endpoint(latency=0.02) as running:
        address = {"LLM_API_BASE": running.url}
        monkeypatch.setenv("LLM_API_BASE", running.url)
        assert main([*making, str(tmp_path / "as it is")]) == 0
        asked = len(running.answered)
        words = command(*making, tmp_path / "żółw")
        with subprocess.Popen(words, env={**restricted, **address}, stderr=subprocess.PIPE) as process:
            until = time.monotonic() + 120
            while len(running.answered) < 1.5 * asked and process.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            process.terminate()
            process.communicate(timeout=60)
        folder = tmp_path / "żółw" / "it"
        done = len(list(folder.glob("step_*"))) - 1
        assert done < 3
        run(command("resume", folder, "--steps", str(3 - done)), {**restricted, **address})
        assert len(running.answered) == 2 * asked
    assert contents(folder) == contents(tmp_path / "as it is" / "it")
