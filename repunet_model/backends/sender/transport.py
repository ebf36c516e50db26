"""The interface between a backend and the network, one method as in httpx.

`sender.client` has the transport of runs; a test or an extension can pass another one to a backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from repunet_model.backends.base import Request


@dataclass(frozen=True, slots=True)
class Destination:
    """The address of an endpoint and the parameters of the connection.

    Timeouts are in seconds; `path` follows `base_url`; `trust_env` applies the proxy settings of the environment.
    `endpoint` is the name of a named endpoint, whose addresses all give the same replies.
    """

    base_url: str
    key: str = field(repr=False)
    timeout: float
    connect_timeout: float
    trust_env: bool
    path: str = "/chat/completions"
    endpoint: str = ""


@dataclass(eq=False)
class RefusedError(Exception):
    """The refusal of a request by the endpoint.

    Attributes:
        status: The HTTP status.
        text: The body of the response.
        message: The SDK's summary of the response.
        code: The code of the error, or None.
        parameter: The parameter that the error names, or None.
        headers: The headers about waiting: retry-after, retry-after-ms, x-ratelimit-*, date; names in lower case.
    """

    status: int
    text: str
    message: str
    code: Any
    parameter: Any
    headers: Mapping[str, str]

    def __str__(self) -> str:
        return self.message


class LostError(Exception):
    """The lack of a reply to a request, which may or may not have arrived at the endpoint."""

    def __init__(
        self, reason: str, *, is_timeout: bool = False, may_have_arrived: bool = True, is_insecure: bool = False
    ) -> None:
        super().__init__(reason)
        self.is_timeout = is_timeout
        self.may_have_arrived = may_have_arrived
        self.is_insecure = is_insecure  # the certificate is not trusted, or the server does not speak TLS


class Transport(Protocol):
    """The interface of transports."""

    async def send(self, body: Mapping[str, Any], destination: Destination, request: Request[Any]) -> str:
        """Send a body once, and return the body of the reply.

        Args:
            body: The body, as plain data.
            destination: The endpoint.
            request: The request for an answer. A transport that keeps replies for a later process keeps this one until
                the receipts of the request are called.

        Raises:
            RefusedError: If the endpoint refused the request.
            LostError: If no reply arrived.
            StorageError: If the run's mailbox cannot be used.
        """
