"""Several endpoints in one society, each with its name, key, model, limits and price."""

from __future__ import annotations

import asyncio
import csv
import json
import logging
import shlex
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from repunet_model import RepuNetModel
from repunet_model.backends import wrappers
from repunet_model.backends.limits import Limits
from repunet_model.backends.setup import respondents
from repunet_model.cli import main
from repunet_model.errors import BudgetError, ConfigurationError
from repunet_model.report.evidence import read
from repunet_model.report.page import backends_table, runs_section
from repunet_model.storage import StepReader
from repunet_model.testing import Body, Endpoint, Fault, endpoint, error, rejecting
from tests.conftest import complaint, contents

KEYS = {"SMALL_KEY": "sk-small-0123456789", "LARGE_KEY": "sk-large-9876543210"}

ON_LARGE = ("Akiko Sato", "Ahmed Hassan", "Emma Dubois")

MIXED = [
    "--backend",
    "openai:small",
    *(word for name in ON_LARGE for word in ("--backend-for", f"{name}=openai:large")),
]


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder with two keys, and do not wait between attempts."""
    monkeypatch.chdir(tmp_path)
    for name, key in KEYS.items():
        monkeypatch.setenv(name, key)
    monkeypatch.setattr(wrappers, "sleep", lambda seconds: asyncio.sleep(min(seconds, 0.01)))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """Run the endpoint of the LLM_* variables, which no request may reach."""
    with endpoint() as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-elsewhere-0123456")
        yield running
        assert running.requests == []


def tables(small: str, large: str, of_small: str = "", of_large: str = "") -> str:
    return f"""
    [endpoints.small]
    base_url = "{small}"
    key = "SMALL_KEY"
    model = "little-1"
    temperature = 0.7
    prices = {{ prompt = 1, completion = 2 }}
    {of_small}

    [endpoints.large]
    base_url = "{large}"
    key = "LARGE_KEY"
    model = "great-1"
    prices = {{ prompt = 100, cached = 50, completion = 400 }}
    {of_large}
    """


def write(*parts: str, name: str = "endpoints.toml") -> Path:
    file = Path(name)
    file.write_text("\n".join(parts))
    return file


def mixed(name: str, *words: str, steps: int = 3) -> int:
    where = ["--endpoints", "endpoints.toml"]
    return main(["run", *MIXED, *where, "-n", "6", "--steps", str(steps), "--sim-name", name, *words])


def sent_twice(running: Endpoint) -> list[str]:
    answered = Counter(json.dumps(body) for body in running.answered)
    return [body for body, times in answered.items() if times > 1]


def usages(name: str) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in Path("sim_storage", name).glob("step_*/usage.json")]


def test_each_request_reaches_its_endpoint_and_one_that_is_down_stops_the_run_until_it_is_back(
    elsewhere: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    def fault(number: int, body: Body) -> web.Response | None:
        return error(503, "down for repairs") if number >= 12 else None

    with endpoint() as small, endpoint() as large:
        write(tables(small.url, large.url))
        assert mixed("whole") == 0
        tokens = small.tokens, large.tokens
    capsys.readouterr()
    with endpoint() as small, endpoint(fault=fault) as large:
        write(tables(small.url, large.url))
        assert mixed("it", "--budget-usd", "100") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"the endpoint 'large' at {large.url}, model great-1: HTTP 503, down for repairs" in line
    assert "gave up after 6 attempts; to try the endpoint: " in line
    assert (
        "doctor --backend openai:large --endpoints FILE, where FILE has [endpoints.large]; the run is whole up to step"
        in line
    )
    done = len(list(Path("sim_storage/it").glob("step_*"))) - 1
    words = shlex.split(line.rpartition("go on with: ")[2])
    words = words[words.index("resume") :]
    assert words == ["resume", "sim_storage/it", "--steps", str(3 - done), "--endpoints", "./endpoints.toml"]
    # the same requests again at new addresses: what was answered is not asked
    answered = [json.dumps(body) for running in (small, large) for body in running.answered]
    with endpoint() as new_small, endpoint() as new_large:
        write(tables(new_small.url, new_large.url))
        assert main(words) == 0
    for first, second, key, model in (
        (small, new_small, KEYS["SMALL_KEY"], "little-1"),
        (large, new_large, KEYS["LARGE_KEY"], "great-1"),
    ):
        assert first.keys | second.keys == {f"Bearer {key}"}
        assert {body["model"] for body in first.requests + second.requests} == {model}
    again = [json.dumps(body) for running in (new_small, new_large) for body in running.answered]
    assert again
    assert set(answered).isdisjoint(again)
    assert sent_twice(new_small) == sent_twice(new_large) == []
    assert contents(Path("sim_storage/it")) == contents(Path("sim_storage/whole"))
    assert (small.tokens + new_small.tokens, large.tokens + new_large.tokens) == tokens


def test_costs_are_told_by_backend_in_usage_show_and_report(
    elsewhere: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint() as small, endpoint() as large:
        write(tables(small.url, large.url))
        assert mixed("it", steps=1) == 0
    usd = {
        "openai:small": (small.prompt_tokens + 2 * small.completion_tokens) / 1e6,
        "openai:large": (100 * large.prompt_tokens + 400 * large.completion_tokens) / 1e6,
    }
    by_backend: Counter[str] = Counter()
    for question in (row for usage in usages("it") for row in usage.values()):
        parts = question["by_backend"]
        assert sum(part["usd"] for part in parts.values()) == pytest.approx(question["usd"])
        for label, part in parts.items():
            by_backend[label] += part["usd"]
    assert by_backend == pytest.approx(usd)
    shown = capsys.readouterr().out
    assert "What the backends cost" in shown
    assert main(["show", "it"]) == 0
    shown = capsys.readouterr().out
    rows = [row[2:] for row in backends_table(read([StepReader.open(Path("sim_storage/it"))])).rows]
    for label, running in (("openai:small", small), ("openai:large", large)):
        cost, requests = f"{usd[label]:,.4f}", f"{len(running.requests):,}"
        assert f"  {label}: {requests} requests, {running.tokens:,} tokens, ${cost}" in shown
        assert [label, requests, f"{running.tokens:,}", cost] in rows


def test_keys_and_addresses_are_in_no_file_log_or_message(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    def echoing(key: str) -> Fault:
        def fault(number: int, body: Body) -> web.Response | None:
            said = error(500, f"dear {key}") if number % 5 == 3 else error(401, f"wrong {key}")
            return said if number % 5 == 3 or number > 20 else None

        return fault

    small_fault, large_fault = map(echoing, KEYS.values())
    with endpoint(fault=small_fault) as small, endpoint(fault=large_fault) as large:
        file = write(tables(small.url, large.url))
        assert mixed("it") == 2
    assert (small.keys, large.keys) == ({f"Bearer {KEYS['SMALL_KEY']}"}, {f"Bearer {KEYS['LARGE_KEY']}"})
    file.unlink()
    shown = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in Path().rglob("*") if path.is_file()).decode()
    for key in KEYS.values():
        assert key not in shown.out + shown.err + written + caplog.text
    text = Path("sim_storage/it/manifest.json").read_text()
    assert not any(word in text for word in ("127.0.0.1", "_KEY", "prices"))
    manifest = json.loads(text)
    assert manifest["backend"] == {
        "backend": "openai", "endpoint": "small", "model": "little-1", "max_tokens": 4096, "temperature": 0.7,
        "top_p": 1.0, "frequency_penalty": 0.0, "presence_penalty": 0.0, "reads_prompts": True,
    }  # fmt: skip


# Going on


def test_a_run_whose_endpoints_are_not_configured_asks_nobody(
    elsewhere: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint() as small, endpoint() as large:
        write(tables(small.url, large.url))
        assert mixed("it", steps=1) == 0
        asked = len(small.requests), len(large.requests)
        capsys.readouterr()
        again = ["--backend", "openai:small"]
        write(tables(small.url, large.url).replace("endpoints.large", "endpoints.other"), name="one.toml")
        line = complaint(["resume", "it"], capsys)
        assert "'large', which is not configured: name a file with [endpoints.large] by --endpoints or" in line
        line = complaint(["resume", "it", "--endpoints", "one.toml"], capsys)
        assert "'large', which is not configured (known: small, other)" in line
        assert "'large', which" in complaint(["run", "--from", "it/step_1", "--endpoints", "one.toml", *again], capsys)
        assert "'small', which is not configured" in complaint(["fork", "it"], capsys)
        assert (len(small.requests), len(large.requests)) == asked
        others = [word for name in ON_LARGE for word in ("--backend-for", f"{name}=rules")]
        assert main(["resume", "it", "--steps", "1", "--endpoints", "one.toml", *others]) == 0
        assert len(large.requests) == asked[1]


def test_an_endpoint_that_has_changed_goes_on_in_a_fork_alone(
    elsewhere: Endpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    with endpoint() as small, endpoint() as large:
        write(tables(small.url, large.url))
        assert main(["run", "--backend", "openai:small", "--endpoints", "endpoints.toml", "-n", "2", "--steps", "1",
                     "--sim-name", "it"]) == 0  # fmt: skip
        write(tables(large.url, small.url).replace("little-1", "little-2"))
        capsys.readouterr()
        resume = ["resume", "it", "--steps", "1", "--endpoints", "endpoints.toml"]
        line = complaint(resume, capsys)
        assert "asked the endpoint 'small' with model='little-1', and [endpoints.small] has model='little-2'" in line
        assert "in a fork by --backend openai:small" in line
        assert large.requests == []
        assert main([*resume, "--backend", "openai:small"]) == 0
        assert "Fork: " in capsys.readouterr().err
        assert {body["model"] for body in large.requests} == {"little-2"}
        assert (
            main(["fork", "it", "--set", "backend=openai:small", "--endpoints", "endpoints.toml", "--sim-name", "f"])
            == 0
        )
        assert json.loads(Path("sim_storage/f/manifest.json").read_text())["backend"]["model"] == "little-2"


# What a table says


def test_settings_limits_and_form_of_requests_are_those_of_each_endpoint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LLM_TEMPERATURE", "1.5")
    with endpoint(0.02, fault=rejecting("json_schema", "frequency_penalty")) as small, endpoint(0.02) as large:
        extra = 'extra = { reasoning_effort = "low", provider = { order = ["a", "b"] } }\nconcurrency = 1'
        extra += "\nfrequency_penalty = 1"
        write(tables(small.url, large.url, extra, "max_tokens = 300\ntop_p = 0.5\nfrequency_penalty = 1.5"))
        assert mixed("it", steps=1) == 0
    assert small.most_at_once == 1 < large.most_at_once
    for body in small.requests:
        assert (body["temperature"], body["max_tokens"], body["top_p"]) == (0.7, 4096, 1.0)
        assert (body["reasoning_effort"], body["provider"]) == ("low", {"order": ["a", "b"]})
    assert {body["response_format"]["type"] for body in small.answered} == {"json_object"}
    assert not any("frequency_penalty" in body for body in small.answered)
    for body in large.requests:
        assert (body["temperature"], body["max_tokens"], body["top_p"]) == (0.0, 300, 0.5)
        assert body["response_format"]["type"] == "json_schema"
        assert "reasoning_effort" not in body
    capsys.readouterr()
    assert main(["show", "it"]) == 0
    assert "the endpoint did not take: frequency_penalty=1.0\n" in capsys.readouterr().out


def test_a_rate_holds_for_one_endpoint_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as small, endpoint() as large:
        monkeypatch.setenv("LLM_ENDPOINTS", str(write(tables(small.url, large.url, "requests_per_minute = 5"))))
        backends = dict.fromkeys(ON_LARGE, "openai:large")
        limits = Limits(minute=0.5)
        with RepuNetModel(backend="openai:small", backend_for=backends, n_agents=6, rng=1, limits=limits) as model:
            model.step()
    spans = {
        name: min(late - early for early, late in zip(times, times[5:], strict=False))
        for name, times in (("small", small.times), ("large", large.times))
    }
    assert spans["small"] >= 0.5 > spans["large"]


def test_several_addresses_share_the_requests_of_a_name_and_one_may_be_down() -> None:
    with endpoint(0.01) as one, endpoint(0.01) as two, endpoint(fault=lambda *_: error(503, "down")) as down:
        file = write(tables(one.url, two.url).replace(f'"{one.url}"', json.dumps([one.url, two.url, down.url])))
        run = ["run", "--backend", "openai:small", "--endpoints", str(file), "-n", "6", "--steps", "2"]
        assert main([*run, "--sim-name", "three"]) == 0
        assert len(one.requests) + len(two.requests) > 40
        assert abs(len(one.requests) - len(two.requests)) < 0.2 * len(two.requests)
        assert 0 < len(down.requests) < 20
        assert one.keys == two.keys == down.keys == {f"Bearer {KEYS['SMALL_KEY']}"}
        write(tables(one.url, two.url))
        assert main([*run, "--sim-name", "one"]) == 0
    assert contents(Path("sim_storage/three")) == contents(Path("sim_storage/one"))


def test_a_name_goes_before_a_model_and_other_names_are_models(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as small, endpoint() as large, endpoint() as unnamed:
        monkeypatch.setenv("LLM_API_BASE", unnamed.url)
        monkeypatch.setenv("LLM_ENDPOINTS", str(write(tables(small.url, large.url))))
        for backend in ("openai:small", "openai:little-1", "openai"):
            with RepuNetModel(backend=backend, n_agents=2, rng=1) as model:
                model.step()
    assert {body["model"] for body in small.requests} == {"little-1"}
    assert {body["model"] for body in unnamed.requests} == {"little-1", "gpt-4o-mini"}
    assert unnamed.keys == {"Bearer none"}


def test_one_budget_covers_all_endpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint() as small, endpoint() as large:
        monkeypatch.setenv(
            "LLM_ENDPOINTS", str(write(tables(small.url, large.url, "max_tokens = 100", "max_tokens = 100")))
        )
        backends = dict.fromkeys(ON_LARGE, "openai:large")
        limits = Limits(budget_usd=0.8)
        with (
            RepuNetModel(backend="openai:small", backend_for=backends, n_agents=6, rng=1, limits=limits) as model,
            pytest.raises(BudgetError, match=r"budget of \$0\.8"),
        ):
            model.step()
    usd = {label: usage.usd for label, usage in model.usage_by_backend.items()}
    assert usd["openai:small"] > 0
    assert usd["openai:large"] > 0
    assert sum(usd.values()) == pytest.approx(limits.purse.spent_usd)
    assert sum(usd.values()) <= 0.8


def test_a_mistyped_name_is_answered_with_those_of_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    write(tables("http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1"))
    assert main(["run", "--backend", "openai:lareg", "--endpoints", "endpoints.toml"]) == 2
    assert "openai:lareg: the file of endpoints has small, large, but no 'lareg'" in capsys.readouterr().err


def test_the_doctor_tries_a_named_endpoint(elsewhere: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    with endpoint() as small, endpoint(fault=lambda *_: error(401, "unknown key")) as large:
        words = ["doctor", "--endpoints", str(write(tables(small.url, large.url)))]
        assert main([*words, "--backend", "openai:small"]) == 0
        shown = capsys.readouterr().out
        assert "Usable." in shown
        assert "little-1" in shown
        assert "unknown" not in shown
        assert small.keys == {f"Bearer {KEYS['SMALL_KEY']}"}
        assert main([*words, "--backend", "openai:large"]) == 2
        assert "endpoints.large.key" in "".join(capsys.readouterr().out.split())


def test_an_estimate_needs_no_keys_and_knows_the_prices(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in KEYS:
        monkeypatch.delenv(name)
    file = write(tables("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1"))
    assert main(["estimate", *MIXED, "--endpoints", str(file), "-n", "6", "--steps", "1"]) == 0
    shown = capsys.readouterr().out
    assert "openai:small" in shown
    assert "openai:large" in shown
    assert "?" not in shown


# Files of jobs and sweeps


def test_files_of_jobs_and_sweeps_hold_endpoints(elsewhere: Endpoint, capsys: pytest.CaptureFixture[str]) -> None:
    with endpoint() as small, endpoint() as large:
        own = tables(small.url, large.url)
        jobs = write(own, '[defaults]\nn_agents = 2\nsteps = 1\n[[jobs]]\nsim_name = "a"\nbackend = "openai:small"',
                     '[[jobs]]\nsim_name = "b"\nbackend = "openai:large"', name="jobs.toml")  # fmt: skip
        assert main(["batch", str(jobs)]) == 0
        sweep = write('steps = 1\nname = "both"\n[grid]\nn_agents = 2\nbackend = ["openai:small", "openai:large"]', own,
                      name="sweep.toml")  # fmt: skip
        assert main(["sweep", str(sweep)]) == 0
        assert {body["model"] for body in small.requests} == {"little-1"}
        assert {body["model"] for body in large.requests} == {"great-1"}
        rows = list(csv.DictReader(Path("sim_storage/both/results.csv").read_text().splitlines()))
        assert {(row["backend.endpoint"], row["backend.model"]) for row in rows} == {
            ("small", "little-1"),
            ("large", "great-1"),
        }
        # the file of jobs serves to go on with a run of it, and a job may go on with a run
        assert main(["resume", "a", "--steps", "1", "--endpoints", str(jobs)]) == 0
        write(own, '[[jobs]]\nresume = "b"\nsteps = 2', name="more.toml")
        assert main(["batch", "more.toml"]) == 0
        # a name that means another model is another run
        jobs.write_text(jobs.read_text().replace("great-1", "great-2"))
        assert main(["batch", str(jobs)]) == 1
        assert "b is another run: its backend is" in " ".join(capsys.readouterr().err.split())


# What is refused


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('key = "sk-secret-0123456789"', "endpoints.a.key: must be the name of the environment variable"),
        ('key = "gsk_secret0123456789abcdef"', "endpoints.a.key: must be the name of the environment variable"),
        ('key = "AKIASECRET0123456789"', "endpoints.a.key: must be the name of the environment variable"),
        ('key = ["sk-secret"]', "endpoints.a.key: must be the name"),
        ('key = "UNSET_KEY"', "the endpoint 'a' needs its key: set the variable UNSET_KEY"),
        ('api_key = "sk-secret"', "endpoints.a.api_key: unknown; known are model, base_url, key"),
        ('base_url = "http://ann:secret@host/v1"', "endpoints.a.base_url: it holds a user or a password"),
        ('base_url = "127.0.0.1"', "endpoints.a.base_url: it must be a URL"),
        ("base_url = []", "endpoints.a.base_url: must be an address, or a list"),
        ('base_url = ["http://b/v1", "http://b/v1"]', "endpoints.a.base_url: an address is there twice"),
        ('base_url = "https://example.com/v1"', "the endpoint 'a' needs a key: name its variable as endpoints.a.key"),
        ("temperature = 3", "endpoints.a.temperature: is 3: must be from 0 to 2"),
        ('temperature = "hot"', "endpoints.a.temperature: Input should be a valid number"),
        ("max_tokens = 0", "endpoints.a.max_tokens: is 0: must be from 1"),
        ("timeout = 0", "endpoints.a.timeout: Input should be greater than 0"),
        ("concurrency = 0", "endpoints.a.concurrency: Input should be greater than or equal to 1"),
        ('reply_format = "xml"', "endpoints.a.reply_format: must be one of json_schema"),
        ("prices = { prompt = 1 }", "endpoints.a.prices.completion: is missing"),
        ("prices = { prompt = 1, output = 1 }", "endpoints.a.prices.completion: is missing"),
        ('extra = { api_key = "secret" }', "endpoints.a.extra: 'api_key' looks like a secret"),
        ('extra = { headers = { Authorization = "secret" } }', "'headers.Authorization' looks like a secret"),
        ('extra = { provider = { accessToken = "secret" } }', "'provider.accessToken' looks like a secret"),
        ('extra = { user = "Bearer secret" }', "'user' holds what looks like a key"),
        ("extra = { temperature = 1 }", "'temperature' is set by every request: leave it out"),
        ("extra = { stream = true }", "'stream' is set by every request: leave it out (replies are read whole)"),
        ("extra = { at = 2026-01-01 }", "JSON has no such value"),
        ("extra = 3", "endpoints.a.extra: must be a table"),
        ('model = "m@http://host/v1"', "endpoints.a.model: must be the name of a model alone"),
    ],
)
def test_a_table_that_cannot_be_used_is_one_clear_line(
    line: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"base_url": '"http://127.0.0.1:1/v1"', "model": '"m"'}
    name, _, value = line.partition(" = ")
    write("[endpoints.a]", *(f"{key} = {each}" for key, each in {**given, name: value}.items()))
    said = complaint(["run", "--backend", "openai:a", "--endpoints", "endpoints.toml"], capsys)
    assert problem in said
    if problem.startswith("endpoints."):
        assert said.startswith("error: endpoints.toml: ")
    assert "secret" not in said.replace("looks like a secret", "").lower()
    assert not Path("sim_storage").exists()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no table [endpoints.NAME]"),
        ("[endpoint.a]\nmodel = 'm'", "endpoint: unknown; write a table [endpoints.NAME]"),
        ("endpoints = 3", "endpoints: write a table [endpoints.NAME]"),
        ("[endpoints.'a b']\nmodel = 'm'", "the name 'a b' must have letters"),
        ("[endpoints.a]", "endpoints.a.model: is missing"),
        ("[endpoints.a", "is no TOML"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_of_endpoints_that_is_none_is_one_clear_line(
    text: str | None, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        write(text)
    assert problem in complaint(["run", "--endpoints", "endpoints.toml"], capsys)


def test_an_address_in_the_name_of_a_model_is_refused_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("openai:http://host/v1", "openai:m@http://host"):
        line = complaint(["run", "--backend", name], capsys)
        assert "holds an address: set it as LLM_API_BASE" in line
        assert "--endpoints" in line


# LLM_EXTRA


def test_further_fields_without_a_file_are_sent_and_stored(
    local_endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}}
    monkeypatch.setenv("LLM_EXTRA", json.dumps(fields))
    run = ["run", "--backend", "openai", "-n", "2", "--steps", "1", "--sim-name", "it"]
    assert main(run) == 0
    assert json.loads(Path("sim_storage/it/manifest.json").read_text())["backend"]["extra"] == fields
    monkeypatch.setenv("LLM_EXTRA", '{"service_tier": "flex"}')
    assert main(["resume", "it", "--steps", "1"]) == 0  # a run keeps its own, as it keeps its model
    assert all(body[name] == value for body in local_endpoint.requests for name, value in fields.items())
    assert not any("service_tier" in body for body in local_endpoint.requests)
    shared = runs_section(read([StepReader.open(Path("sim_storage/it"))])).tables[1]
    assert "backend.extra.chat_template_kwargs" in [row[0] for row in shared.rows]
    capsys.readouterr()
    for text, problem in (
        ("low", "must be a JSON object, such as"),
        ("[1]", "must be a JSON object"),
        ('{"api_key": "abc-secret"}', "'api_key' looks like a secret"),
        ('{"a": NaN}', "JSON has no such value"),
        ('{"messages": []}', "'messages' is set by every request"),
    ):
        monkeypatch.setenv("LLM_EXTRA", text)
        line = complaint(run, capsys)
        assert line.startswith("error: LLM_EXTRA: ")
        assert problem in line
        assert "abc" not in line


def test_names_are_found_in_the_environment_that_is_given() -> None:
    file = str(write(tables("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1")))
    who = respondents("openai:small", {"a": "openai:large"}, {"LLM_ENDPOINTS": file, **KEYS})
    assert [backend.description["model"] for backend in who.distinct()] == ["little-1", "great-1"]
    with pytest.raises(ConfigurationError, match="set the variable LARGE_KEY"):
        respondents("openai:large", None, {"LLM_ENDPOINTS": file, "SMALL_KEY": "k"})
