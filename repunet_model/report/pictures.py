"""The pictures of a report; each caption names the quantity, the intervals and the number of seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import batched

from matplotlib.figure import Figure

from repunet_model.config import FULL, MODES
from repunet_model.report import figures
from repunet_model.report.contrasts import contrasts_of, unequal_in_words
from repunet_model.report.evidence import Evidence, Panel, lengths_in_words, phase_in_words
from repunet_model.report.response import figure_of, responses
from repunet_model.report.statistics import METHOD

ACROSS = 3
"""The number of panels in a row."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure of a report, with its file name, title and caption."""

    name: str
    title: str
    caption: str
    figure: Figure


def pictures(evidence: Evidence) -> Iterator[Picture]:
    """Yield the pictures for which the runs have data."""
    yield from _of_responses(evidence)
    together = [list(part) for part in batched(evidence.panels, ACROSS)]
    for number, panels in enumerate(together, start=1):
        mark = f"_{number}" if len(together) > 1 else ""
        for picture in _of_panels(panels):
            yield replace(picture, name=f"{picture.name}{mark}")


def _of_responses(evidence: Evidence) -> Iterator[Picture]:
    if found := responses(evidence):
        runs = [run for response in found for run in response.runs]
        counts = {each.n for response in found for points in response.points.values() for _, each in points}
        yield Picture(
            "response",
            "Cooperation against the parameter that varies",
            f"The mean cooperation rate of {phase_in_words(runs)}, by mode: means over {seeds_in_words(counts)}, with "
            f"their 95 % intervals ({METHOD}).",
            figure_of(found),
        )


def _of_panels(panels: Sequence[Panel]) -> Iterator[Picture]:
    modes = [mode for mode in MODES if any(mode in panel.runs for panel in panels)]
    yield from _of_cooperation(panels, modes)
    yield from _of_networks(panels, modes)
    yield from _of_reputation_and_gossip(panels, modes)
    yield from _of_resources_and_costs(panels, modes)


def _of_cooperation(panels: Sequence[Panel], modes: Sequence[str]) -> Iterator[Picture]:
    yield Picture(
        "cooperation",
        "Cooperation over time",
        f"The cooperation rate in each step, by mode. {_bands_in_words(panels)}{_events_in_words(panels)}",
        figures.cooperation(panels, modes),
    )
    if compared := [each for panel in panels for each in contrasts_of(panel)]:
        steps = phase_in_words(run for each in compared for pair in each.runs for run in pair)
        yield Picture(
            "contrasts",
            "What the modes change in the end",
            f"Difference between two modes in the mean cooperation rate of {steps}, paired by seed "
            f"({seeds_in_words({each.contrast.difference.n for each in compared})}). Dots are mean differences, lines "
            f"their 95 % intervals ({METHOD}; not adjusted for the number of contrasts); to the right of the line at 0 "
            f"the mode named first has more cooperation. {unequal_in_words(compared)}".strip(),
            figures.contrasts(panels),
        )


def _events_in_words(panels: Sequence[Panel]) -> str:
    """Name the events that the figures mark; empty without any."""
    told = [(panel.title, "; ".join(panel.events)) for panel in panels if panel.events]
    if not told:
        return ""
    known = {texts for _, texts in told}
    which = known.pop() if len(known) == 1 else "; ".join(f"{title}: {texts}" for title, texts in told)
    return f" Dashed vertical lines mark events: {which}."


def _of_networks(panels: Sequence[Panel], modes: Sequence[str]) -> Iterator[Picture]:
    lines = _bands_in_words(panels)
    single = all(len(panel.runs) == 1 for panel in panels)
    yield Picture(
        "networks",
        "Who is tied to whom",
        f"{'One run at several steps' if single else 'The first seed of each mode at its end'}: one run each, not a "
        "mean. Colour is how often an agent chose cooperatively, the shape its disposition; white made no choice.",
        figures.networks(panels),
    )
    yield Picture(
        "network_measures",
        "Ties, clustering, communities, assortativity",
        "Directed ties, pairs tied to each other, mean clustering coefficient (Fagiolo 2007), number of communities "
        "and their modularity (Louvain method, every fifth step), and how alike tied agents are in disposition and in "
        f"recent cooperation (Pearson's correlation over ties; none where all agents are alike). {lines}",
        figures.network_measures(panels, modes),
    )
    yield Picture(
        "isolation",
        "Isolated agents and their dispositions",
        f"Above: agents to whom nobody is tied, in each step. {lines} Below: the share of the agents of either "
        f"disposition that is isolated at the end. {_whiskers_in_words(panels)}",
        figures.isolation(panels, modes),
    )


def _of_reputation_and_gossip(panels: Sequence[Panel], modes: Sequence[str]) -> Iterator[Picture]:
    remembering = [mode for mode in modes if MODES[mode].reputation]
    gossiping = [mode for mode in modes if MODES[mode].gossip]
    if remembering and any(panel.has("score_self_interested") or panel.has("score_altruistic") for panel in panels):
        yield Picture(
            "scores",
            "Scores by disposition",
            "The mean score of altruistic and of self-interested agents in the eyes of all who know them, from −1 to "
            f"1, in the modes with reputation. {_bands_in_words(panels)}",
            figures.scores(panels, remembering),
        )
    if gossiping and any(run.gossip for panel in panels for runs in panel.runs.values() for run in runs):
        yield Picture(
            "gossip",
            "Gossip by tone, order and credibility",
            f"Messages told in a whole run, in the modes with gossip. {_whiskers_in_words(panels)}",
            figures.gossip(panels, gossiping),
        )
    if any(figures.gossip_line(panel) is not None for panel in panels):
        count = seeds_in_words({len(panel.runs.get(FULL, ())) for panel in panels} - {0})
        yield Picture(
            "gossip_and_score",
            "Who gossips, and what is thought of them",
            f"Each dot is an agent of one of the runs with reputation and gossip ({count}): how often it told "
            "something in the run, and its mean score at the end. The line is fitted by ordinary least squares; see "
            "the table below.",
            figures.gossip_and_score(panels),
        )


def _of_resources_and_costs(panels: Sequence[Panel], modes: Sequence[str]) -> Iterator[Picture]:
    lines = _bands_in_words(panels)
    yield Picture(
        "resources",
        "Resources and their inequality",
        f"Above: the Gini coefficient of resources in each step (0: all have the same). {lines} Below: mean "
        f"resources at the end by disposition, in units. {_whiskers_in_words(panels)}",
        figures.resources(panels, modes),
    )
    if own := figures.own_measures(panels):
        yield Picture(
            "own_measures",
            "Measures of one's own",
            f"What these runs measure beside what all runs measure: {', '.join(own)}. {lines}",
            figures.lines(panels, modes, own),
        )
    if any(panel.has("calls") for panel in panels):
        yield Picture(
            "costs",
            "Questions, tokens, cost",
            "Questions that agents answered in each step, and where endpoints were asked their tokens and price. "
            f"{lines}",
            figures.costs(panels, modes),
        )


def seeds_in_words(numbers: set[int]) -> str:
    """Format the number of seeds, as a range if it differs."""
    if len(numbers) > 1:
        return f"{min(numbers)} to {max(numbers)} seeds"
    return "one seed" if numbers == {1} else f"{min(numbers)} seeds"


def seeds_of(panels: Sequence[Panel]) -> str:
    """Format the number of seeds of the modes of some panels."""
    return seeds_in_words({len(runs) for panel in panels for runs in panel.runs.values()})


def _bands_in_words(panels: Sequence[Panel]) -> str:
    most = max(len(runs) for panel in panels for runs in panel.runs.values())
    if most == 1:
        return f"Lines are single runs ({seeds_of(panels)}), so there are no bands."
    words = f"Lines are means over {seeds_of(panels)} a mode, bands their 95 % intervals in each step ({METHOD})."
    lengths = lengths_in_words(run for panel in panels for run in panel.all_runs)
    return f"{words} {lengths} A line goes on with the runs that are left." if lengths else words


def _whiskers_in_words(panels: Sequence[Panel]) -> str:
    return f"Bars are means over {seeds_of(panels)} a mode, whiskers their 95 % intervals ({METHOD})."
