"""A live society for Mesa's SolaraViz: `step` never raises an error, and does not block the page.

SolaraViz makes a society from the parameters in the sidebar and calls `step`. Errors are kept as a text beside the last
valid state. A step without models is done at once. A step that asks models runs in a thread, so that the page can show
its cost and cancel it; `step` then returns at once, and does nothing while one is under way.
"""

from __future__ import annotations

import asyncio
import copy
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any

from mesa.visualization.utils import force_update

from repunet_model import RepuNetModel
from repunet_model.backends.endpoints import Environment
from repunet_model.backends.limits import Limits
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.setup import respondents
from repunet_model.chronicle import Chronicle
from repunet_model.config import RunConfig
from repunet_model.errors import RepuNetError


def backends(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the backends that the page offers: named endpoints, a local model if LLM_GGUF names one, and no human."""
    named = (f"openai:{name}" for name in Environment.of(environment).endpoints)
    return ["rules", *FixedPolicy, "openai", *named, *(["local"] if environment.get("LLM_GGUF", "").strip() else [])]


def first_parameters() -> dict[str, Any]:
    """Return the initial parameters of the page, by the keywords of `RepuNetModel`, without those that name files."""
    defaults = RunConfig().keywords() | {
        "n_agents": 20,
        "backend": "rules",
        "game_parameters": "",
        "population": "",
        "network": "none",
        "prompts": "neutral",
    }
    return {name: defaults[name] for name in defaults if name != "label"}


class Core:
    """A live model with its chronicle and its errors.

    Attributes:
        model: The model.
        chronicle: All its steps, in memory.
        who: The backends of its agents.
        limits: The limits of requests, including interviews.
        trouble: The error of the last step; empty if it succeeded.
        is_cancelled: Whether the step under way was cancelled.
        is_closed: Whether the society is closed.
    """

    def __init__(self, backend: str, **parameters: Any) -> None:
        """Create a society.

        Raises:
            RepuNetError: If a parameter is invalid.
        """
        self.who = respondents(backend)
        self.limits = Limits()
        self.model = RepuNetModel(backend=self.who.default, limits=self.limits, **parameters)
        self.chronicle = Chronicle.of_model(self.model)
        self.trouble = ""
        self.is_cancelled = False
        self._thread: threading.Thread | None = None
        self.is_closed = False

    @property
    def is_busy(self) -> bool:
        """Whether a thread runs a step."""
        return self._thread is not None and self._thread.is_alive()

    def advance(self, when_done: Callable[[], None]) -> None:
        """Run a step, or start it in a thread that calls `when_done` at its end, unless one is under way."""
        if self.is_busy or self.is_closed:
            return
        self.trouble = ""
        if not self.model.asks_models:
            self._step()
            return

        def work() -> None:
            self._step()
            self._thread = None
            if not self.is_closed:
                when_done()

        self._thread = threading.Thread(target=work, name="repunet-step", daemon=True)
        self._thread.start()

    def _step(self) -> None:
        self.is_cancelled = False
        number = self.model.steps + 1
        try:
            self.model.step()
        except RepuNetError as error:
            self.trouble = f"Step {number} failed, and the society is as it was before it: {error}"
        except asyncio.CancelledError:
            self.trouble = f"Step {number} was cancelled, and the society is as it was before it."

    def cancel(self) -> None:
        """Cancel the step under way: a first call awaits pending replies, a second drops them."""
        self.is_cancelled = True
        self.model.interrupt()

    def close(self) -> None:
        """End the society, dropping pending replies."""
        self.is_closed = True
        self.model.interrupt()
        self.model.interrupt()
        if (thread := self._thread) is not None:
            thread.join(timeout=5)
        self.model.close()


class Society:
    """A society with its parameters, in the form of a model of SolaraViz.

    Attributes:
        parameters: Its parameters, by keywords of `RepuNetModel`.
        core: The live model; None if the parameters are invalid.
        trouble: The last error; empty without one.
        running: Whether it can go on. Once False, it stays False, which ends the loop that plays it.
    """

    def __init__(self, **parameters: Any) -> None:
        """Create a society from `first_parameters` and the given ones; SolaraViz calls this on Reset."""
        self.parameters: dict[str, Any] = {**first_parameters(), **parameters}
        self.core: Core | None = None
        self.trouble = ""
        self.running = True
        try:
            self.core = Core(**self.parameters)
        except RepuNetError as error:
            self.trouble = f"This society cannot be made: {error}. Change the parameters, and press Reset."
            self.running = False

    @property
    def time(self) -> float:
        """Mesa's clock."""
        return self.core.model.time if self.core is not None else 0.0

    def step(self) -> None:
        """Run or start a step; stop running after a failed step, or when the society is closed."""
        if self.core is None or not self.running:
            return
        if not self.core.trouble:
            self.trouble = ""
            self.core.advance(force_update)
        if self.core.trouble or self.core.is_closed:
            self.running = False

    def continued(self) -> Society:
        """Return a copy for a new controller after a failed step, and stop this one."""
        assert self.core is not None
        other = copy.copy(self)
        other.trouble, self.core.trouble = self.core.trouble, ""
        self.running, other.running = False, True
        return other
