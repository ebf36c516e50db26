"""RepuNet as a Mesa model: agents on a directed graph who play, judge, gossip and rewire.

Siyue Ren, Wanli Fu, Xinkun Zou, Chen Shen, Yi Cai, Chen Chu, Zhen Wang, Shuyue Hu: "Reputation as a Solution to
Cooperation Collapse in LLM-based MASs", AAMAS 2026, arXiv 2505.05029.

In each step pairs meet and play a game, judge each other, update the reputations they hold, reconsider their ties,
and gossip. A step is whole or absent: if it fails, the model is as it was before, and the step can be tried again.
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, SupportsIndex

import mesa
import networkx as nx

from repunet_model import config, extensions, games, measures, stages
from repunet_model.agents import RepuNetAgent
from repunet_model.backends import policies
from repunet_model.backends.base import Backend, Usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.replay import ReplayBackend
from repunet_model.backends.sender.client import close_mailbox
from repunet_model.backends.setup import Respondents, recorded, respondents
from repunet_model.backends.wrappers import service
from repunet_model.config import BUILT_IN, Questions, RunConfig, draw_seed
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.memory import Event
from repunet_model.network import SocialNetwork
from repunet_model.personas import GIVEN, Persona, Population, describe, population
from repunet_model.questions.prompts import Prompts, prompt_hash
from repunet_model.reputation import Standings
from repunet_model.rng import Streams
from repunet_model.stages.step import in_order, run_step
from repunet_model.stages.world import Desk, World
from repunet_model.stepping import SteppedModel
from repunet_model.storage import Manifest, RunFolder, Step, StepReader, understood
from repunet_model.storage.recorder import Recorder
from repunet_model.storage.schema import GOSSIP, INTERACTIONS, TIES, Notice, State, StepLog
from repunet_model.util import event_loop

Watcher = Callable[[Step], None]
"""Told of each step that is done."""

EXPORTED_TABLES = (INTERACTIONS, GOSSIP)
"""The tables of the DataCollector."""


class RepuNetModel(SteppedModel):
    """A society of agents that play a social dilemma.

    Attributes:
        config: The parameters of the run; with the replies they determine everything.
        population: The name of the population.
        network: Ties and blacklists.
        scores: Each known agent's mean score over all records held of it, averaged over its roles.
        measures: The measures of the last step: the game's rates, those of `measures.MEASURES`, and those registered.
        usage: What the run has cost since this object was made.
        usage_by_question: The same by the name of the question.
        step_usage: What the last step cost.
        calls: Questions answered since this object was made, those of a step under way included.
        datacollector: Measures by step, agents by step, and the tables `interactions` and `gossip`.
        limits: What requests to endpoints may not exceed.
        watchers: Told of each step once it is done, on the thread of the event loop.
    """

    def __init__(
        self,
        game: str = "prisoners_dilemma",
        reputation: bool = True,
        gossip: bool = True,
        n_agents: int | None = None,
        personas: str | Sequence[Persona] | Population = BUILT_IN,
        backend: str | Backend = "rules",
        backend_for: Mapping[str, str | Backend] | None = None,
        activation: str = "simultaneous",
        dialogue_turns: int = 2,
        questions: str = "single",
        label: str = "",
        limits: Limits | None = None,
        rng: int | str | None = None,
        storage: str | Path | None = None,
        run_name: str | None = None,
    ) -> None:
        """Make a society as it is before its first step.

        Args:
            game: "prisoners_dilemma", "investment", "sign_up", or a game registered with `games.register`.
            reputation: Whether agents keep reputations.
            gossip: Whether agents gossip.
            n_agents: How many agents; None for as many as the persona set has (20 built in).
            personas: "built-in", the path of a persona file, the personas themselves, or a population with a name.
            backend: Who answers for the agents: "rules" (offline, free), "openai" (configured by OPENAI_API_KEY and
                the LLM_* variables), another name of `backends.setup`, or a backend object.
            backend_for: Who answers for single agents instead, by their names.
            activation: "simultaneous" (all pairs meet, then all gossip) or "sequential" (pair after pair).
            dialogue_turns: Most turns of a dialogue, 2 to 10; the gossiper has the first, the listener the last.
            questions: "single" (one question a call, as in the paper) or "fused" (what an agent answers one after
                another from the same view is one call).
            label: A label that keeps the run apart in tables and reports.
            limits: What requests to endpoints may not exceed (concurrency, rates, budget); models that share one
                keep it together. None for 32 requests under way at once. Limits do not change results.
            rng: The seed of the run, an integer; None draws one.
            storage: The folder in which to store the run, each step as it is done; None stores nothing.
            run_name: The name of the run in the storage; None derives one from the parameters.

        Raises:
            RepuNetError: If a parameter cannot be used; nothing is written then.
        """
        config = RunConfig.checked(
            {
                "game": game,
                "reputation": reputation,
                "gossip": gossip,
                "n_agents": n_agents,
                "personas": GIVEN if isinstance(personas, list | tuple | Population) else personas,
                "backend": backend if isinstance(backend, str) else GIVEN,
                "backend_for": _names(backend_for),
                "activation": activation,
                "dialogue_turns": dialogue_turns,
                "questions": questions,
                "seed": draw_seed() if rng is None or rng == "" else rng,
                "label": label,
            }
        )
        super().__init__(rng=abs(config.seed))
        self.config = config
        self._game = games.find(config.game)
        chosen = population(personas, config.game, self._game.roles, config.n_agents)
        people = chosen.personas
        self.population = chosen.name
        self.limits = limits if limits is not None else Limits()
        self._recorder = Recorder(close_mailbox)
        self._respondents = respondents(backend, backend_for)
        policies.check(self._respondents.distinct(), config.game, self._game.choices)
        self._own_stages = stages.registered()
        self._answering = self._services([persona.name for persona in people])
        if isinstance(backend, str):
            weakref.finalize(self, _close, self._respondents)
        self._prompts = Prompts(
            self._game.rules, reputation=config.reputation, gossip=config.gossip, random_pairs=self._game.random_pairs
        )
        self._streams = Streams(config.seed)
        self.network = SocialNetwork(persona.name for persona in people)
        self._standings = Standings()
        self._agents_by_name = {
            persona.name: RepuNetAgent(self, persona, self._first_learned(persona), self._standings)
            for persona in people
        }
        self._board: list[Notice] = []
        self.usage = Usage()
        self.usage_by_question: dict[str, Usage] = {}
        self.calls = 0
        self.scores: dict[str, float] = {}
        self.measures: dict[str, float | None] = {}
        self._own_measures = measures.registered({*self._game.rates, *RunConfig.model_fields})
        self._measure(dict.fromkeys(self._game.rates), StepLog(), calls=0)
        self.step_usage = Usage()
        self.datacollector = self._collector()
        self.datacollector.collect(self)
        self._committed = self._state()
        self.watchers: list[Watcher] = []
        if storage is not None:
            self._recorder.keep_in(self._create_folder(storage, run_name), step=0)

    # What the model is made of

    @property
    def graph(self) -> nx.DiGraph[str]:
        """The directed graph of ties, to read; nodes are names, an edge's attribute `roles` says in which roles."""
        return self.network.view

    @property
    def folder(self) -> RunFolder | None:
        """Where the run is stored; None if it is not."""
        return self._recorder.folder

    @property
    def has_human(self) -> bool:
        """Whether somebody at a keyboard answers, so that nothing else should write where they type."""
        return self._respondents.has_human

    @property
    def asks_models(self) -> bool:
        """Whether somebody answers whose answers cost money or time."""
        return self._respondents.is_costly

    def agent(self, name: str) -> RepuNetAgent:
        """Return the agent of a name.

        Raises:
            ConfigurationError: If there is none.
        """
        try:
            return self._agents_by_name[name]
        except KeyError:
            raise ConfigurationError(f"no agent is called {name!r}") from None

    def _services(self, names: Sequence[str]) -> dict[str, Backend]:
        """Return who answers for each agent, behind limits and records.

        Raises:
            ConfigurationError: If there is a backend for somebody who is not there.
        """
        strangers = sorted(set(self._respondents.by_name) - set(names))
        if strangers:
            raise ConfigurationError(f"backend_for: no agent is called {strangers[0]!r}")
        for backend in self._respondents.distinct():
            if isinstance(backend, ReplayBackend):
                backend.check(self.config.stored())
        journal = self._recorder.journal
        served = {id(backend): service(backend, self.limits, journal) for backend in self._respondents.distinct()}
        return {name: served[id(self._respondents.of(name))] for name in names}

    def _first_learned(self, persona: Persona) -> dict[str, str]:
        words = self._game.dispositions.get(persona.disposition)
        return {
            role: persona.learned_as(role) or words or describe(persona.disposition, self.config.game)
            for role in self._game.roles
        }

    def _collector(self) -> mesa.DataCollector:
        return mesa.DataCollector(
            # Mesa calls a reporter with the model only if it is a plain function or a list of one with arguments.
            model_reporters={
                **{name: [_measured, [self, name]] for name in self.measures},
                "tokens": _tokens,
            },
            agent_reporters={
                "name": "name",
                "payoff": _payoff,
                "resources": _resources,
                "score": "score",
                "in_degree": "in_degree",
                "out_degree": "out_degree",
            },
            tables={table.name: list(table.columns_with(self._game.facts)) for table in EXPORTED_TABLES},
        )

    # Steps

    def close(self) -> None:
        """Give back the connections of the backends, and let others write to the run."""
        event_loop.run(self._respondents.close())
        self._recorder.close()

    def __enter__(self) -> Self:
        """Return the model; it is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the model."""
        self.close()

    async def _run_step(self) -> None:
        """Run one step, and look for garbage only when most of what it has made is gone again."""
        # Where models answer, a step may take hours, beside which collecting takes no time.
        with contextlib.nullcontext() if self.asks_models else _uncollected():
            await self._whole_step()

    async def _whole_step(self) -> None:
        """Decide, apply, collect, persist; all of it or nothing. `steps` already counts the step under way."""
        memories = {name: agent.memory.snapshot() for name, agent in self._agents_by_name.items()}
        kinds = in_order(self._own_stages)
        desk = Desk(
            self.steps,
            self._streams,
            self._prompts,
            self._answering,
            self._count,
            [kind.name for kind in kinds],
            self._recorder.mailbox,
        )
        world = World(
            step=self.steps,
            game=self._game,
            reputation=self.config.reputation,
            gossip=self.config.gossip,
            fused=self.config.questions is Questions.FUSED,
            dialogue_turns=self.config.dialogue_turns,
            agents=self._agents_by_name,
            network=self.network,
            standings=self._standings,
            board=self._board,
            streams=self._streams,
            desk=desk,
            log=StepLog(),
        )
        before = self.measures
        try:
            self._recorder.begin(self.steps)
            for agent in self._agents_by_name.values():
                agent.payoff = None
            outcomes = await run_step(world, kinds, self.config.activation)
            declared = [agent.declared for agent in self._agents_by_name.values()]
            self._measure(self._game.measure(outcomes, declared), world.log, len(desk.calls))
            usage = {name: used.to_dict() for name, used in sorted(desk.usage.items())}
            done = Step.made(self.steps, self._state(), self.measures, usage, world.log, desk.rows)
            self._recorder.write(done)
        except BaseException as error:
            self._roll_back(world.step, memories)
            self.measures = before
            self._recorder.note_failure(world.step, error, desk.spent.to_dict() if desk.usage else {})
            raise
        self._committed, self._whole = done.state, done.number
        self._recorder.forget_replies()
        self.step_usage = desk.total()
        self._collect(done)
        for watcher in self.watchers:
            watcher(done)

    def _count(self, question: str, usage: Usage, answered: bool) -> None:
        """Add what a call cost to the run's totals, while the step is still under way."""
        self.usage.add(usage)
        self.usage_by_question.setdefault(question, Usage()).add(usage)
        self.calls += answered

    def _collect(self, step: Step) -> None:
        for table in EXPORTED_TABLES:
            for row in step.rows(table):
                self.datacollector.add_table_row(table.name, row)
        self.datacollector.collect(self)

    def _roll_back(self, step: int, memories: Mapping[str, tuple[Event, ...]]) -> None:
        """Undo whatever stages of a failed step have applied."""
        self._restore(self._committed)
        for name, agent in self._agents_by_name.items():
            agent.memory.replace(memories[name])
            agent.ledger.forget(step)

    # Measures

    def _measure(self, rates: Mapping[str, float | None], log: StepLog, calls: int) -> None:
        """Measure the society as it is.

        Args:
            rates: The game's rates in the step.
            log: What the step added.
            calls: How many questions were answered in it.
        """
        agents = self._agents_by_name
        self.scores = self._standings.over_roles(self._game.roles, agents)
        scores = self.scores if self.config.reputation else None
        self.measures = {
            **rates,
            **measures.of_society(agents.values(), self.network.graph, scores, self.config.seed, self.steps),
            **measures.of_step(log, calls),
        }
        self.measures |= measures.take(self, self._own_measures)

    # Storage

    def _state(self) -> State:
        return {
            "agents": [agent.state() for agent in self._agents_by_name.values()],
            "network": self.network.to_dict(),
            "board": list(self._board),
            "scores": dict(self.scores),
        }

    @property
    def state(self) -> State:
        """The state after the last step, as it is stored: plain data, not to be changed."""
        return self._committed

    def _restore(self, state: State) -> None:
        """Take on the data of `_state`."""
        self.network = SocialNetwork.from_dict(state["network"])
        self._board = list(state["board"])
        self._restore_agents(state)

    def _restore_agents(self, state: State) -> None:
        """Take on what of it is the agents' own."""
        self.scores = dict(state["scores"])
        for own in state["agents"]:
            self._agents_by_name[own["name"]].restore(own)

    def manifest(self) -> Manifest:
        """Return everything the outcome of the run depends on; its personas are stored beside it."""
        agents = self._agents_by_name
        people = Population(self.population, [agent.persona for agent in agents.values()])
        return Manifest.of_run(
            self.config,
            people.described({name: self._first_learned(agent.persona) for name, agent in agents.items()}),
            self._respondents.to_dict(),
            self._own_measures,
            [stage.name for stage in self._own_stages],
            self._used(),
        )

    def _used(self) -> list[Callable[..., object]]:
        """Return what may come from files that extend the package."""
        backends = map(type, self._respondents.distinct())
        return [type(self._game), *backends, *self._own_measures.values(), *self._own_stages]

    def personas(self) -> list[dict[str, Any]]:
        """Return the personas of the agents as plain data."""
        return [agent.persona.model_dump(mode="json") for agent in self._agents_by_name.values()]

    def _create_folder(self, storage: str | Path, run_name: str | None) -> RunFolder:
        if not isinstance(storage, str | Path) or "\0" in str(storage):
            raise ConfigurationError(f"storage is {storage!r}: must be a path")
        manifest = self.manifest()
        default = f"{self.config.game}_{config.IN_FILE_NAMES[manifest.mode]}_seed{self.config.seed}"
        documents = {"personas": self.personas(), "state": self._committed}
        return RunFolder.create(Path(storage), run_name, default, manifest, documents)

    @classmethod
    def load(
        cls,
        path: str | Path,
        step: int | None = None,
        backend: str | Backend | Respondents | None = None,
        limits: Limits | None = None,
    ) -> Self:
        """Return the model of a stored run as it is after a step, ready for the next one.

        Args:
            path: The run folder; further steps are stored in it.
            step: The step; None for the last one. After an earlier one nothing more can be stored: fork the run.
            backend: Who answers from now on, for everybody or for whom; None for the backends of the run. Steps that
                others answered belong into a fork, whose manifest says so.
            limits: As for a new model; what the run has cost so far counts into their budget.

        Raises:
            RepuNetError: If the run cannot be read, or a backend cannot be set up.
        """
        run = StepReader.open(Path(path), step)
        last = run.last
        run.folder.check_chain(0, last)
        with understood(run.folder):
            if backend is None:
                answering = recorded(run.manifest)
            else:
                answering = backend if isinstance(backend, Respondents) else respondents(backend)
            model = cls(
                **run.manifest.config.keywords(),
                personas=Population(run.population["name"], run.personas),
                backend=answering.default,
                backend_for=answering.by_name,
                limits=limits,
            )
            if run.manifest.data["prompts"] != prompt_hash() and answering.read_prompts:
                raise StorageError(
                    f"{path}: made with other prompts, by version {run.manifest.data['repunet']}; go on with that"
                )
            model._own_measures = measures.named(run.manifest.measures)
            model._own_stages = stages.named(run.manifest.stages)
            extensions.check(run.manifest.data.get("extensions", {}), model._used())
            with _uncollected():
                model._fold(run, last)
            model._recorder.keep_in(run.folder, last)
            for row in model._recorder.journal.rows():
                model.limits.purse.count(Usage.from_dict(row["usage"]))
        return model

    def _fold(self, run: StepReader, last: int) -> None:
        """Fold the steps of a stored run into this new model, the history of the DataCollector included."""
        for step in run.steps(last=last):
            for holder, update in step.updates():
                self._agents_by_name[holder].ledger.add(update)
            for name, event in step.events():
                self._agents_by_name[name].memory.add(event)
            self._committed = step.state
            if step.number in {0, last}:
                self._restore(step.state)
            else:
                self._restore_agents(step.state)
                for tie in step.rows(TIES):
                    self.network.apply(**tie)
            self.step_usage = Usage.total(step.usage)
            self.limits.purse.count(self.step_usage)
            if step.number:
                self.measures = dict(step.measures)
                self.time = float(step.number)
                self._collect(step)
            else:
                self._measure(dict.fromkeys(self._game.rates), StepLog(), calls=0)
                self.datacollector = self._collector()
                self.datacollector.collect(self)
        self._set_clock(last)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Refuse to be copied or pickled: clients, threads and locks cannot be.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(
            "a RepuNetModel cannot be copied or pickled: store the run (storage=...), and use RepuNetModel.load for "
            "each copy"
        )


def _names(backend_for: object) -> object:
    """Return names of backends by agent, with a word for those that are passed as objects."""
    if backend_for is None:
        return {}
    if not isinstance(backend_for, Mapping):
        return backend_for
    return {name: backend if isinstance(backend, str) else GIVEN for name, backend in backend_for.items()}


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from looking again and again at what is being made, all of which is needed."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _measured(model: RepuNetModel, name: str) -> float | None:
    return model.measures[name]


def _close(answering: Respondents) -> None:
    """Give back the connections of backends without waiting for it; nobody else holds them."""
    event_loop.BackgroundTask[None]().start(answering.close())


def _tokens(model: RepuNetModel) -> int:
    return model.step_usage.tokens


def _payoff(agent: RepuNetAgent) -> float | None:
    return None if agent.payoff is None else float(agent.payoff)


def _resources(agent: RepuNetAgent) -> float:
    return float(agent.resources)
