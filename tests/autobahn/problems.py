"""The one exception with which the runner gives up, and its exit statuses."""

REJECTED = 1  # The server was tried and is not good enough.
CANNOT_RUN = 2  # The server could not be tried here.


class Problem(Exception):
    """A reason to stop, worded for the person who started the run."""

    def __init__(self, message, status):
        """Keep the exit status with the message, so that callers need not guess it."""
        super().__init__(message)
        self.status = status
