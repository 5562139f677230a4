"""Starts the server under test on a port of its own choice, and ends it."""

import re
import signal
import subprocess
import threading
from contextlib import contextmanager
from queue import Empty, Queue

from problems import REJECTED, Problem

START_DEADLINE = 10
STOP_DEADLINE = 10
LISTENING = re.compile(r"townhall is listening on (https?://\S+)")


def forward_lines(stream, lines):
    """Read `stream` to its end, so that the server never blocks on a full pipe."""
    for line in stream:
        lines.put(line)
    lines.put(None)


def listening_url(process):
    """Wait for the line in which the server names its port, and return its WebSocket URL."""
    lines = Queue()
    threading.Thread(target=forward_lines, args=(process.stdout, lines), daemon=True).start()
    try:
        line = lines.get(timeout=START_DEADLINE)
    except Empty:
        message = f"the server said nothing within {START_DEADLINE} seconds"
        raise Problem(message, REJECTED) from None
    if line is None:
        raise Problem("the server ended before it was listening", REJECTED)
    found = LISTENING.match(line)
    if not found:
        raise Problem(f"the server's first line of output was {line!r}", REJECTED)
    return re.sub("^http", "ws", found.group(1))


def stop(process):
    """End the server as a service manager would, and insist that it obeys in time."""
    if process.poll() is not None:
        raise Problem(f"the server ended by itself, with status {process.returncode}", REJECTED)
    process.send_signal(signal.SIGTERM)
    try:
        status = process.wait(timeout=STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        message = f"the server did not end within {STOP_DEADLINE} seconds of SIGTERM"
        raise Problem(message, REJECTED) from None
    if status != 0:
        raise Problem(f"the server ended with status {status} after SIGTERM", REJECTED)


@contextmanager
def running(command, log):
    """Run the server for the length of a `with` block, and give the block its URL.

    A clean end is part of what is tested, but only after a block that went
    well: after any other the first problem is the one to report.
    """
    with open(log, "wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        yield listening_url(process)
        stop(process)
    finally:
        process.kill()
        process.wait()
