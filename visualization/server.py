"""The server of the page, on 127.0.0.1 only, without requests to other hosts and without telemetry."""

from __future__ import annotations

import os
import socket
import sys
import threading
import warnings
import webbrowser
from importlib import import_module
from pathlib import Path

import uvicorn
from solara.server import settings

from repunet_model.errors import ConfigurationError
from repunet_model.util import event_loop
from repunet_model.util.screen import say

HOST = "127.0.0.1"

APP = "visualization.app"

FORGOTTEN_AFTER = "10m"
"""The time for which a session is kept when its browser disconnects."""


def serve(storage: Path, run: Path | None, port: int, *, open_browser: bool) -> None:
    """Serve the page until an interrupt.

    Args:
        storage: The folder of all runs.
        run: The stored run to open first; None for a live society.
        port: The port.
        open_browser: Whether to open a browser.

    Raises:
        ConfigurationError: If the port is in use.
    """
    _check_free(port)
    os.environ["REPUNET_STORAGE"] = str(storage)
    os.environ["REPUNET_PAGE_RUN"] = "" if run is None else str(run)
    os.environ["SOLARA_APP"] = APP
    settings.main.mode = "production"
    settings.telemetry.mixpanel_enable = False
    settings.kernel.cull_timeout = FORGOTTEN_AFTER
    settings.theme.show_banner = False
    settings.theme.title = "RepuNet for Mesa"
    # The warning concerns embedded pages, which this one is not.
    warnings.filterwarnings("ignore", message="Cookies with samesite=none")
    # Imported now, so that the first visitor does not wait for Mesa.
    import_module(APP)
    url = f"http://{HOST}:{port}"
    # The event loop that all societies share is started outside any session, so that it survives each of them.
    event_loop.BackgroundTask[None]()
    server = uvicorn.Server(
        uvicorn.Config("solara.server.starlette:app", host=HOST, port=port, log_level="warning", loop="asyncio")
    )
    say(f"The page is at {url} (Ctrl-C ends it)")
    sys.stdout.flush()
    if open_browser:
        threading.Timer(1.0, webbrowser.open, [url]).start()
    server.run()


def _check_free(port: int) -> None:
    """Raise an error unless the port is free."""
    with socket.socket() as probe:
        if os.name != "nt":  # On Windows the option would allow a port in use.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigurationError(f"port {port} of {HOST}: {error.strerror}; choose another --port") from None
