"""The ties of a society before its first step: none, a random graph of a known kind, or those in a file.

A network is written as a text::

    none                                no ties, the default
    complete                            everybody is tied to everybody
    ring:k=2                            everybody is tied to the k nearest on a circle
    erdos_renyi:p=0.2                   each pair with probability p (Erdős & Rényi 1959; Gilbert 1959)
    watts_strogatz:k=4,p=0.1            a ring of which each edge is rewired with probability p (Watts & Strogatz 1998)
    barabasi_albert:m=2                 preferential attachment of m edges (Barabási & Albert 1999)
    block:within=0.4,between=0.05       a block model: pairs of equal and of unequal disposition (Holland et al. 1983)
    edges:FILE                          CSV, a row an edge: two names, and the role of the tie or none for all roles
    ties:FILE                           the same, but a row is one directed tie: agent, other, role
    graphml:FILE                        GraphML, directed or not, with an edge attribute `roles` or none

An undirected edge becomes two ties, one in each direction, in every role of the game, or in one with `role=ROLE`.
Graphs are NetworkX's, with the stream "network" of the run's seed as their generator. On a ring and by attachment the
place of an agent is drawn, so that it does not depend on the order of the population.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Self

import networkx as nx

from repunet_model.errors import ConfigurationError
from repunet_model.network import SocialNetwork
from repunet_model.personas import Persona
from repunet_model.rng import Streams
from repunet_model.util.text import assignments, one_line

NONE = "none"


class Tie(NamedTuple):
    """A directed tie; without a role it is one in every role. `where` is its place in a file, for messages."""

    agent: str
    other: str
    role: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of random graph.

    Attributes:
        make: Returns the graph of some agents on the numbers from 0, from parameters and a generator.
        bounds: The smallest and the largest value of each parameter; whole numbers where the smallest is an int.
        defaults: The values of parameters that may be left out.
        is_placed: Whether the place of an agent is drawn.
    """

    make: Callable[[Sequence[Persona], Mapping[str, Any], Random], nx.Graph[int]]
    bounds: Mapping[str, tuple[float, float]]
    defaults: Mapping[str, float]
    is_placed: bool = False


def _ring(people: Sequence[Persona], k: int, p: float, generator: Random) -> nx.Graph[int]:
    if k % 2 or k >= len(people):
        raise ConfigurationError(f"k is {k}: must be even and less than the {len(people)} agents")
    graph: nx.Graph[int] = nx.watts_strogatz_graph(len(people), k, p, seed=generator)
    return graph


def _attached(people: Sequence[Persona], m: int, generator: Random) -> nx.Graph[int]:
    if m >= len(people):
        raise ConfigurationError(f"m is {m}: must be less than the {len(people)} agents")
    return nx.barabasi_albert_graph(len(people), m, seed=generator)


def _blocks(people: Sequence[Persona], within: float, between: float, generator: Random) -> nx.Graph[int]:
    """Return a block model whose blocks are the dispositions, in the order of the population."""
    by_disposition: dict[str, list[int]] = {}
    for place, persona in enumerate(people):
        by_disposition.setdefault(persona.disposition, []).append(place)
    blocks = list(by_disposition.values())
    shares = [[within if one is other else between for other in blocks] for one in blocks]
    nodes = [place for block in blocks for place in block]
    return nx.stochastic_block_model([len(block) for block in blocks], shares, nodelist=nodes, seed=generator)


_SHARE = (0.0, 1.0)
_COUNT = (2, 10_000)

_KINDS: dict[str, _Kind] = {
    NONE: _Kind(lambda people, _, __: nx.empty_graph(len(people)), {}, {}),
    "complete": _Kind(lambda people, _, __: nx.complete_graph(len(people)), {}, {}),
    "ring": _Kind(lambda people, given, draw: _ring(people, given["k"], 0.0, draw), {"k": _COUNT}, {"k": 2}, True),
    "erdos_renyi": _Kind(
        lambda people, given, draw: nx.gnp_random_graph(len(people), given["p"], seed=draw), {"p": _SHARE}, {}
    ),
    "watts_strogatz": _Kind(
        lambda people, given, draw: _ring(people, given["k"], given["p"], draw), {"k": _COUNT, "p": _SHARE}, {}, True
    ),
    "barabasi_albert": _Kind(
        lambda people, given, draw: _attached(people, given["m"], draw), {"m": (1, 10_000)}, {}, True
    ),
    "block": _Kind(
        lambda people, given, draw: _blocks(people, given["within"], given["between"], draw),
        {"within": _SHARE, "between": _SHARE},
        {},
    ),
}

FILES = ("edges", "ties", "graphml")
"""The kinds that are read from a file."""


@dataclass(frozen=True, slots=True)
class InitialNetwork:
    """The ties of a society before its first step.

    Attributes:
        described: Its description in a manifest: "kind" with its parameters, or with the name of the file, the SHA-256
            of its content and its number of ties.
        ties: The ties of a file or of a stored run; None for a graph that is to be generated.
    """

    described: Mapping[str, Any]
    ties: tuple[Tie, ...] | None = None

    @property
    def kind(self) -> str:
        """The kind of network."""
        return str(self.described["kind"])

    @classmethod
    def read(cls, text: str) -> Self:
        """Return the network that a text names, with the content of its file.

        Raises:
            ConfigurationError: If the kind or a parameter is unknown, or the file cannot be read.
        """
        kind, _, rest = (part.strip() for part in text.partition(":"))
        if kind in FILES:
            return cls._of_file(kind, rest)
        if kind not in _KINDS:
            raise ConfigurationError(
                f"network {text!r}: choose {', '.join(_KINDS)}, or {', '.join(f'{each}:FILE' for each in FILES)}"
            )
        known, what = _KINDS[kind], f"network {text!r}"
        given = assignments(rest, what)
        role = {"role": given.pop("role")} if "role" in given and kind != NONE else {}
        for name in given:
            if name not in known.bounds:
                raise ConfigurationError(f"{what}: {name}: unknown; {kind} has {', '.join([*known.bounds, 'role'])}")
        parameters: dict[str, Any] = {}
        for name, bounds in known.bounds.items():
            if name not in given and name not in known.defaults:
                raise ConfigurationError(f"{what}: {name}: is missing")
            parameters[name] = _number(f"{what}: {name}", given.get(name, known.defaults.get(name)), *bounds)
        return cls({"kind": kind, **parameters, **role})

    @classmethod
    def of_run(
        cls, described: Mapping[str, Any], ties: Iterable[tuple[str, str, Iterable[str]]], *, is_kept: bool
    ) -> Self:
        """Return the network of a stored run, from its description and its ties after step 0.

        With `is_kept` a random graph has the same ties with every seed, else it is drawn anew.
        """
        if described["kind"] in _KINDS and not is_kept:
            return cls(described)
        return cls(described, tuple(Tie(agent, other, role) for agent, other, roles in ties for role in roles))

    @classmethod
    def restored(cls, described: Mapping[str, Any]) -> Self:
        """Return the description of a stored run's network without its ties, which its state holds."""
        return cls(described, ())

    @classmethod
    def _of_file(cls, kind: str, path: str) -> Self:
        """Return the network in a file; raise ConfigurationError if it cannot be read."""
        if not path:
            raise ConfigurationError(f"network '{kind}:': name a file, as in {kind}:FILE")
        file, where = Path(path), f"network {kind}:{path}"
        try:
            content = file.read_bytes()
            ties = _of_graphml(content, where) if kind == "graphml" else _of_rows(content, where, both=kind == "edges")
        except OSError as error:
            raise ConfigurationError(f"{where}: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise ConfigurationError(f"{where}: is no text in UTF-8") from None
        digest = sha256(content).hexdigest()
        return cls({"kind": kind, "file": file.name, "sha256": digest, "ties": len(ties)}, tuple(ties))

    def tie(self, network: SocialNetwork, people: Sequence[Persona], roles: Sequence[str], streams: Streams) -> None:
        """Make the ties in a network that has none.

        Args:
            network: The network.
            people: The personas, in the order of the population.
            roles: The roles of the game.
            streams: The random streams of the run.

        Raises:
            ConfigurationError: If a name or a role is unknown, an agent is tied to itself, or a parameter does not fit
                the number of agents.
        """
        kind, role = self.kind, self.described.get("role", "")
        what = f"network {self}"
        ties = self.ties
        if ties is None:
            names = [persona.name for persona in people]
            try:
                graph = _KINDS[kind].make(people, self.described, streams.at("network"))
            except ConfigurationError as error:
                raise ConfigurationError(f"{what}: {error}") from None
            if _KINDS[kind].is_placed:
                streams.at("network", "places").shuffle(names)
            ties = tuple(Tie(names[a], names[b], role) for a, b in _both_ways(graph.edges))
        known = {persona.name for persona in people}
        bound: set[tuple[str, str, str]] = set()
        for tie in ties:
            where = tie.where or what
            for name in (tie.agent, tie.other):
                if name not in known:
                    raise ConfigurationError(f"{where}: no agent is called {name!r:.80}")
            if tie.agent == tie.other:
                raise ConfigurationError(f"{where}: {tie.agent} cannot be tied to itself")
            if tie.role and tie.role not in roles:
                raise ConfigurationError(
                    f"{where}: no role {tie.role!r:.80}; the game has {', '.join(dict.fromkeys(roles))}"
                )
            bound |= {(tie.agent, tie.other, each) for each in ([tie.role] if tie.role else roles)}
        place = {persona.name: number for number, persona in enumerate(people)}
        for agent, other, each in sorted(bound, key=lambda tie: (place[tie[0]], place[tie[1]], tie[2])):
            network.bind(agent, other, each)

    def __str__(self) -> str:
        """Return the text that names the network, with the name of its file."""
        if "file" in self.described:
            return f"{self.described['kind']}:{self.described['file']}"
        rest = ",".join(f"{name}={value}" for name, value in self.described.items() if name != "kind")
        return f"{self.described['kind']}:{rest}" if rest else str(self.described["kind"])


def at_home(text: str) -> str:
    """Return the text of a network with an absolute path of its file, for a process in another folder."""
    kind, _, path = text.partition(":")
    return f"{kind}:{Path(path).resolve()}" if kind.strip() in FILES else text


def _both_ways(edges: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    for one, other in edges:
        yield one, other
        yield other, one


def _number(what: str, value: object, low: float, high: float) -> float:
    """Return a number between bounds, a whole one if the lower bound is."""
    is_whole = isinstance(low, int)
    try:
        number = int(str(value)) if is_whole else float(str(value))
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        kind = "whole number" if is_whole else "number"
        raise ConfigurationError(f"{what} is {value!r:.60}: must be a {kind} from {low} to {high}")
    return number


_HEADINGS = ({"agent", "source", "from"}, {"other", "target", "to"})


def _of_rows(content: bytes, where: str, *, both: bool) -> list[Tie]:
    """Return the ties in the rows of a CSV file, in both directions or as they stand."""
    lines = content.decode("utf-8-sig").splitlines()
    rows = csv.reader(lines, delimiter="\t" if lines and "\t" in lines[0] else ",", skipinitialspace=True)
    ties: list[Tie] = []
    try:
        for row in rows:
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].startswith("#"):
                continue
            place = f"{where}: line {rows.line_num}"
            if not 2 <= len(cells) <= 3:
                raise ConfigurationError(f"{place}: must have two names, and may have a role")
            is_heading = all(cell.casefold() in words for cell, words in zip(cells, _HEADINGS, strict=False))
            if not (is_heading and not ties):
                agent, other, *roles = cells
                ties += _ties(agent, other, roles[0] if roles else "", place, both=both)
    except csv.Error as error:
        raise ConfigurationError(f"{where}: line {rows.line_num}: {error}") from None
    return ties


def _of_graphml(content: bytes, where: str) -> list[Tie]:
    """Return the ties in a GraphML file; a node's attribute `name`, or else its key, is the name of an agent."""
    try:
        graph = nx.parse_graphml(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise
    except Exception as error:  # NetworkX passes on errors of several parsers and conversions
        raise ConfigurationError(one_line(f"{where}: is no GraphML ({error})"[:200])) from None
    names = {node: str(attributes.get("name", node)) for node, attributes in graph.nodes(data=True)}
    ties: list[Tie] = []
    for one, other, attributes in graph.edges(data=True):
        roles = str(attributes.get("roles", attributes.get("role", "")))
        ties += _ties(names[one], names[other], roles, where, both=not graph.is_directed())
    return ties


def _ties(agent: str, other: str, roles: str, where: str, *, both: bool) -> Iterable[Tie]:
    """Yield the ties of an edge, whose roles are separated by commas."""
    for role in map(str.strip, roles.split(",")):
        yield Tie(agent, other, role, where)
        if both:
            yield Tie(other, agent, role, where)
