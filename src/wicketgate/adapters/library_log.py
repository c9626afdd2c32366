"""What libraries log, reduced to what cannot hold a secret.

A library's message may quote a header or a body, and by default it goes to
standard error with a write that blocks. Here only who complained and the kind
of exception are kept, in our own log.
"""

import logging

import structlog


class LibraryLog(logging.Handler):
    """Passes the outline of every record on."""

    def __init__(self, log: structlog.typing.FilteringBoundLogger) -> None:
        """Pass records to `log`."""
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the logger's name, the level, and the exception's kind."""
        kind = record.exc_info[0] if record.exc_info else None
        self._log.warning(
            "library",
            logger=record.name,
            severity=record.levelname.lower(),
            error=kind.__name__ if kind else "none",
        )


def capture_library_logs(log: structlog.typing.FilteringBoundLogger) -> None:
    """Send what libraries log to `log`, and nowhere else."""
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
    root.addHandler(LibraryLog(log))
    logging.captureWarnings(capture=True)
