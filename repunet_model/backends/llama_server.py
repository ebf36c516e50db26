"""The process of llama.cpp's server, started by `backends.local` and never imported.

It is a separate process because xllamacpp holds Python's global lock while it loads a model, hangs if it is stopped
during a request, and may crash. It ends when its standard input ends, with the process that started it.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Read the settings (one line of JSON), write the address or the error (one line of JSON), and serve."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the run handles Ctrl-C, and awaits pending replies
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output of native code goes to standard error, which is discarded
    settings = json.loads(sys.stdin.readline())
    try:
        import xllamacpp  # noqa: PLC0415  # an extra

        parameters = xllamacpp.CommonParams()
        parameters.model.path = settings["path"]
        parameters.model_alias = {settings["name"]}  # the default is the path
        parameters.hostnames = ["127.0.0.1"]
        parameters.port = 0
        parameters.api_keys = [settings["key"]]
        parameters.ui = False
        parameters.n_parallel = settings["slots"]
        parameters.n_ctx = settings["slots"] * settings["slot_tokens"]
        parameters.cpuparams.n_threads = os.cpu_count() or 1
        parameters.cache_ram_mib = settings["cache_mib"]
        parameters.sampling.top_k = 0  # the default samples from the 40 likeliest tokens only
        parameters.sampling.min_p = 0.0  # the default excludes tokens below 5 % of the likeliest one
        parameters.verbosity = -1
        server = xllamacpp.Server(parameters)
        started = {"address": server.listening_address}
    except Exception as error:
        started = {"error": str(error)}
    try:
        print(json.dumps(started), file=answer, flush=True)
        sys.stdin.read()
    finally:
        os._exit(0)  # stopping the server might wait for requests


if __name__ == "__main__":
    main()
