"""The card as a folder: one self-contained page with small figures, and the card as data.

DIR/
    card.json           the card: lines, costs and all observations
    index.html          the page; opens without a network, prints on A4
    NAME.png, NAME.svg  each figure
    replies.jsonl       the replies, so that the same probe asks nothing twice
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from repunet_model.errors import ConfigurationError
from repunet_model.probe.card import FILE, Card, GameCard, tables_of
from repunet_model.probe.measuring import Line, doses_of
from repunet_model.probe.verdict import Verdict
from repunet_model.report import page
from repunet_model.report.drawing import BLUE, GREEN, GREY, ORANGE, VERMILION, tidy_axes
from repunet_model.report.pictures import Picture
from repunet_model.report.sections import Section
from repunet_model.report.statistics import share
from repunet_model.util import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes

REPLIES = "replies.jsonl"

COLOURS = {Verdict.FIT: GREEN, Verdict.DOUBTFUL: ORANGE, Verdict.UNFIT: VERMILION, Verdict.NONE: GREY}


def check_place(folder: Path, label: str) -> None:
    """Check a folder before any call.

    Raises:
        ConfigurationError: If it holds the card of another model.
        StorageError: If it cannot be written, or the card in it cannot be read.
    """
    files.check_new(folder)
    file = folder / FILE
    if file.exists() and (other := Card.read(file).label) != label:
        raise ConfigurationError(f"{folder} holds the card of {other}: name another folder for {label} by --out")
    with files.reporting(f"{folder} cannot be written"):
        folder.mkdir(parents=True, exist_ok=True)


def write(card: Card, folder: Path) -> None:
    """Write the card and its page; raise StorageError if they cannot be written."""
    sections = [
        page.drawn_section(
            Section(each.game, each.title, texts=[each.summary()], tables=tables_of(each)), picture, folder
        )
        for each in card.games
        for picture in [_picture(each)]
    ]
    text = page.html(f"RepuNet: fitness card of {card.label}", _lead(card), sections, _made(card))
    files.replace(folder / "index.html", text.encode())
    files.replace(folder / FILE, card.text())


def _lead(card: Card) -> str:
    calls = sum(len(each.rows) for each in card.games)
    return (
        f"{calls} calls ({card.size}), seed {card.seed}, prompts {card.prompts}, mechanism {card.mechanism}. Questions "
        "are those of runs; only the quiz is the probe's own. A verdict is of thresholds on the interval."
    )


def _made(card: Card) -> str:
    return f"Made by RepuNet for Mesa {card.made.get('repunet')}, commit {card.made.get('commit') or 'unknown'}."


def _picture(card: GameCard) -> Picture:
    """Draw all lines with their intervals, and the choices against the partner's record."""
    figure = Figure(figsize=(9, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    _draw_lines(left, card.lines())
    _draw_doses(right, card)
    caption = (
        f"{card.title}. Left: each line with its 95 % interval; green is fit, orange doubtful, vermilion unfit. Right: "
        "the share of cooperative choices against the score of the partner's record, by persona."
    )
    return Picture(card.game, card.title, caption, figure)


def _draw_lines(ax: Axes, lines: list[Line]) -> None:
    measured = [line for line in lines if line.measured is not None]
    for place, line in enumerate(reversed(measured)):
        found, colour = line.measured, COLOURS[line.verdict]
        assert found is not None
        if found.low is not None and found.high is not None:
            ax.plot([found.low, found.high], [place, place], color=colour, linewidth=2)
        ax.plot([found.mean], [place], marker="o", color=colour)
    ax.axvline(0.0, color=GREY, linewidth=0.8)
    ax.set_yticks(range(len(measured)), [line.form.title for line in reversed(measured)])
    ax.set_xlabel("value")
    ax.spines[["top", "right"]].set_visible(False)


def _draw_doses(ax: Axes, card: GameCard) -> None:
    answered = [row for row in card.rows if "unanswered" not in row]
    for altruistic, name, colour in ((True, "altruistic", BLUE), (False, "self-interested", VERMILION)):
        doses = doses_of([row for row in answered if row["altruistic"] is altruistic])
        shares = [share(sum(row["yes"] for row in rows), len(rows)) for rows in doses.values()]
        ax.plot(list(doses), [each.mean for each in shares], marker="o", color=colour, label=name)
    ax.set(xlabel="score of the partner's record", ylabel="cooperative choices", xlim=(-1.1, 1.1))
    tidy_axes(ax, steps=False, share=True)
    ax.set_ylim(-0.05, 1.05)
    ax.legend(frameon=False)
