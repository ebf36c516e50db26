"""llama.cpp's server in a process of its own: started by `backends.local`, never imported by it.

A process of its own, since xllamacpp holds Python's global lock while it loads a model, waits for ever when it is
stopped under a request, and would take the run down with it if it crashed. It serves until its standard input ends,
which it does when whoever started it closes it or dies. Its log goes nowhere.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Read the settings (one line of JSON), serve, and write the address or the error (one line of JSON)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the run, which sees requests to their end
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever native code prints goes where the log goes
    settings = json.loads(sys.stdin.readline())
    try:
        import xllamacpp  # noqa: PLC0415  # an extra

        parameters = xllamacpp.CommonParams()
        parameters.model.path = settings["path"]
        parameters.model_alias = {settings["name"]}  # otherwise replies name the path
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.api_keys = [settings["key"]]
        parameters.ui = False
        parameters.n_parallel = settings["slots"]
        parameters.n_ctx = settings["slots"] * settings["slot_tokens"]
        parameters.cpuparams.n_threads = os.cpu_count() or 1
        parameters.cache_ram_mib = settings["cache_mib"]
        parameters.sampling.top_k = 0  # by default it samples from 40 tokens,
        parameters.sampling.min_p = 0.0  # and from none below a twentieth of the likeliest
        parameters.verbosity = -1
        server = xllamacpp.Server(parameters)
        started = {"address": server.listening_address}
    except Exception as error:
        started = {"error": str(error)}
    try:
        print(json.dumps(started), file=answer, flush=True)
        sys.stdin.read()
    finally:
        os._exit(0)  # without stopping the server, which might wait for requests


if __name__ == "__main__":
    main()
