"""Requests over HTTP with OpenAI's SDK, imported only by the process that sends requests."""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

import aiohttp
import httpx2
import openai

from repunet_model.backends.sender.transport import Destination

_OF_WAITING = ("retry-after", "x-ratelimit-", "date")

_NO_TLS = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"}
"""OpenSSL's reasons for a failed connection to a server that speaks plain HTTP."""


async def send(destination: Destination, body: bytes) -> dict[str, Any]:
    """Send a body of JSON once.

    Returns:
        The body of the reply under "content", or the arguments of a `RefusedError` under "refused" or of a `LostError`
        under "lost".
    """
    try:
        response = await _client(destination).post(
            destination.path,
            cast_to=httpx2.Response,
            content=body,
            options={"headers": {"Content-Type": "application/json"}},
        )
    except openai.APIStatusError as error:
        headers = {name.lower(): value for name, value in error.response.headers.items()}
        return {
            "refused": {
                "status": error.status_code,
                "text": error.response.text,
                "message": error.message,
                "code": error.code,
                "parameter": error.param,
                "headers": {name: value for name, value in headers.items() if name.startswith(_OF_WAITING)},
            }
        }
    except openai.APIConnectionError as error:
        return {"lost": _loss(error)}
    except Exception as error:
        return {"lost": {"reason": f"{type(error).__name__}: {error}"}}
    return {"content": response.content.decode("utf-8", "replace")}


def _loss(error: openai.APIConnectionError) -> dict[str, Any]:
    """Return the arguments of a `LostError`, from the causes of an error: the SDK reports aiohttp's as timeouts."""
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    for cause in causes:
        if isinstance(cause, aiohttp.ClientConnectorError):
            loss = {"reason": cause.os_error.strerror or str(cause), "may_have_arrived": False}
            if isinstance(cause, aiohttp.ClientConnectorCertificateError):
                return loss | {"reason": getattr(cause.os_error, "verify_message", str(cause)), "is_insecure": True}
            return loss | {"is_insecure": getattr(cause.os_error, "reason", "") in _NO_TLS}
    is_timeout = any(isinstance(cause, TimeoutError) for cause in causes)
    return {"reason": str(causes[-1]), "is_timeout": is_timeout}


@cache
def _client(destination: Destination) -> openai.AsyncOpenAI:
    # SSL_CERT_FILE holds for every endpoint, where the proxies of the environment do not.
    certificates = os.environ.get("SSL_CERT_FILE")
    verify = ssl.create_default_context(cafile=certificates) if certificates and not destination.trust_env else True
    return openai.AsyncOpenAI(
        api_key=destination.key,
        base_url=destination.base_url,
        max_retries=0,
        timeout=openai.Timeout(destination.timeout, connect=destination.connect_timeout),
        # Without redirects, prompts reach only the configured endpoint.
        http_client=openai.DefaultAioHttpClient(follow_redirects=False, trust_env=destination.trust_env, verify=verify),
    )
