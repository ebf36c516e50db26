"""The seam between a backend and the network: one method, as in httpx.

Everything above it (dialect, retries, adaptation) is the backend's. `sender.client` has the transport of runs; a test
or an extension can give a backend one that answers in the same process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from repunet_model.backends.base import Request


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a request goes.

    Attributes:
        base_url: The endpoint.
        key: The API key.
        timeout: Seconds to wait for a reply.
        connect_timeout: Seconds to wait for a connection.
        trust_env: Whether the proxy settings of the environment apply.
        path: What follows the endpoint's address.
    """

    base_url: str
    key: str = field(repr=False)
    timeout: float
    connect_timeout: float
    trust_env: bool
    path: str = "/chat/completions"


class RefusedError(Exception):
    """The endpoint refused a request.

    Attributes:
        status: The HTTP status.
        text: The body of its response.
        message: The SDK's summary of it.
        code: The code of the error, if it names one.
        parameter: The parameter it is about, if it names one.
        headers: The headers about waiting: retry-after, retry-after-ms, x-ratelimit-*, date; names in lower case.
    """

    def __init__(
        self, status: int, text: str, message: str, code: Any, parameter: Any, headers: Mapping[str, str]
    ) -> None:
        super().__init__(message)
        self.status = status
        self.text = text
        self.message = message
        self.code = code
        self.parameter = parameter
        self.headers = headers


class LostError(Exception):
    """No reply came.

    Attributes:
        is_timeout: Whether the time was up.
        may_have_arrived: Whether the request may have reached the endpoint.
    """

    def __init__(self, reason: str, *, is_timeout: bool = False, may_have_arrived: bool = True) -> None:
        super().__init__(reason)
        self.is_timeout = is_timeout
        self.may_have_arrived = may_have_arrived


class Transport(Protocol):
    """Takes the body of a request to an endpoint and brings back the body of the reply."""

    async def send(self, body: Mapping[str, Any], destination: Destination, request: Request[Any]) -> str:
        """Send a body once.

        Args:
            body: What is sent, as plain data.
            destination: Where to.
            request: The question it asks. A transport that keeps replies for a later process keeps this one until the
                request's receipts are called.

        Raises:
            RefusedError: If the endpoint refused it.
            LostError: If no reply came.
            StorageError: If the run's mailbox cannot be used.
        """
