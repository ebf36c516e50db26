"""Check of a prompt set: every question of every game, mode and mechanism is rendered and read.

Small societies of talkative offline agents ask every question in all its forms, alone and in compound calls, and one
request of each form is rendered. Problems are gaps (what cannot be rendered or does not list its options), leaks (words
of a mechanism that is off), variables of `neutral` that a template of the set does not read, and files that nothing
reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from functools import cache
from itertools import groupby, product
from typing import Any

from repunet_model import games
from repunet_model.backends.base import Request
from repunet_model.backends.mind import Rules
from repunet_model.backends.rules import RulesBackend
from repunet_model.config import FULL, MODES, Questions, RunConfig, mode_of
from repunet_model.errors import ConfigurationError, RepuNetError
from repunet_model.games import GAMES
from repunet_model.mechanism import SETS, Institution, Mechanism
from repunet_model.memory import Event
from repunet_model.model import RepuNetModel
from repunet_model.questions.base import Answer, Credibility, Opinion, Question
from repunet_model.questions.compound import Compound
from repunet_model.questions.encounter import Hearsay, News
from repunet_model.questions.interview import Interview
from repunet_model.questions.prompt_sets import (
    NEUTRAL,
    PromptSet,
    of_packaged,
    packaged,
    parts_of,
    problems,
    variables_of,
)
from repunet_model.questions.prompts import Prompts
from repunet_model.reputation import Level, ReputationRecord

_TALKATIVE = Rules(gossip_threshold=0.0, social_precision=1.0)
"""Rules with which every question is asked within a few steps."""

_STEPS, _AGENTS, _TURNS = 7, 8, 6
"""Steps and agents of each society, and turns of its dialogues: every question is asked, after public news too."""

WORDS = {
    "reputation": re.compile(r"reput|opinion|think well of|in your eyes", re.IGNORECASE),
    "gossip": re.compile(
        r"gossip|listener|pass it on|told you\b|hear about|talk about .* with somebody", re.IGNORECASE
    ),
    "public": re.compile(r"image score|public score|public board|\bthe board\b", re.IGNORECASE),
}
"""The English words by which a mechanism is found in a prompt; "public" is a public institution."""

_INSTITUTIONS = [f"paper,institution={each}" for each in Institution if each is not Institution.PRIVATE]

_UNFILLED = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|\bNone\b|[Uu]ndefined|Opinion\(|Record\(|<[A-Za-z]+\.|\bDecimal\(")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question in one form, and the run in which it was asked."""

    request: Request[Any]
    config: RunConfig

    @property
    def mechanisms(self) -> dict[str, bool]:
        """Which mechanisms were on."""
        return _mechanisms(games.find(self.config.game).mechanism(self.config))

    def under(self, prompts: Prompts) -> Asked:
        """Return the same question with other prompts."""
        return replace(self, request=replace(self.request, prompts=prompts))

    def __str__(self) -> str:
        """Return the place of the question."""
        mode = mode_of(self.config.reputation, self.config.gossip)
        return f"{self.config.game}, {mode}, {self.config.mechanism}, {self.config.questions}"


def _mechanisms(acting: Mechanism) -> dict[str, bool]:
    """Return which mechanisms are on, by the switches as they act."""
    return {
        "reputation": acting.self_records or acting.peer_records,
        "gossip": acting.first_order,
        "public": acting.institution.is_public,
    }


class _Listening(RulesBackend):
    """The rules, with one request of each form kept."""

    def __init__(self) -> None:
        super().__init__(_TALKATIVE)
        self.forms: dict[Any, Request[Any]] = {}

    async def answer[A: Answer](self, request: Request[A]) -> A:
        self.forms.setdefault(_form(request.question), request)
        return await super().answer(request)


def _form(value: Any) -> Any:
    """Return what decides which parts of a template are rendered: types, truth, and what is there and what not."""
    if isinstance(value, Compound):
        asks = value.asks[:8]  # News come in any number, all alike.
        return (
            type(value),
            _form(asks[0].question),
            tuple((ask.part, bool(ask.condition)) for ask in asks),
        )
    if isinstance(value, Question | Opinion | Hearsay | News):
        return type(value), tuple(_form(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, tuple):
        return tuple({_form(each): None for each in value[:3]})
    return value if isinstance(value, bool) else value is None or value == ""


def _society(chosen: PromptSet, config: RunConfig) -> Iterator[Asked]:
    """Yield one request of each form from a society with a set; raise RepuNetError if a text cannot be rendered."""
    backend = _Listening()
    with RepuNetModel(
        game=config.game,
        reputation=config.reputation,
        gossip=config.gossip,
        mechanism=config.mechanism,
        questions=config.questions,
        prompts=chosen,
        backend=backend,
        n_agents=_AGENTS,
        dialogue_turns=_TURNS,
        rng=1,
    ) as model:
        for _ in range(_STEPS):
            model.step()
    yield from (Asked(request, config) for request in backend.forms.values())


@cache
def _asked(games_known: tuple[str, ...]) -> tuple[Asked, ...]:
    """Return one request of each form, of every game, mode, mechanism, institution and way of asking."""
    found: dict[Any, Asked] = {}
    in_modes = product(MODES.values(), SETS.values(), Questions)
    in_full = [
        (MODES[FULL], mechanism, way)
        for mechanism, way in product(map(Mechanism.read, _INSTITUTIONS), Questions)
        if way is Questions.SINGLE or mechanism.institution is Institution.BOARD  # It has a question of its own.
    ]
    for game, (on, mechanism, way) in product(games_known, [*in_modes, *in_full]):
        config = RunConfig(game=game, reputation=on.reputation, gossip=on.gossip, mechanism=mechanism, questions=way)
        for asked in _society(of_packaged(), config):
            found.setdefault((game, on, mechanism), replace(asked, request=_interview(asked)))
            found.setdefault((game, on, _form(asked.request.question)), asked)
    return tuple(found.values())


def examples(chosen: PromptSet, config: RunConfig) -> dict[str, Request[Any]]:
    """Return one request of every question that a small society asks, by the question's name.

    Of the forms of a question it is the one with the longest prompt. The society has the game, the mode, the mechanism
    and the way of asking of `config`; persons, records and memories are invented.

    Raises:
        ConfigurationError: If a text cannot be rendered.
    """
    longest: dict[str, Request[Any]] = {}
    for asked in _society(chosen, config):
        request, name = asked.request, asked.request.question.name
        if name not in longest or len(request.prompt) > len(longest[name].prompt):
            longest[name] = request
    return longest


def _interview(asked: Asked) -> Request[Any]:
    """Return the interview of an agent that has met one other, told by whoever is asked."""
    game, config = games.find(asked.config.game), asked.config
    name, (_, role) = asked.request.persona.name, game.roles
    record = ReputationRecord.from_level(name, role, "Fair.", Level.GOOD, 0.5)
    told = Hearsay("Ann", "Bob was late.", positive=False, credibility=Credibility.CREDIBLE)
    question = Interview(
        asked="How are you?",
        step=1,
        resources=Decimal(10),
        records=(record, replace(record, subject="Bob")) if asked.mechanisms["reputation"] else (),
        events=(Event(1, "Bob", role, True, None, 1.0, "You met Bob."),),
        heard=(("Bob", told),) if config.gossip else (),
        tied_to=(("Ann", (role,)),),
        avoids=(("Bob", role),),
    )
    return replace(asked.request, question=question)


def _rules(chosen: PromptSet) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with the rules of each game and mode, and with each switch of the mechanism turned."""
    turned = [
        Mechanism.read({name: not described.default})
        for name, described in Mechanism.model_fields.items()
        if described.annotation is bool
    ]
    in_modes = product(MODES.values(), [*SETS.values(), *turned])
    public = product([each for each in MODES.values() if each.reputation], map(Mechanism.read, _INSTITUTIONS))
    for game, (on, mechanism) in product(GAMES.values(), [*in_modes, *public]):
        config = RunConfig(game=game.name, reputation=on.reputation, gossip=on.gossip, mechanism=mechanism)
        acting, where = game.mechanism(config), f"{game.name}, {mode_of(*on)}, {config.mechanism}"
        mechanisms = _mechanisms(acting)
        try:
            text = game.prompts(config, chosen).system
        except ConfigurationError as error:
            yield str(error).removeprefix("prompts "), where
            continue
        yield from ((problem, where) for problem in _wrong_rules(text, mechanisms, chosen))


def check(chosen: PromptSet) -> list[str]:
    """Return the problems of a prompt set, a line a problem; none if it can be used everywhere."""
    found = problems(chosen)
    if found:
        return found  # What cannot be read cannot be rendered.
    told = dict.fromkeys(_unused(chosen), "")
    try:
        for game in GAMES:  # The accounts of encounters and the news, which later questions show.
            for asked in _society(chosen, RunConfig(game=game)):
                for problem in wrong_with(asked, chosen):
                    told.setdefault(problem, str(asked))
        for config, forms in groupby(_asked(tuple(GAMES)), key=lambda asked: asked.config):
            prompts = games.find(config.game).prompts(config, chosen)
            for asked in forms:
                for problem in wrong_with(asked.under(prompts), chosen):
                    told.setdefault(problem, str(asked))
        for problem, where in _rules(chosen):
            told.setdefault(problem, where)
    except RepuNetError as error:
        told[str(error).removeprefix("prompts ")] = ""
    return [f"{problem} ({where})" if where else problem for problem, where in told.items()]


def wrong_with(asked: Asked, chosen: PromptSet) -> Iterator[str]:
    """Yield what is wrong with the prompt of a request."""
    request, name = asked.request, asked.request.question.name
    try:
        prompt = request.prompt
    except ConfigurationError as error:
        yield str(error).removeprefix("prompts ")
        return
    question = f"{chosen.name}: question {name}"
    yield from _wrong_words(question, prompt, asked.mechanisms, chosen)
    for field, options in request.shown.items():
        if not re.search(".*".join(map(re.escape, options)), prompt, re.DOTALL):
            yield f"{question}: does not list the options of {field} in their order"


def _wrong_rules(text: str, mechanisms: Mapping[str, bool], chosen: PromptSet) -> Iterator[str]:
    rules = f"{chosen.name}: the rules"
    yield from _wrong_words(rules, text, mechanisms, chosen)
    for mechanism, is_on in mechanisms.items():
        if is_on and not said_of(chosen, mechanism, text):
            yield f"{rules}: do not speak of {mechanism} where there is some"


def _wrong_words(what: str, text: str, mechanisms: Mapping[str, bool], chosen: PromptSet) -> Iterator[str]:
    """Yield what was not filled in a text, and words of mechanisms that are off."""
    if match := _UNFILLED.search(text):
        yield f"{what}: has {match.group()!r}, which was to be filled"
    for mechanism, is_on in mechanisms.items():
        if not is_on and (leaked := said_of(chosen, mechanism, text)):
            yield f"{what}: speaks of {mechanism} where there is none: {leaked!r}"


def said_of(chosen: PromptSet, mechanism: str, text: str) -> str:
    """Return the first word of a text that speaks of a mechanism; empty without any."""
    own = chosen.words.get(mechanism)
    match = WORDS[mechanism].search(text) or (re.search(own, text, re.IGNORECASE) if own else None)
    return "" if match is None else match.group()


def _unused(chosen: PromptSet) -> Iterator[str]:
    """Yield the variables that a template of the set does not read, though the one of `neutral` does.

    What an included template leaves out is told of that one alone.
    """
    before, after = packaged(NEUTRAL).templates, chosen.templates
    changed = {name for layer in chosen.layers for name in layer.templates if name in before}
    missing = {name: _read_by(name, before) - _read_by(name, after) for name in changed}
    for name in sorted(changed):
        told = frozenset[str]().union(*(missing.get(part, frozenset()) for part in _closure(name, after) - {name}))
        for variable in sorted(missing[name] - told):
            yield f"{chosen.name}: {name}: does not read {variable!r}, which {NEUTRAL} shows"


def _closure(name: str, templates: Mapping[str, str]) -> set[str]:
    """Return the names of a template and all that it includes."""
    found, left = set[str](), [name]
    while left:
        here = left.pop()
        if here not in found:
            found.add(here)
            left += parts_of(templates[here])
    return found


def _read_by(name: str, templates: Mapping[str, str]) -> frozenset[str]:
    """Return the names that a template and those that it includes read."""
    return frozenset[str]().union(*(variables_of(templates[each]) for each in _closure(name, templates)))
