"""The storage of a running society: the replies of the step under way and, if the run is stored, its folder."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from repunet_model.stability import Stopped
from repunet_model.storage import stopping
from repunet_model.storage.folder import RunFolder
from repunet_model.storage.journal import Journal
from repunet_model.storage.reader import Step
from repunet_model.util import json_lines


class Recorder:
    """Recorder of the steps of a society, and of the replies of the step under way.

    `mailbox` is the file of replies to requests of an earlier process; it and `folder` are None without a stored run.
    """

    def __init__(self, close_mailbox: Callable[[Path], None]) -> None:
        """Create a recorder of a run that is not stored yet; `close_mailbox` unlocks the mailbox of a run."""
        self._close_mailbox = close_mailbox
        self.journal = Journal()
        self.mailbox: Path | None = None
        self.folder: RunFolder | None = None
        self._finalizer: weakref.finalize[..., Recorder] | None = None

    def keep_in(self, folder: RunFolder, step: int) -> None:
        """Store all further steps and replies in a folder whose last completed step is `step`."""
        self.folder = folder
        self.mailbox = folder.unread.resolve()  # The process that opens it may have another working directory.
        self.journal.open(folder.replies, step)
        self._unlock_once()

    def begin(self, step: int) -> None:
        """Lock the run for a step and read replies left for it; raise StorageError if the run is in use or has it."""
        if self.folder is None:
            return
        if self.folder.hold():
            self.journal.open(self.folder.replies, step - 1)
            self._unlock_once()
        self.folder.check_next(step)

    def write(self, step: Step) -> None:
        """Store a completed step, if the run is stored; raise StorageError if it cannot be written."""
        if self.folder is not None:
            step.write_to(self.folder)

    def note_failure(self, step: int, error: BaseException, usage: Mapping[str, Any]) -> None:
        """Store the usage of a failed step, ignoring errors of the disk."""
        if self.folder is not None and usage:
            with contextlib.suppress(OSError, ValueError):
                self.folder.note_failure(step, str(error), dict(usage))

    def note_stop(self, found: Stopped) -> None:
        """Note where the run ended as stable, if it is stored; raise StorageError if that fails."""
        if self.folder is not None:
            stopping.note(self.folder, found)

    def forget_replies(self) -> None:
        """Forget the replies of a completed step."""
        self.journal.clear()
        if self.mailbox is not None:
            json_lines.remove(self.mailbox)

    def close(self) -> None:
        """Unlock the run."""
        if self._finalizer is not None:
            self._finalizer()

    def _unlock_once(self) -> None:
        """Have the run unlocked by `close` or the end of the recorder, whichever comes first.

        A second unlocking would close the mailbox of a model that has opened the run in the meantime.
        """
        if self._finalizer is not None:
            self._finalizer.detach()
        self._finalizer = weakref.finalize(self, _let_go, self.folder, self.mailbox, close_mailbox=self._close_mailbox)


def _let_go(folder: RunFolder, mailbox: Path, *, close_mailbox: Callable[[Path], None]) -> None:
    close_mailbox(mailbox)
    folder.release()
