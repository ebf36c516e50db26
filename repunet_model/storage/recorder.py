"""Where a society is kept while it lives: the replies of the step under way and, if the run is stored, its folder."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from repunet_model.storage.folder import RunFolder
from repunet_model.storage.journal import Journal, remove
from repunet_model.storage.reader import Step


class Recorder:
    """Writes the steps of a society, and the replies of the step under way.

    Attributes:
        journal: The replies of the step under way.
        mailbox: The file of replies that came for an earlier process; None while the run is not stored.
        folder: Where the run is stored; None if it is not.
    """

    def __init__(self, close_mailbox: Callable[[Path], None]) -> None:
        """Make a recorder of a run that is not stored yet.

        Args:
            close_mailbox: Lets other processes have the mailbox of a run.
        """
        self._close_mailbox = close_mailbox
        self.journal = Journal()
        self.mailbox: Path | None = None
        self.folder: RunFolder | None = None

    def keep_in(self, folder: RunFolder, step: int) -> None:
        """Store every further step in a folder, and every reply before that.

        Args:
            folder: The folder.
            step: The last whole step.
        """
        self.folder = folder
        self.mailbox = folder.unread.resolve()  # another process opens it, which was started in another folder perhaps
        self.journal.open(folder.replies, step)
        weakref.finalize(self, _let_go, folder, self.mailbox, close_mailbox=self._close_mailbox)

    def begin(self, step: int) -> None:
        """Make sure that a step can be stored, and take in what others have left of it.

        Raises:
            StorageError: If somebody else writes to the run, or the step is there already.
        """
        if self.folder is None:
            return
        if self.folder.hold():
            self.journal.open(self.folder.replies, step - 1)
        self.folder.check_next(step)

    def write(self, step: Step) -> None:
        """Store a step that is done, if the run is stored.

        Raises:
            StorageError: If it cannot be written.
        """
        if self.folder is not None:
            step.write_to(self.folder)

    def note_failure(self, step: int, error: BaseException, usage: Mapping[str, Any]) -> None:
        """Keep what a failed step has cost, as far as that can be written."""
        if self.folder is not None and usage:
            with contextlib.suppress(OSError, ValueError):
                self.folder.note_failure(step, str(error), dict(usage))

    def forget_replies(self) -> None:
        """Forget the replies of a step that is whole."""
        self.journal.clear()
        if self.mailbox is not None:
            remove(self.mailbox)

    def close(self) -> None:
        """Let others write to the run."""
        if self.folder is not None and self.mailbox is not None:
            _let_go(self.folder, self.mailbox, close_mailbox=self._close_mailbox)


def _let_go(folder: RunFolder, mailbox: Path, *, close_mailbox: Callable[[Path], None]) -> None:
    close_mailbox(mailbox)
    folder.release()
