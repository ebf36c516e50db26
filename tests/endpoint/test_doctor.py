"""The command that tries an endpoint: what it finds, in how many requests, and what it advises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web

from repunet_model.backends import doctor
from repunet_model.cli import main
from repunet_model.testing import Body, Endpoint, Fault, Hang, completion, endpoint, error, page, rejecting, uncounted


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def table(shown: str) -> dict[str, list[str]]:
    """Return the rows of the table by what they are about: the mark, what was found, and the remedy."""
    rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in shown.splitlines()]
    return {row[1]: [row[0], *row[2:]] for row in rows if row[:1] in (["yes"], ["no"], ["!"])}


Tried = Callable[..., tuple[int, Endpoint, str]]


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tried:
    """Try an endpoint; return the exit code, the endpoint and what was shown."""

    def tried(fault: Fault | None = None, *words: str) -> tuple[int, Endpoint, str]:
        with endpoint(fault=fault) as running:
            monkeypatch.setenv("LLM_API_BASE", running.url)
            code = main(["doctor", *words])
        return code, running, capsys.readouterr().out

    return tried


def beyond(message: str) -> Fault:
    """Reject replies of more tokens than any model gives, with a message."""

    def fault(number: int, body: Body) -> web.Response | None:
        tokens = int(body["max_tokens"])
        return error(400, message, param="max_tokens") if tokens > 1_000_000 else None

    return fault


def test_an_endpoint_that_can_all_is_tried_in_three_small_calls(tried: Tried) -> None:
    code, running, shown = tried(beyond("This model's maximum context length is 8,192 tokens. However, you requested"))
    rows = table(shown)
    assert code == 0
    assert len(running.requests) == 3
    assert {row[0] for row in rows.values()} == {"yes"}
    assert list(rows) == [
        *("reached", "key", "model", "reply format", "parameters", "usage", "latency", "dollars a call", "context")
    ]
    assert rows["model"][1] == "gpt-4o-mini"
    assert rows["reply format"][1] == "json_schema"
    assert rows["context"][1] == "8,192 tokens"
    assert rows["dollars a call"][1].startswith("$0.0000")
    assert sum(len(message["content"]) for message in running.requests[0]["messages"]) < 600
    assert shown.splitlines()[-1].startswith("Usable. Requests tried: 3; ")


def test_what_an_endpoint_does_not_take_is_found_in_five_requests(
    tried: Tried, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLM_TEMPERATURE", "0.3")
    code, running, shown = tried(rejecting("json_schema", "seed", "temperature"))
    rows = table(shown)
    assert code == 0
    assert len(running.requests) == 5
    assert rows["reply format"] == ["yes", "json_object"]
    assert rows["parameters"] == [
        *("!", "taken, but without seed, without temperature"),
        "runs are not asked with temperature=0.3, and say so",
    ]


def test_an_endpoint_that_takes_hardly_anything_is_usable(tried: Tried) -> None:
    names = ("json_schema", "json_object", "max_tokens", "seed", "temperature", "top_p")
    code, running, shown = tried(rejecting(*names))
    assert code == 0
    assert len(running.requests) == len(names) + 1
    assert table(shown)["reply format"][1] == "text"


def test_what_is_not_counted_or_told_or_priced_is_advised_on(tried: Tried) -> None:
    code, _, shown = tried(lambda number, body: uncounted(body), "--backend", "openai:unheard-of")
    rows = table(shown)
    assert code == 0
    assert rows["usage"] == ["!", "not counted", "budgets assume the longest reply: lower LLM_MAX_TOKENS"]
    assert rows["context"][:2] == ["!", "not told"]
    assert rows["dollars a call"][1:] == [
        *("unknown", "its price is not in the packaged prices: name a file by --prices"),
    ]


def test_a_reply_that_does_not_fit_is_asked_for_again_as_in_a_run(tried: Tried) -> None:
    code, running, shown = tried(lambda number, body: completion("no") if number == 0 else None)
    assert code == 0
    assert [len(body["messages"]) for body in running.requests] == [2, 4, 2, 2]
    assert table(shown)["reply format"][1] == "json_schema; did not fit at first: 1"


@pytest.mark.parametrize(
    ("response", "row", "words", "requests"),
    [
        (lambda: error(401, "Incorrect API key"), "key", "set OPENAI_API_KEY", 1),
        (lambda: error(404, "no such model"), "model", "set LLM_MODEL", 1),
        (lambda: error(429, "no money", code="insufficient_quota"), "quota", "the account's limits", 1),
        (lambda: error(429, "Try again in 40 s"), "quota", "wait", 1),
        (lambda: error(400, "tokens exceed the context size"), "request", "LLM_MAX_TOKENS=4096: lower that", 1),
        (lambda: page(), "replies", "correct LLM_API_BASE", 1),
        (lambda: completion("I would share."), "reply format", "try LLM_REPLY_FORMAT=json_object", 5),
        (lambda: completion("", finish_reason="length"), "replies", "set LLM_MOST_TOKENS", 2),
    ],
)
def test_what_makes_an_endpoint_unusable_has_a_remedy(
    response: Callable[[], web.Response], row: str, words: str, requests: int, tried: Tried
) -> None:
    code, running, shown = tried(lambda number, body: response())
    rows = table(shown)
    assert code == 2
    assert len(running.requests) == requests
    assert list(rows) == ["reached", row]
    assert rows[row][0] == "no"
    assert words in " ".join(rows[row])
    assert shown.splitlines()[-1].startswith(f"Not usable. Requests tried: {requests}; ")


def test_an_endpoint_that_is_not_there_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "PAUSE", 0.01)
    monkeypatch.setenv("LLM_API_BASE", "http://127.0.0.1:9/v1")
    assert main(["doctor"]) == 2
    rows = table(capsys.readouterr().out)
    assert rows["reached"][0] == "no"
    assert rows["reached"][2] == "start the server, or correct LLM_API_BASE"


def test_an_endpoint_that_does_not_answer_in_time_is_given_up(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    tried()  # from now on, the sender is there
    monkeypatch.setattr(doctor, "SECONDS", 2.0)
    code, running, shown = tried(lambda number, body: Hang(30.0))
    assert code == 2
    assert len(running.requests) == 1
    assert list(table(shown)) == ["time"]
    assert "no reply to the last call within 2 s in all" in table(shown)["time"][1]


def test_what_was_found_out_before_the_time_was_over_is_shown(tried: Tried, monkeypatch: pytest.MonkeyPatch) -> None:
    tried()  # from now on, the sender is there
    monkeypatch.setattr(doctor, "SECONDS", 4.0)
    code, running, shown = tried(lambda number, body: Hang(30.0) if number else None)
    rows = table(shown)
    assert code == 0
    assert len(running.requests) == 2
    assert rows["reply format"] == ["yes", "json_schema"]
    assert rows["time"][0] == "!"


def test_a_named_endpoint_is_tried_with_its_key_model_and_price(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "endpoints.toml"
    monkeypatch.setenv("SMALL_API_KEY", "sk-small")
    is_ill = False
    with endpoint(fault=lambda number, body: error(404, "no such model") if is_ill else None) as running:
        prices = "{ prompt = 1000.0, completion = 1000.0 }"
        file.write_text(
            f'[endpoints.small]\nbase_url = "{running.url}"\nkey = "SMALL_API_KEY"\nmodel = "tiny"\nprices = {prices}\n'
        )
        words = ["doctor", "--backend", "openai:small", "--endpoints", str(file)]
        assert main(words) == 0
        rows = table(capsys.readouterr().out)
        is_ill = True
        assert main(words) == 2
        faulty = table(capsys.readouterr().out)
        run = ["run", "-n", "2", *words[1:], "--storage", str(tmp_path / "storage")]
        assert main(run) == 2
    assert running.keys == {"Bearer sk-small"}
    assert rows["model"][1] == "tiny"
    assert rows["dollars a call"][1].startswith("$0.05")
    assert (
        faulty["model"][2] == "set endpoints.small.model to a model that it serves, or correct endpoints.small.base_url"
    )
    assert (
        "; to try the endpoint: repunet doctor --backend openai:small --endpoints FILE, where FILE has "
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("backend", ["rules", "always_defect", "human"])
def test_a_backend_without_an_endpoint_is_not_tried(backend: str, tried: Tried) -> None:
    code, running, shown = tried(None, "--backend", backend)
    assert (code, running.requests) == (0, [])
    assert shown == f"The backend '{backend}' asks no endpoint: there is nothing to try.\n"


def test_a_key_that_is_missing_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 2
    assert "error: OPENAI_API_KEY is not set" in capsys.readouterr().err


@pytest.mark.parametrize("response", [lambda: error(401, "no"), lambda: completion("no"), page])
def test_what_a_run_says_of_an_endpoint_points_to_the_doctor_once(
    response: Callable[[], web.Response], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with endpoint(fault=lambda number, body: response()) as running:
        monkeypatch.setenv("LLM_API_BASE", running.url)
        run = ["run", "-n", "2", "--backend", "openai:small", "--storage", str(tmp_path), "--sim-name", "it"]
        assert main(run) == 2
        line = capsys.readouterr().err
        assert line.count("to try the endpoint: repunet doctor --backend openai:small; the run is whole") == 1
        assert main([*run[:-1], "poor", "--budget-tokens", "1"]) == 2
    assert "doctor" not in capsys.readouterr().err
