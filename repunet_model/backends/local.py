"""The backend of a model on this machine: any GGUF file, served by llama.cpp through the package xllamacpp.

The server is a process of its own (`backends.llama_server`), which is started when the first question comes. It
listens on 127.0.0.1 alone, on a free port, and wants a key that is drawn for it. It ends with the backend or with the
process of the run, whichever ends first. Questions reach it as they reach any endpoint (`backends.openai`), configured
by the same LLM_* variables but for LLM_MODEL, LLM_API_BASE and OPENAI_API_KEY; LLM_MAX_TOKENS is 512 by default.
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
"""Requests that the server works on at once; others wait before they are sent."""

SLOT_TOKENS = 4096
"""Room of a request, prompt and reply together.

The longest prompt of the three games is short of 900 tokens, and of 1,700 after three re-asks (SmolLM2's tokenizer,
texts of the rules backend); a language model's own texts make it longer.
"""

CACHE_MIB = 256
"""Memory for prompts that were seen before, beside those in the slots."""

LEAST_MAX_TOKENS, MOST_MAX_TOKENS = 160, SLOT_TOKENS // 2
"""Below it replies are cut off inside their JSON; above it they may not fit beside the prompt."""

MAX_TOKENS = 512
"""The longest reply unless LLM_MAX_TOKENS says otherwise: a small model that loops goes on to this limit."""


def settings(environment: Mapping[str, str] = os.environ) -> Endpoint:
    """Read sampling parameters, reply format and timeout from the LLM_* variables.

    Raises:
        ConfigurationError: If a variable does not hold what it should.
    """
    of_others = {"LLM_MODEL": "", "LLM_API_BASE": ""}
    longest = environment.get("LLM_MAX_TOKENS", "").strip() or str(MAX_TOKENS)
    endpoint = Endpoint.from_environment({**environment, **of_others, "LLM_MAX_TOKENS": longest})
    return replace(endpoint, most_tokens=min(endpoint.longest_reply, MOST_MAX_TOKENS))


class LocalBackend:
    """A GGUF file and the server that answers from it.

    Attributes:
        description: Name, the file's name and hash, sampling parameters; not where the file is.
    """

    reads_prompts = True
    is_costly = True
    asks_model = True

    def __init__(self, gguf: Path, endpoint: Endpoint) -> None:
        """Check the file; the server is started later.

        Args:
            gguf: The model.
            endpoint: Sampling parameters, reply format and timeout; its model and address are left out of account.

        Raises:
            ConfigurationError: If the file is no GGUF file, the longest reply is out of range, or xllamacpp is missing.
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
        """Have the server answer when one of its slots is free, so that no time is up while a request waits for one.

        Raises:
            InvalidReplyError: If the reply does not fit.
            TransientError: If the attempt failed in a way that may pass.
            EndpointError: If it failed for good, or the server did not start.
        """
        async with self._slots:
            return await (await self._serve()).answer(request)

    async def _serve(self) -> OpenAIBackend:
        """Return the backend of the server, started if it was not.

        Raises:
            EndpointError: If it did not start.
        """
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
    """The process of the server. Its methods may be called from any thread.

    Attributes:
        key: What requests must carry, so that nobody else on this machine can ask.
    """

    def __init__(self, gguf: Path) -> None:
        self._gguf = gguf
        self.key = secrets.token_hex(16)
        self._process: subprocess.Popen[str] | None = None
        self._address = ""
        self._lock = threading.Lock()

    def start(self) -> str:
        """Start the server, if it was not, and return its address when the model is loaded.

        Raises:
            EndpointError: If it did not start.
        """
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
        """Tell the process what to serve, and return what it says to that; nothing if it ended."""
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
        said: dict[str, str] = json.loads(process.stdout.readline() or "{}")
        return said

    def stop(self) -> None:
        """Stop the server, if it was started."""
        with self._lock:
            if self._process is not None:
                _end(self._process)
                self._process = None


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()  # it has nothing to save
    process.communicate()


def _hash_of(gguf: Path) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of a GGUF file.

    Raises:
        ConfigurationError: If it is none, or cannot be read.
    """
    try:
        with gguf.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise ConfigurationError(f"{gguf} is no GGUF file: name a model in llama.cpp's format, as local:FILE")
            file.seek(0)
            return file_digest(file, "sha256").hexdigest()[:16]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{gguf} cannot be read ({reason}): name a GGUF file, as local:FILE") from error
