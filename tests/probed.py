"""Scripted models for the tests of `probe`: they read the prompt, as a model would, and answer by a rule."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from random import Random
from typing import Any

from aiohttp import web

from repunet_model.testing import Body, completion, random_reply

Script = Callable[[str, dict[str, Any]], dict[str, Any]]
"""Returns the reply to a prompt and the properties of its schema."""

LEVELS = ["very bad", "bad", "neutral", "good", "very good"]
SCORES = {level: (place - 2) / 2 for place, level in enumerate(LEVELS)}


def model(script: Script) -> Callable[[int, Body], web.Response]:
    """Return a scripted model as the fault of `repunet_model.testing.endpoint`, which answers every request."""

    def answer(number: int, body: Body) -> web.Response:
        prompt = "\n".join(message["content"] for message in body["messages"])
        schema = body["response_format"]["json_schema"]["schema"]
        return completion(json.dumps(_by(script, prompt, schema)), prompt_tokens=len(prompt) // 4, completion_tokens=20)

    return answer


def _by(script: Script, prompt: str, schema: dict[str, Any]) -> dict[str, Any]:
    fields = {name: field.get("anyOf", [field])[0] for name, field in schema["properties"].items()}
    if all(field.get("type") == "object" for field in fields.values()):
        return {name: _by(script, prompt, field) for name, field in fields.items()}
    return {**_filled(schema), **script(prompt, fields)}


def _filled(schema: dict[str, Any]) -> dict[str, Any]:
    return random_reply(schema, Random(1))


def shown_score(prompt: str) -> float | None:
    """Return the score of the last record that a prompt shows; None if it shows none."""
    found = re.findall(r"Overall \w+ \(([+-][\d.]+)\)", prompt)
    return float(found[-1]) if found else None


def is_altruist(prompt: str) -> bool:
    return any(mark in prompt for mark in ("warm-hearted", "see people prosper", "care for your town"))


def expert(prompt: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Answer by the rules of understanding."""
    score = shown_score(prompt)
    if "answer" in fields:
        return {"answer": _quiz(prompt, fields["answer"].get("enum", []))}
    if "own" in fields:
        return {"own": "neutral", "partner": "good" if _partner_was_good(prompt) else "bad"}
    if "level" in fields:
        good = "conduct just now as very good" in prompt or (
            "conduct just now" not in prompt and _partner_was_good(prompt)
        )
        return {"level": "very good" if good else "very bad", "certainty": 60}
    if "credibility" in fields:
        return {"credibility": "credible" if (score or 0.0) > 0 else "uncredible"}
    options = fields["decision"]["enum"]
    yes = next(each for each in options if each in {"cooperate", "accept", "talk", "give", "connect", "keep the tie"})
    no = next(each for each in options if each != yes)
    if {yes, no} & {"connect", "keep the tie"}:
        takes = (score or 0.0) > 0
    else:
        takes = (score or 0.0) >= (-0.5 if is_altruist(prompt) else 1.0)
    return {"decision": yes if takes else no, **({"amount": 5.0 if takes else 0.0} if "amount" in fields else {})}


def _partner_was_good(prompt: str) -> bool:
    return not re.search(
        r"You \w+, [\w ]+ defected|gave you nothing|did not sign up\. You talked|: 0\.00 for you", prompt
    )


def _quiz(prompt: str, options: list[str]) -> Any:
    asked = prompt[prompt.rindex("About the rules") :]
    if found := re.search(r"you choose: (\w+)\. Your partner chooses: (\w+)\. How much (do you|does your)", asked):
        own, other, whose = found.groups()
        pair = (own, other) if whose == "do you" else (other, own)
        points = {"cooperate cooperate": 3, "defect defect": 1, "defect cooperate": 5, "cooperate defect": 0}
        return points[" ".join(pair)]
    if found := re.search(r"hands over (\d+) units", asked):
        return int(found[1]) * (1 if "50 %" in asked else 2)
    right = {
        "give. How many points does the recipient": 5,
        "give. How many points does the donor": -1,
        "keep. How many points": 0,
        "in three rounds": 3,
        "anything is given": "the donor",
        "recipient decide": "no",
        "be a recipient": "yes",
        "whether any units": "the investor",
        "how the proceeds": "the trustee",
        "forced to give": "no",
        "be false": "yes",
        "cost a household": "no",
        "Must every": "no",
        "warmer hours": "yes",
        "risk of outages": "it falls",
        "turn the cooling": "the power company",
        "Do others learn": "yes",
        "profit if others": "yes",
        "keep full control": "no",
    }
    answer = next(each for mark, each in right.items() if mark in asked)
    assert not options or answer in options
    return answer


def first_option(prompt: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Take what is listed first, and otherwise answer like the expert."""
    return {**expert(prompt, fields), **{name: each["enum"][0] for name, each in fields.items() if "enum" in each}}


def random_judge(prompt: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Judge conduct at random, and otherwise answer like the expert."""
    answer = expert(prompt, fields)
    return {**answer, "partner": Random(prompt).choice(LEVELS)} if "partner" in fields else answer


def without_records(prompt: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Answer like the expert to whom all records are hidden."""
    return expert(re.sub(r"Overall \w+ \([+-][\d.]+\)", "", prompt), fields)
