"""An interpreter that has imported the package, and runs each command of a page in a child of its own.

Starting Python and importing Mesa, pandas and Matplotlib takes seconds of CPU; a fork of a process that has done so
takes none. A command gets the reader's folder, environment, arguments, input and output, and ends with its exit code,
as if it had been started by itself. Started by tests, never imported.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import socket
import sys
import warnings
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

assert sys.platform != "win32"


def ask(place: str, words: list[str]) -> int:
    """Have a command run, and return its exit code."""
    file, *arguments = words[1:] if words[0] == "python" else words
    wanted = {"folder": os.getcwd(), "environment": dict(os.environ), "file": file, "arguments": arguments}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(place)
        socket.send_fds(connection, [b"\n"], [0, 1, 2])
        connection.sendall(json.dumps(wanted).encode())
        connection.shutdown(socket.SHUT_WR)
        return int(connection.recv(100) or b"1")


def serve(place: str) -> int:
    """Run commands until this process is ended; return only in a child, with the exit code of its command."""
    import repunet_model  # noqa: PLC0415 - not where a command is handed over

    for module in walk_packages(repunet_model.__path__, "repunet_model."):
        if not module.name.endswith((".__main__", ".testing")):
            import_module(module.name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    # Libraries have started threads, which wait for work and are not needed by the children.
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(place)
        server.listen()
        while True:
            connection, _ = server.accept()
            if not os.fork():
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, descriptors, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rb") as sent:
        wanted = json.loads(sent.read())
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        connection.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
        os._exit(0)
    connection.close()
    return _run(descriptors, **wanted)


def _run(descriptors: list[int], folder: str, environment: dict[str, str], file: str, arguments: list[str]) -> int:
    """Be the process of a command."""
    for own, other in enumerate(descriptors):
        os.dup2(other, own)
        os.close(other)
    sys.stdin, sys.stdout, sys.stderr = (
        open(own, mode, buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
        for own, mode in enumerate("rww")
    )
    os.chdir(folder)
    programs = str(Path(sys.executable).parent)
    os.environ.clear()
    os.environ |= {
        **environment,
        "VIRTUAL_ENV": sys.prefix,
        "PATH": os.pathsep.join([programs, environment["PATH"]]),
    }
    sys.argv = [file, *arguments]
    sys.path[0] = str(Path(file).resolve().parent)
    try:
        runpy.run_path(file, run_name="__main__")
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        raise
    return 0


if __name__ == "__main__":
    job, place, *words = sys.argv[1:]
    sys.exit(ask(place, words) if job == "ask" else serve(place))
