"""How a command ends: its exit codes, and the exceptions that stand for them. Imported by all, imports nothing."""

import errno

DONE, CHECK_FAILED, USER_ERROR, TRAINING_FAILED, STOPPED, INTERRUPTED = 0, 1, 2, 3, 75, 130
FULL = (errno.ENOSPC, errno.EDQUOT)  # no room on the disk, or in the user's share of it
# What the system may answer differently at the next start: a share that is away, a device that fails, too many open files.
PASSING = (
    errno.EIO,
    errno.ESTALE,
    errno.ENXIO,
    errno.ENODEV,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTDOWN,
    errno.EHOSTUNREACH,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOLCK,
)


class UserError(Exception):
    """A mistake that the user can mend: printed as one message, exit code 2, no traceback."""


class CheckFailed(Exception):
    """A check failed (parity, leakage): one message, exit code 1."""


class TrainingFailed(Exception):
    """Training cannot continue (NaN, memory): one message, exit code 3."""


class Stopped(BaseException):
    """Stopped by a signal or by time, everything kept: `code` is 75, or 130 after Ctrl-C.

    A signal's handler raises it anywhere, also within code that takes every `Exception` for a damaged file. Like
    KeyboardInterrupt it is none, so that no such handler swallows it.
    """

    def __init__(self, message: str, code: int = STOPPED) -> None:
        super().__init__(message)
        self.code = code
