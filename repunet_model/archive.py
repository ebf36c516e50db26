"""Where a society is kept while it lives: the replies of the step under way and, if the run is stored, its folder."""

from __future__ import annotations

import contextlib
import weakref
from pathlib import Path

from repunet_model.backends.sender.client import close_mailbox
from repunet_model.journal import Journal, remove
from repunet_model.stages.world import Desk
from repunet_model.storage import RunFolder, Step


class Archive:
    """What a society has written down.

    Attributes:
        journal: The replies of the step under way.
        mailbox: The file of replies that came for an earlier process; None while the run is not stored.
        folder: Where the run is stored; None if it is not.
    """

    def __init__(self) -> None:
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
        weakref.finalize(self, _let_go, folder, self.mailbox)

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

    def note_failure(self, step: int, error: BaseException, desk: Desk) -> None:
        """Keep what a failed step has cost, as far as that can be written."""
        if self.folder is not None and desk.usage:
            with contextlib.suppress(OSError, ValueError):
                self.folder.note_failure(step, str(error), desk.spent.to_dict())

    def forget_replies(self) -> None:
        """Forget the replies of a step that is whole."""
        self.journal.clear()
        if self.mailbox is not None:
            remove(self.mailbox)

    def close(self) -> None:
        """Let others write to the run."""
        if self.folder is not None and self.mailbox is not None:
            _let_go(self.folder, self.mailbox)


def _let_go(folder: RunFolder, mailbox: Path) -> None:
    close_mailbox(mailbox)
    folder.release()
