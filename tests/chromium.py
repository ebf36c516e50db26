"""A real browser and the page's server, for tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from playwright.sync_api import Browser, Page, sync_playwright

from repunet_model.cli import main
from repunet_model.util import files
from tests import ROOT

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
"""The browser of this machine, if it has one."""

PATIENCE = 120.0
"""The longest wait for a server or a page, in seconds, on a busy machine."""

QUIET = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
)

BETWEEN = "\n----\n"
"""The separator of threads in the file that a server writes."""

OWN = ("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")


@dataclass
class Server:
    """The page's server in a separate process.

    Attributes:
        url: The address of the page.
        process: The process.
        dump: The file to which it writes its threads on request; None if it does not.
    """

    url: str
    process: subprocess.Popen[bytes]
    dump: Path | None = None

    def threads(self) -> list[str]:
        """Return the stacks of the process's threads, without the idle threads of the server's pool."""
        assert self.dump is not None
        self.dump.unlink(missing_ok=True)
        if sys.platform != "win32":
            self.process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + PATIENCE
        while not self.dump.exists():
            assert self.process.poll() is None, "the page's server has ended"
            assert time.monotonic() < deadline, "the page's server does not say what its threads are doing"
            time.sleep(0.05)
        found = self.dump.read_text().split(BETWEEN)
        return [thread for thread in found if not ("queue.py" in thread and "anyio" in thread)]


def serve(dump: str) -> NoReturn:
    """Run the command line, and write the stack of each thread to a file on each SIGUSR1."""

    # In Python, under the interpreter's lock: faulthandler reads frames while they change, and sometimes crashes.
    def write(*_: object) -> None:
        stacks = ("".join(traceback.format_stack(frame)) for frame in sys._current_frames().values())
        files.replace(Path(dump), BETWEEN.join(stacks).encode())

    if sys.platform != "win32":
        signal.signal(signal.SIGUSR1, write)
    sys.exit(main())


@contextmanager
def serving(storage: Path, *words: str, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Serve the page in a context."""
    dump = storage / ".threads"
    program = f"from tests import chromium; chromium.serve({str(dump)!r})"
    command = [sys.executable, "-c", program, "viz", *words, "--no-browser", "--storage", str(storage)]
    with _served(command, environment or {}) as server:
        server.dump = dump
        yield server


def serving_app(file: Path) -> AbstractContextManager[Server]:
    """Serve a Solara page from a file in a context."""
    words = ["-m", "solara", "run", str(file), "--production", "--no-open", "--no-check-version", "--host", "127.0.0.1"]
    environment = {"SOLARA_TELEMETRY_MIXPANEL_ENABLE": "False", "SOLARA_THEME_SHOW_BANNER": "False"}
    return _served([sys.executable, *words], environment)


def serving_installed(program: Path, folder: Path) -> AbstractContextManager[Server]:
    """Serve the page of an installed program, from another folder, in a context."""
    return _served([str(program), "viz", "--no-browser"], {}, folder)


@contextmanager
def _served(words: list[str], environment: Mapping[str, str], folder: Path = ROOT) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [*words, "--port", str(port)]
    with subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            _wait_for(url, process)
            yield Server(url, process)
        finally:
            process.terminate()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"the page did not come up at {url}")


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Run the browser headless in a context."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """The complaints of a browser tab.

    Attributes:
        errors: Errors on its console, and exceptions.
        strangers: Requests to other hosts than 127.0.0.1.
    """

    errors: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def listen(self, tab: Page) -> None:
        """Record the complaints of a tab from now on."""
        tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("request", lambda request: None if request.url.startswith(OWN) else self.strangers.append(request.url))


@contextmanager
def watched_tab(browser: Browser, url: str, height: int) -> Iterator[Page]:
    """Open a tab on a network in a context, with a height in pixels; it must have no errors and no foreign requests."""
    with browser.new_context(viewport={"width": 1280, "height": height}) as context:
        watched = Watched()
        opened = context.new_page()
        opened.set_default_timeout(PATIENCE * 1000)
        watched.listen(opened)
        opened.goto(url)
        opened.wait_for_selector(".rn-node")
        yield opened
        assert watched.errors == []
        assert watched.strangers == []
