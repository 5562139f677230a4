"""Keeps two runs from disturbing each other in `target/autobahn/`."""

import fcntl
from contextlib import contextmanager

from problems import CANNOT_RUN, Problem


@contextmanager
def exclusive(path, purpose):
    """Hold the lock file at `path` for the length of a `with` block, or give up at once.

    A second run would clear away the report that the first is still writing.
    The lock ends with its process, so that a killed run leaves nothing locked.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(f"another run is {purpose}: wait for its end", CANNOT_RUN) from None
        yield
