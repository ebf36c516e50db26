"""The errors of RepuNet: one tree, each with a message of one line that says what, where and how to mend it.

A front end prints the message of any `RepuNetError` as it is; everything else is a defect of the program.
"""

from __future__ import annotations


class RepuNetError(Exception):
    """Base of every error that a user can mend."""


class ConfigurationError(RepuNetError):
    """A parameter, a persona file or an environment variable cannot be used as given."""


class StorageError(RepuNetError):
    """A run folder cannot be read or written."""


class BackendError(RepuNetError):
    """A question could not be answered; the step it belongs to is not applied."""


class EndpointError(BackendError):
    """The endpoint refused a request for good, or kept failing until the retries ran out."""


class BudgetError(BackendError):
    """The next request might cost more than is left of the budget; it was not sent."""


class AdaptationError(BackendError):
    """The endpoint did not take a request in its form; the backend has learned another, and can be asked again."""


class DivergenceError(BackendError):
    """A replayed run asks what was not asked when it was recorded."""


class TransientError(BackendError):
    """One attempt failed in a way that may pass: a limit, an overload, a reset, a timeout.

    Attributes:
        retry_after: Seconds the endpoint asks to wait before the next attempt, if it named any.
        may_have_cost: Whether the endpoint may have answered, and counts the tokens, though no reply arrived.
        is_limit: Whether too much was asked in some time, which the endpoint does not name.
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
        text: The reply as it came.
        problem: What is wrong with it, in words that are told to the model.
        remedy: What the user can do about it, if anything.
        is_empty: Whether nothing was said, which may be the server's fault and pass.
        room: For a model that used up its tokens before it answered: how many to give it in the next attempt.
    """

    def __init__(
        self, text: str, problem: str, remedy: str = "", *, is_empty: bool = False, room: int | None = None
    ) -> None:
        super().__init__(problem)
        self.text = text
        self.problem = problem
        self.remedy = remedy
        self.is_empty = is_empty
        self.room = room
