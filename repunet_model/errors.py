"""The errors of RepuNet: one tree, each with a message of one line that names the object, the problem and the remedy.

A front end prints the message of any `RepuNetError`; every other exception is a defect of the program.
"""

from __future__ import annotations


class RepuNetError(Exception):
    """Base of every error that a user can mend."""


class ConfigurationError(RepuNetError):
    """A parameter, a persona file or an environment variable cannot be used as given."""


class StorageError(RepuNetError):
    """A run folder cannot be read or written."""


class BackendError(RepuNetError):
    """A question was not answered; the step it belongs to is not applied."""


class EndpointError(BackendError):
    """The endpoint refused a request permanently, or failed until the retries ran out.

    `may_have_cost` says whether the endpoint may have charged for a reply that was not counted.
    """

    def __init__(self, message: str, *, may_have_cost: bool = False) -> None:
        super().__init__(message)
        self.may_have_cost = may_have_cost


class BudgetError(BackendError):
    """A request might exceed the budget; it was not sent."""


class AdaptationError(BackendError):
    """The endpoint rejected the form of a request; the backend has learned another form, and can be asked again."""


class DivergenceError(BackendError):
    """A replayed run asks a question that was not asked when it was recorded."""


class TransientError(BackendError):
    """One attempt failed for a reason that may pass: a limit, an overload, a reset, a timeout.

    Attributes:
        retry_after: Seconds to wait before the next attempt, if the endpoint names them.
        may_have_cost: Whether the endpoint may have charged for a reply that did not arrive.
        is_limit: Whether a rate limit was hit that the endpoint does not name.
    """

    def __init__(
        self, message: str, retry_after: float | None = None, *, may_have_cost: bool = False, is_limit: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.may_have_cost = may_have_cost
        self.is_limit = is_limit


class InvalidReplyError(BackendError):
    """A reply does not fit its question.

    Attributes:
        text: The reply.
        problem: The problem, in the words that are sent to the model.
        remedy: The advice to the user, if any.
        is_empty: Whether the reply is empty, which may be a passing fault of the server.
        room: The tokens to allow in the next attempt, for a model that spent all of them before it answered.
        missing: The part of a compound reply that is null though it has to be answered; empty if none is.
    """

    def __init__(
        self,
        text: str,
        problem: str,
        remedy: str = "",
        *,
        is_empty: bool = False,
        room: int | None = None,
        missing: str = "",
    ) -> None:
        super().__init__(problem)
        self.text = text
        self.problem = problem
        self.remedy = remedy
        self.is_empty = is_empty
        self.room = room
        self.missing = missing
