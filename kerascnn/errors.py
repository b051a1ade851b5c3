"""Exit codes of the commands, and the exceptions that lead to them. Imported by all other modules, imports none of them."""

import errno

DONE, CHECK_FAILED, USER_ERROR, TRAINING_FAILED, STOPPED, INTERRUPTED = 0, 1, 2, 3, 75, 130
FULL = (errno.ENOSPC, errno.EDQUOT)  # no space on the disk, or quota exceeded
# Errors that may be gone at the next start: a network share that is away, a failing device, too many open files.
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
    """A mistake that the user can correct: one message, exit code 2, no traceback."""


class CheckFailed(Exception):
    """A check failed (parity, leakage): one message, exit code 1."""


class TrainingFailed(Exception):
    """Training cannot continue (NaN, memory): one message, exit code 3."""


class Stopped(BaseException):
    """Stopped by a signal or a time limit with everything kept: `code` is 75, or 130 after Ctrl-C.

    A signal handler may raise it anywhere, also in code that treats every `Exception` as a damaged file. It derives from
    BaseException, like KeyboardInterrupt, so that such code does not swallow it.
    """

    def __init__(self, message: str, code: int = STOPPED) -> None:
        super().__init__(message)
        self.code = code
