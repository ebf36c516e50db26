"""The page's components without a browser."""

from __future__ import annotations

import solara
from ipyvuetify.generated.Alert import Alert
from ipyvuetify.generated.Btn import Btn
from ipyvuetify.generated.TextField import TextField

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
