"""The page's components without a browser."""

from __future__ import annotations

import solara
from ipyvuetify.generated.Alert import Alert
from ipyvuetify.generated.Btn import Btn
from ipyvuetify.generated.SimpleTable import SimpleTable
from ipyvuetify.generated.TextField import TextField

from repunet_model.results.clustered import Auc
from repunet_model.results.constructs import Check
from tests.conftest import until
from visualization import components


def test_an_interview_that_fails_as_nobody_expected_says_so() -> None:
    def ask(name: str, question: str) -> str:
        raise KeyError("no such thing")

    _, rendered = solara.render(components.Interview("Ann", 1, ask), handle_error=False)
    rendered.find(TextField).widget.v_model = "Why?"
    rendered.find(Btn).widget.click()
    until(lambda: len(rendered.find(Alert)))
    assert rendered.find(Alert).widget.children == ["KeyError: 'no such thing'"]
    rendered.close()


def test_the_checks_of_a_run_are_a_table_and_trouble_is_a_line() -> None:
    found = Check("tone", "tone, and the judgement", "AUC", Auc(["a", "b"], [1.0, 2.0], [False, True]), "2 messages")
    _, rendered = solara.render(components.Checks(lambda: [found], "run"), handle_error=False)
    until(lambda: len(rendered.find(SimpleTable)))
    rows = [[cell.children[0] for cell in row.children] for row in rendered.find(SimpleTable).widget.children]
    assert rows[1:] == [["tone, and the judgement", "AUC 1.00", "–", "too few agents for an interval; 2 messages"]]
    rendered.close()
    _, rendered = solara.render(components.Checks(lambda: "damaged", "run"), handle_error=False)
    until(lambda: len(rendered.find(Alert)))
    assert rendered.find(Alert).widget.children == ["damaged"]
    rendered.close()
