"""The attack of a study: final cooperation against the number of planted agents, offline, in a sweep of its own."""

from __future__ import annotations

from repunet_model.sweep.grid import Grid, Sweep

SHARES = (0, 0.1, 0.2, 0.3, 0.4, 0.5)
"""The doses, as shares of the agents."""

SEEDS = 10
"""The largest number of seeds of a dose."""


def sweep(of: Sweep, backend: str) -> Sweep:
    """Return the sweep of all doses in the scenarios and modes of a study's sweep of one grid.

    From a third of the steps on, the planted agents are answered for by the backend. The sweep has the study's other
    parameters and steps, and its first seeds.
    """
    start = max(1, of.steps // 3)
    events = [f"step={start} share={share} becomes={backend}" for share in SHARES]
    grid = Grid({**of.grids[0].stored(), "events": events})
    return Sweep(f"{of.name}-attack", of.steps, of.seeds[:SEEDS], [grid], until_stable=of.until_stable)
