"""The backend of a model on this machine: a GGUF file, served by llama.cpp through the package xllamacpp.

The first question starts a server process (`backends.llama_server`), which listens on a free port of 127.0.0.1 and
requires a random key. It ends with the backend or with the process of the run. It is used like any endpoint
(`backends.openai`) and configured by the same LLM_* variables except LLM_MODEL, LLM_API_BASE, LLM_EXTRA and
OPENAI_API_KEY; LLM_MAX_TOKENS is 512 by default.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping
from dataclasses import asdict, replace
from hashlib import file_digest
from importlib.util import find_spec
from pathlib import Path

from repunet_model.backends import llama_server
from repunet_model.backends.base import Request
from repunet_model.backends.endpoint import Endpoint
from repunet_model.backends.openai import OpenAIBackend
from repunet_model.errors import ConfigurationError, EndpointError
from repunet_model.questions.base import Answer
from repunet_model.util.text import to_install

SLOTS = 4
"""The number of concurrent requests to the server."""

SLOT_TOKENS = 4096
"""The largest number of tokens of a prompt and its reply.

With texts of the rules backend and SmolLM2's tokenizer, the longest prompt of the three games has fewer than 900
tokens, and fewer than 1,700 after three re-asks; texts of language models are longer.
"""

CACHE_MIB = 256
"""The memory for earlier prompts, in addition to those in the slots."""

LEAST_MAX_TOKENS, MOST_MAX_TOKENS = 160, SLOT_TOKENS // 2
"""The range of LLM_MAX_TOKENS: shorter replies are cut off inside their JSON, longer ones may not fit into a slot."""

MAX_TOKENS = 512
"""The default of LLM_MAX_TOKENS; a small model that repeats itself writes up to this limit."""


def settings(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Read sampling, reply format and timeout from LLM_* variables; raise ConfigurationError if one is invalid."""
    longest = environment.get("LLM_MAX_TOKENS", "").strip() or str(MAX_TOKENS)
    own = {"LLM_MODEL": "", "LLM_API_BASE": "", "LLM_EXTRA": "", "LLM_MAX_TOKENS": longest}
    endpoint = Endpoint.from_environment({**environment, **own})
    return replace(endpoint, most_tokens=min(endpoint.longest_reply, MOST_MAX_TOKENS))


class LocalBackend:
    """A model in a GGUF file and its server; the description holds the file's name and hash, but not its folder."""

    reads_prompts = True
    is_costly = True
    asks_model = True

    def __init__(self, gguf: Path, endpoint: Endpoint) -> None:
        """Check the GGUF file, the longest reply and that xllamacpp is installed, or raise ConfigurationError.

        The first question starts the server. The model and address of `endpoint` are ignored.
        """
        if find_spec("xllamacpp") is None:
            raise ConfigurationError(f"the backend local needs the package xllamacpp: {to_install('local')}")
        self._endpoint = endpoint.of_model(gguf.name)
        sampling = self._endpoint.sampling
        if not LEAST_MAX_TOKENS <= sampling.max_tokens <= MOST_MAX_TOKENS:
            raise ConfigurationError(
                f"LLM_MAX_TOKENS is {sampling.max_tokens}: must be from {LEAST_MAX_TOKENS} to {MOST_MAX_TOKENS} for "
                "the backend local, since replies are cut off below and may not fit beside the prompt above"
            )
        self.description = {"backend": "local", **asdict(sampling), "sha256": _hash_of(gguf)}
        self._server = _Server(gguf)
        weakref.finalize(self, self._server.stop)
        self._starting = asyncio.Lock()
        self._slots = asyncio.Semaphore(SLOTS)
        self._served: OpenAIBackend | None = None

    async def answer[A: Answer](self, request: Request[A]) -> A:
        """Ask the server once it has a free slot; the timeout begins only then.

        Raises InvalidReplyError if the reply does not fit, TransientError if a later attempt may succeed, and
        EndpointError if none can, or if the server did not start.
        """
        async with self._slots:
            return await (await self._serve()).answer(request)

    async def _serve(self) -> OpenAIBackend:
        """Return the backend of the server, which the first call starts."""
        async with self._starting:
            if self._served is None:
                address = await asyncio.to_thread(self._server.start)
                self._served = OpenAIBackend(replace(self._endpoint, base_url=f"{address}/v1"), self._server.key)
            return self._served

    async def close(self) -> None:
        """Close the client and stop the server."""
        async with self._starting:
            if self._served is not None:
                await self._served.close()
                self._served = None
            await asyncio.to_thread(self._server.stop)


class _Server:
    """The process of the server, with a key that keeps other users of the machine out; its methods are thread-safe."""

    def __init__(self, gguf: Path) -> None:
        self._gguf = gguf
        self.key = secrets.token_hex(16)
        self._process: subprocess.Popen[str] | None = None
        self._address = ""
        self._lock = threading.Lock()

    def start(self) -> str:
        """Start the server, unless it is running, and return its address; raise EndpointError if it did not start."""
        with self._lock:
            if self._process is None:
                process = subprocess.Popen(
                    [sys.executable, "-P", llama_server.__file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
                started = self._converse(process)
                if "address" not in started:
                    _end(process)
                    problem = started.get("error", "it ended while it started, for want of memory perhaps")
                    raise EndpointError(f"llama.cpp cannot serve {self._gguf}: {' '.join(problem.split())}")
                self._process, self._address = process, started["address"]
            return self._address

    def _converse(self, process: subprocess.Popen[str]) -> dict[str, str]:
        """Send the settings to the process and return its reply, empty if it has ended."""
        assert process.stdin is not None
        assert process.stdout is not None
        wanted = {
            "path": str(self._gguf.absolute()),
            "name": self._gguf.name,
            "key": self.key,
            "slots": SLOTS,
            "slot_tokens": SLOT_TOKENS,
            "cache_mib": CACHE_MIB,
        }
        try:
            process.stdin.write(f"{json.dumps(wanted)}\n")
            process.stdin.flush()
        except BrokenPipeError:
            return {}
        return dict(json.loads(process.stdout.readline() or "{}"))

    def stop(self) -> None:
        """Stop the server if it is running."""
        with self._lock:
            if self._process is not None:
                _end(self._process)
                self._process = None


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def _hash_of(gguf: Path) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a GGUF file; raise ConfigurationError for another."""
    try:
        with gguf.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ConfigurationError(f"{gguf} is no GGUF file: name a model in llama.cpp's format, as local:FILE")
            file.seek(0)
            return file_digest(file, "sha256").hexdigest()[:16]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{gguf} cannot be read ({reason}): name a GGUF file, as local:FILE") from error
