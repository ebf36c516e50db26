"""RepuNet as a Mesa model: agents on a directed graph play games, evaluate each other, gossip and rewire ties.

Siyue Ren, Wanli Fu, Xinkun Zou, Chen Shen, Yi Cai, Chen Chu, Zhen Wang, Shuyue Hu: "Reputation as a Solution to
Cooperation Collapse in LLM-based MASs", AAMAS 2026, arXiv 2505.05029.

In each step pairs play a game, evaluate each other, update records of reputation, reconsider their ties and gossip.
A step is atomic: if it fails, the model returns to its state before the step, and the step can be repeated.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, SupportsIndex

import mesa
import networkx as nx

from repunet_model import config, extensions, games, measures, stages
from repunet_model.agents import REPORTERS, Answering, Membership, RepuNetAgent
from repunet_model.backends import norm_follower, planted
from repunet_model.backends.base import Backend, Usage, stored_usage
from repunet_model.backends.limits import Limits
from repunet_model.backends.sender.client import close_mailbox
from repunet_model.backends.setup import Respondents, names_of, recorded, respondents
from repunet_model.backends.wrappers import service
from repunet_model.composition import composed, placed
from repunet_model.config import BUILT_IN, Questions, RunConfig, draw_seed
from repunet_model.error_rates import ErrorRates
from repunet_model.errors import ConfigurationError, StorageError
from repunet_model.events import backends as planted_in
from repunet_model.games.base import Game
from repunet_model.initial_network import InitialNetwork
from repunet_model.mechanism import Institution, Mechanism
from repunet_model.memory import Memory
from repunet_model.network import SocialNetwork
from repunet_model.personas import GIVEN, Persona, Population, describe, validated
from repunet_model.questions.prompt_sets import NEUTRAL, PromptSet
from repunet_model.rng import Streams
from repunet_model.stability import MEASURE, StabilityRule, Stopped
from repunet_model.stages.institutions import PublicRecords
from repunet_model.stages.step import in_order, run_step
from repunet_model.stages.turnover import newcomers, plan
from repunet_model.stages.world import Desk, StepContext
from repunet_model.stepping import SteppedModel
from repunet_model.storage import Manifest, RunFolder, Step, StepReader, understood
from repunet_model.storage.recorder import Recorder
from repunet_model.storage.schema import GOSSIP, INTERACTIONS, TIES, TURNOVER, State, StepLog, TurnoverRow
from repunet_model.util import event_loop
from repunet_model.util.garbage import paused_collection

Watcher = Callable[[Step], None]
"""Called with each completed step."""

EXPORTED_TABLES = (INTERACTIONS, GOSSIP)
"""The tables of the DataCollector."""


class RepuNetModel(SteppedModel):
    """A society of agents that play a social dilemma.

    Attributes:
        config: The parameters of the run; together with the replies they determine the results.
        population: The name of the population.
        network: Ties and blacklists.
        scores: Score of each agent with records, over all of them, averaged over its roles, or of an image or a board.
        measures: The measures of the last step: the game's rates, those of `measures.MEASURES`, and those registered.
        usage: Usage since this object was created.
        usage_by_question: Usage since this object was created, by name of the question.
        usage_by_backend: Usage since this object was created, by label of the backend, such as "openai:gpt-4o-mini".
        step_usage: Usage of the last step.
        calls: Number of calls answered since this object was created, including the current step; a fused call counts
            once.
        datacollector: Measures by step, agents by step, and the tables `interactions` and `gossip`.
        limits: Limits for requests to endpoints.
        watchers: Called with each completed step, on the thread of the event loop.
    """

    def __init__(
        self,
        game: str = "prisoners_dilemma",
        reputation: bool = True,
        gossip: bool = True,
        game_parameters: str | Mapping[str, object] | None = None,
        n_agents: int | None = None,
        personas: str | Sequence[Persona] | Population = BUILT_IN,
        population: str = "",
        network: str | InitialNetwork = "none",
        prompts: str | PromptSet = NEUTRAL,
        backend: str | Backend | Respondents = "rules",
        backend_for: Mapping[str, str | Backend] | None = None,
        activation: str = "simultaneous",
        dialogue_turns: int = 2,
        questions: str = "single",
        mechanism: str | Mapping[str, Any] | Mechanism = "paper",
        errors: str | Mapping[str, float] | ErrorRates = "none",
        events: str | Sequence[str | Mapping[str, Any]] = "",
        label: str = "",
        limits: Limits | None = None,
        rng: int | str | None = None,
        storage: str | Path | None = None,
        run_name: str | None = None,
    ) -> None:
        """Create a society before its first step.

        Args:
            game: "prisoners_dilemma", "investment", "sign_up", "donation", or a game registered with `games.register`.
            reputation: Whether agents keep reputations.
            gossip: Whether agents gossip.
            game_parameters: Payoffs and other constants of the game, as a text such as "temptation=4,reward=3" or a
                mapping of names to numbers; None for the game's defaults (`games.parameters`).
            n_agents: Number of agents; None for the size of the persona set (20 for the built-in one).
            personas: "built-in" (ten altruistic, ten self-interested), "rational" (all self-interested), the path of a
                persona file, a sequence of personas, or a named population.
            population: How agents are drawn from the personas by the seed, as in `repunet_model.composition`: "" (the
                first ones, as they are), "drawn", or "altruistic=0.3,placed=hubs", which draws dispositions, too.
            network: The ties at the start: "none", or as in `repunet_model.initial_network`, such as
                "watts_strogatz:k=4,p=0.1" or "edges:FILE".
            prompts: The wording: a packaged prompt set, the path of a folder, or several joined by "+".
            backend: The backend of the agents: "rules" (offline, free), "openai" (configured by OPENAI_API_KEY and
                the LLM_* variables), another name of `backends.setup`, a backend object, or all backends of a run.
            backend_for: Other backends for single agents, by name of the agent.
            activation: "simultaneous" (all pairs meet, then all gossip) or "sequential" (pair after pair).
            dialogue_turns: Maximum turns of a dialogue, 2 to 10; the gossiper has the first, the listener the last.
            questions: "single" (one question per call, as in the paper) or "fused" (one call for a sequence of
                questions from the same view).
            mechanism: The switches of the mechanism: a text such as "paper", "published" or "paper,second_order=off",
                a table of switches, or a `Mechanism`.
            errors: The rates of errors by kind: "none", a text such as "slip=0.05,garble=0.02", a table of rates, or
                an `ErrorRates`.
            events: What happens to agents at the start of a step, as in `repunet_model.events`: a text such as
                "step=10 share=0.2 becomes=always_defect; step=20 agents=1 becomes=enter", or a list of events.
            label: A label that distinguishes the run in tables and reports.
            limits: Limits for requests to endpoints (concurrency, rates, budget), which several models may share;
                None allows 32 concurrent requests. Limits do not change results.
            rng: The seed of the run, an integer; None draws one.
            storage: The folder in which to store the run, step by step; None stores nothing.
            run_name: The name of the run in the storage; None derives it from the parameters.

        Raises:
            RepuNetError: If a parameter is invalid; then nothing is written.
        """
        config = RunConfig.checked(
            {
                "game": game,
                "reputation": reputation,
                "gossip": gossip,
                "game_parameters": {} if game_parameters is None else game_parameters,
                "n_agents": n_agents,
                "personas": GIVEN if isinstance(personas, list | tuple | Population) else personas,
                "population": population,
                "network": str(network) if isinstance(network, InitialNetwork) else network,
                "prompts": prompts.name if isinstance(prompts, PromptSet) else prompts,
                "backend": backend if isinstance(backend, str) else GIVEN,
                "backend_for": names_of(backend_for),
                "activation": activation,
                "dialogue_turns": dialogue_turns,
                "questions": questions,
                "mechanism": mechanism,
                "errors": errors,
                "events": events,
                "seed": draw_seed() if rng is None or rng == "" else rng,
                "label": label,
            }
        )
        super().__init__(rng=abs(config.seed))
        self.config = config
        self._game = games.find(config.game, config.game_parameters)
        self._initial = network if isinstance(network, InitialNetwork) else InitialNetwork.read(config.network)
        self._prompts = self._game.prompts(config, prompts if isinstance(prompts, PromptSet) else None)
        self._streams = Streams(config.seed)
        wanted = (personas, config.game, self._game.roles, config.n_agents)
        chosen = composed(config.population, *wanted, self._streams, self._first_learned)
        people = chosen.personas
        self.population, self._drawn = chosen.name, chosen.drawn
        self.limits = limits if limits is not None else Limits()
        self._recorder = Recorder(close_mailbox)
        self._respondents = respondents(backend, backend_for, planted=planted_in(config.events))
        self._own_stages = stages.registered()
        resolved = {"network": self._initial.described, "prompts": self._prompts.set.name}
        self._respondents.check_replay({**config.in_table(), **resolved}, self._game.parameters.stored())
        wrap = partial(service, limits=self.limits, journal=self._recorder.journal)
        served = self._respondents.served([persona.name for persona in people], wrap)
        if config.backend != GIVEN:
            weakref.finalize(self, self._respondents.close_later)
        self._game.check_errors(config)
        self._mechanism = self._game.mechanism(config)
        self.network = SocialNetwork((persona.name for persona in people), self._mechanism.blacklist_length)
        self._initial.tie(self.network, people, self._game.roles, self._streams)
        people = self._first = placed(config.population, people, self.network.graph, self._initial.kind, self._streams)
        self._public = PublicRecords(self._mechanism.institution)
        self._members = Membership(people, self._enter)
        self._answering = Answering(self._members, lambda *names: served[id(self._respondents.of(*names))])
        later = self._respondents.planted.values()
        talks = self._mechanism.first_order or self._mechanism.institution is Institution.BOARD
        planted.check(self._answering, self._game, talks=talks, later=later)
        norm_follower.check([*self._answering.values(), *later], self._game.name, self._game.choices)
        self._newcomers: dict[str, Any] = {}
        self._turnover: dict[int, list[TurnoverRow]] = {}
        if config.events:
            self._newcomers = newcomers(config.events, *wanted[:-1], people, self._streams, self._first_learned)
            self._expect(0)
        self.usage = Usage()
        self.usage_by_question: dict[str, Usage] = {}
        self.usage_by_backend: dict[str, Usage] = {}
        self.calls = 0
        self.scores: dict[str, float] = {}
        self.measures: dict[str, float | None] = {}
        self._own_measures = measures.registered({*self._game.rates, *RunConfig.model_fields})
        self.step_usage = Usage()
        self._start_collecting()
        self._committed = self._state()
        self.watchers: list[Watcher] = []
        self._shared_steps = 0
        if storage is not None:
            self._recorder.keep_in(self._create_folder(storage, run_name), step=0)

    @property
    def graph(self) -> nx.DiGraph[str]:
        """The read-only directed graph of ties between names; the edge attribute `roles` holds the roles of a tie."""
        return self.network.view

    @property
    def folder(self) -> RunFolder | None:
        """The folder of the run; None if it is not stored."""
        return self._recorder.folder

    @property
    def has_human(self) -> bool:
        """Whether a human answers at the terminal, so that other output must not appear there."""
        return self._respondents.has_human

    @property
    def asks_models(self) -> bool:
        """Whether some answers cost money or time."""
        return self._respondents.is_costly

    @property
    def game(self) -> Game:
        """The game, with its parameters."""
        return self._game

    @property
    def costs_by_backend(self) -> dict[str, Usage]:
        """`usage_by_backend` without the backends that cost nothing."""
        return {label: usage for label, usage in sorted(self.usage_by_backend.items()) if usage.to_dict()}

    def agent(self, name: str) -> RepuNetAgent:
        """Return an agent by name.

        Raises:
            ConfigurationError: If no agent has this name.
        """
        try:
            return self._members.by_name[name]
        except KeyError:
            raise ConfigurationError(f"no agent is called {name!r}") from None

    def _enter(self, persona: Persona) -> RepuNetAgent:
        """Make an agent without a past."""
        start = self._game.parameters.start_resources
        return RepuNetAgent(self, persona, self._first_learned(persona), self._public.standings, start)

    def _expect(self, after: int) -> None:
        """Plan the events after a step; raise ConfigurationError if one cannot happen."""
        entering = validated(self._newcomers.get("personas", ()), "newcomers")
        who = self._respondents
        people = (self._members.roster, self._streams, entering, lambda *names: who.of(*names).description)
        self._turnover = plan(self.config.events, *people, after)

    def _first_learned(self, persona: Persona) -> dict[str, str]:
        words = self._game.dispositions.get(persona.disposition)
        return {
            role: persona.learned_as(role) or words or describe(persona.disposition, self.config.game)
            for role in self._game.roles
        }

    def _start_collecting(self) -> None:
        """Measure the society before the first step and collect it as the first row."""
        self._measure(dict.fromkeys(self._game.rates), StepLog(), calls=0)
        self.datacollector = mesa.DataCollector(
            # Mesa passes the model only to plain functions, not to other callables.
            model_reporters={
                **{name: [lambda name: self.measures.get(name), [name]] for name in self.measures},
                "tokens": lambda model: model.step_usage.tokens,
            },
            agent_reporters=REPORTERS,
            tables={table.name: list(table.columns_with(self._game.facts)) for table in EXPORTED_TABLES},
        )
        self.datacollector.collect(self)

    def stable(self, rule: StabilityRule) -> Stopped | None:
        """Return where the run is stable by a rule, and note it in the folder of a stored run.

        To run at most 100 steps::

            rule = StabilityRule()
            while model.steps < 100 and not model.stable(rule):
                model.step()

        Returns:
            None if it is not stable yet.

        Raises:
            StorageError: If the note cannot be written.
        """
        first = self._shared_steps + 1
        found = Stopped.of(rule, self.datacollector.model_vars[MEASURE][first:], first)
        if found is not None:
            self._recorder.note_stop(found)
        return found

    def close(self) -> None:
        """Close the connections of the backends and release the lock of the run folder."""
        event_loop.run(self._respondents.close())
        self._recorder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def _run_step(self) -> None:
        """Run a step; unless models answer, pause garbage collection, since most new objects live until the end."""
        with contextlib.nullcontext() if self.asks_models else paused_collection():
            await self._whole_step()

    async def _whole_step(self) -> None:
        """Decide, apply, collect and store a step atomically; `steps` already counts it."""
        turnover = self._turnover.get(self.steps, ())
        memories = {name: agent.memory.copy() for name, agent in self._members.by_name.items()}
        self._members.begin(with_events=bool(turnover))
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
        world = StepContext(
            step=self.steps,
            game=self._game,
            mechanism=self._mechanism,
            fused=self.config.questions is Questions.FUSED,
            dialogue_turns=self.config.dialogue_turns,
            errors=self.config.errors,
            members=self._members,
            turnover=turnover,
            network=self.network,
            public=self._public,
            streams=self._streams,
            desk=desk,
            log=StepLog(),
        )
        before = self.measures
        try:
            self._recorder.begin(self.steps)
            for agent in self._members.by_name.values():
                agent.payoff = None
            outcomes = await run_step(world, kinds, self.config.activation)
            declared = [agent.declared for agent in self._members.by_name.values()]
            self._measure(self._game.measure(outcomes, declared), world.log, len(desk.calls))
            usage = stored_usage(desk.usage)
            done = Step.made(self.steps, self._state(), self.measures, usage, world.log, desk.rows)
            self._recorder.write(done)
        except BaseException as error:
            self._roll_back(world.step, memories)
            self.measures = before
            self._recorder.note_failure(world.step, error, desk.spent.to_dict() if desk.usage else {})
            raise
        self._committed, self._whole = done.state, done.number
        self._recorder.forget_replies()
        self.step_usage = Usage.total(usage)
        self._collect(done)
        for watcher in self.watchers:
            watcher(done)

    def _count(self, question: str, backend: str, usage: Usage, answered: bool) -> None:
        """Add the usage of a call to the totals during a step."""
        self.usage.add(usage)
        self.usage_by_question.setdefault(question, Usage()).add(usage)
        self.usage_by_backend.setdefault(backend, Usage()).add(usage)
        self.calls += answered

    def _collect(self, step: Step) -> None:
        for table in EXPORTED_TABLES:
            for row in step.rows(table):
                self.datacollector.add_table_row(table.name, row)
        self.datacollector.collect(self)

    def _roll_back(self, step: int, memories: Mapping[str, Memory]) -> None:
        """Undo the changes of a failed step."""
        self._members.roll_back()
        self._restore(self._committed)
        for name, agent in self._members.by_name.items():
            agent.memory = memories[name]
            agent.ledger.forget(step)

    def _measure(self, rates: Mapping[str, float | None], log: StepLog, calls: int) -> None:
        """Set scores and measures, given the game's rates, the rows and the number of calls of a step."""
        agents = self._members.by_name
        self.scores = self._public.over_roles(self._game.roles, agents)
        is_known = self.config.reputation and self._mechanism.institution is not Institution.NONE
        scores = self.scores if is_known else None
        self.measures = {
            **rates,
            **measures.of_society(agents.values(), self.network.graph, scores, self.config.seed, self.steps),
            **measures.of_step(log, calls, self.config.errors),
        }
        self.measures |= measures.take(self, self._own_measures)

    def _state(self) -> State:
        return {
            "agents": self._members.state(),
            "network": self.network.to_dict(),
            **self._public.state(),
            "scores": dict(self.scores),
        }

    @property
    def state(self) -> State:
        """The stored state after the last step: plain, read-only data."""
        return self._committed

    def _restore(self, state: State) -> None:
        """Set the state from the data of `_state`."""
        self.network = SocialNetwork.from_dict(state["network"], self._mechanism.blacklist_length)
        self._public.restore(state)
        self._restore_agents(state)

    def _restore_agents(self, state: State) -> None:
        """Set the scores and the agents from the data of `_state`."""
        self.scores = dict(state["scores"])
        for own in state["agents"]:
            self._members.by_name[own["name"]].restore(own)

    def manifest(self) -> Manifest:
        """Return all that determines the results of the run, except the personas, which are stored separately."""
        people = Population(self.population, self._first, self._drawn)
        return Manifest.of_run(
            self.config,
            people.described({persona.name: self._first_learned(persona) for persona in self._first}),
            self._respondents.to_dict(),
            self._prompts.system,
            self._own_measures,
            [stage.name for stage in self._own_stages],
            self._used(),
            game_parameters=self._game.parameters.stored(),
            network=self._initial.described,
            prompts=self._prompts.set.described(self._game.name, self._mechanism.institution),
            **({"newcomers": self._newcomers} if self._newcomers else {}),
        )

    def _used(self) -> list[Callable[..., object]]:
        """Return the classes and functions that may come from extension files."""
        backends = map(type, self._respondents.distinct())
        return [type(self._game), *backends, *self._own_measures.values(), *self._own_stages]

    def personas(self) -> list[dict[str, Any]]:
        """Return the personas of the agents before the first step as plain data."""
        return [persona.model_dump(mode="json") for persona in self._first]

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
        *,
        is_kept: bool = True,
    ) -> Self:
        """Return the model of a stored run after a step, ready for the next one.

        Args:
            path: The run folder; further steps are stored in it.
            step: The step; None for the last one. To store steps after an earlier one, fork the run.
            backend: The backend or backends of further steps; None for those of the run. Fork the run to store steps
                with another backend, since the manifest names the backend.
            limits: As for a new model; the budget includes the usage of the stored steps.
            is_kept: Whether further steps are stored in the folder; if not, they are in memory only.

        Raises:
            RepuNetError: If the run cannot be read or a backend cannot be created.
        """
        run = StepReader.open(Path(path), step)
        last = run.last
        run.folder.check_chain(0, last)
        with understood(run.folder):
            if backend is None:
                answering = recorded(run.manifest)
            else:
                answering = respondents(backend, planted=run.manifest.planted)
            model = cls(
                **{**run.manifest.config.keywords(), "events": ""},
                game_parameters=run.manifest.game_parameters,
                personas=Population(run.population["name"], run.personas, run.population.get("drawn")),
                network=InitialNetwork.restored(run.manifest.network),
                prompts=PromptSet.restored(run.manifest.prompts),
                backend=answering,
                backend_for=answering.by_name,
                limits=limits,
            )
            model.config = model.config.changed({"events": run.manifest.config.events})
            model._newcomers = run.manifest.data.get("newcomers") or {}
            described = model._prompts.set.described(model._game.name, model._mechanism.institution)
            if run.manifest.prompts["sha256"] != described["sha256"] and answering.read_prompts:
                by = f"by version {run.manifest.data['repunet']}; go on with that"
                raise StorageError(f"{path}: made with other prompts ({described['set']}), {by}")
            model._own_measures = measures.named(run.manifest.measures)
            model._own_stages = stages.named(run.manifest.stages)
            extensions.check(run.manifest.data.get("extensions", {}), model._used())
            with paused_collection():
                model._fold(run, last)
            model._expect(last)
            model._shared_steps = run.manifest.shared_steps
            if is_kept:
                model._recorder.keep_in(run.folder, last)
            for row in model._recorder.journal.rows():
                model.limits.purse.count(Usage.from_dict(row["usage"]))
        return model

    def _fold(self, run: StepReader, last: int) -> None:
        """Load the steps of a stored run, including the history of the DataCollector."""
        for step in run.steps(last=last):
            for row in step.rows(TURNOVER):
                self._members.turn(row, self.network)
            for holder, update in step.updates():
                self._members.by_name[holder].ledger.add(update)
            for name, event in step.events():
                self._members.by_name[name].memory.add(event)
            for listener, message in step.heard():
                self._members.by_name[listener].memory.hear(message)
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
                self._start_collecting()
        self._set_clock(last)

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        raise ConfigurationError(
            "a RepuNetModel cannot be copied or pickled: store the run (storage=...), and use RepuNetModel.load for "
            "each copy"
        )
