"""A live society as Mesa's SolaraViz steers it: it never raises, and a step that asks models does not hold up the page.

SolaraViz makes a society from the parameters at the side and calls `step`. What goes wrong is kept as a text beside the
last good state. A step that only rules answer is done at once. One that asks models goes on in a thread, so that the
page can count what it costs and can cancel it; `step` returns at once then, and does nothing while one is under way.
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
from repunet_model.backends.limits import Limits
from repunet_model.backends.policies import FixedPolicy
from repunet_model.backends.setup import respondents
from repunet_model.chronicle import Chronicle
from repunet_model.config import RunConfig
from repunet_model.errors import RepuNetError


def backends(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the backends that the page offers: a human has no keyboard there, and a local model must be named."""
    return ["rules", *FixedPolicy, "openai", *(["local"] if environment.get("LLM_GGUF", "").strip() else [])]


def first_parameters() -> dict[str, Any]:
    """Return the parameters of a fresh page, by the keywords of `RepuNetModel`: all but those that name files."""
    defaults = RunConfig().keywords() | {"n_agents": 20, "backend": "rules"}
    return {name: defaults[name] for name in defaults if name != "label"}


class Core:
    """A society under way, and what is known of it.

    Attributes:
        model: The society.
        chronicle: All its steps, in memory alone.
        who: Who answers for its agents.
        limits: What requests may not exceed, interviews included.
        trouble: Why the last step failed; empty if it did not.
        is_cancelled: Whether the step under way was asked to stop.
        is_closed: Whether it has ended for good.
    """

    def __init__(self, backend: str, **parameters: Any) -> None:
        """Make a society.

        Raises:
            RepuNetError: If a parameter cannot be used.
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
        """Whether a step is under way in its thread."""
        return self._thread is not None and self._thread.is_alive()

    def advance(self, when_done: Callable[[], None]) -> None:
        """Do a step, or start it, if none is under way.

        Args:
            when_done: Called at the end of a step that was started only.
        """
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
        """Stop the step under way; replies under way are waited for, and a second time given up."""
        self.is_cancelled = True
        self.model.interrupt()

    def close(self) -> None:
        """Stop for good, and give up replies that are under way."""
        self.is_closed = True
        self.model.interrupt()
        self.model.interrupt()
        thread = self._thread
        if thread is not None:
            thread.join(timeout=5)
        self.model.close()


class Society:
    """A society with its parameters, as SolaraViz sees a model.

    Attributes:
        parameters: Its parameters, by the names of the constructor.
        core: The society under way; None if it could not be made.
        trouble: What went wrong last; empty if nothing did.
        running: Whether it can go on. Once it is False it stays so, which ends the loop that plays it.
    """

    def __init__(self, **parameters: Any) -> None:
        """Make a society; SolaraViz calls this on Reset.

        Args:
            parameters: By the keywords of `RepuNetModel`; those that are not given are as on a fresh page.
        """
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
        """Do a step, or start it; after one that failed, and when the society is closed, end."""
        if self.core is None or not self.running:
            return
        if not self.core.trouble:
            self.trouble = ""
            self.core.advance(force_update)
        if self.core.trouble or self.core.is_closed:
            self.running = False

    def continued(self) -> Society:
        """Return the same society for another controller, after a step that failed; this one ends."""
        assert self.core is not None
        other = copy.copy(self)
        other.trouble, self.core.trouble = self.core.trouble, ""
        self.running, other.running = False, True
        return other
