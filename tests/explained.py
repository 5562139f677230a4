"""Lists of what tests do not show, each entry with the reason."""

import sys
from collections import Counter


def listed(path):
    """Return the entries of a list, and fail if one has no reason.

    The list has a block for each reason: lines that begin with `#`, and then an entry on each line. An entry that
    occurs twice is there twice.
    """
    entries, reason = Counter(), None
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            reason = line
        elif line and not reason:
            sys.exit(f"{path}: {line} has no reason")
        elif line:
            entries[line] += 1
    return entries


def compare(found, known, path, words):
    """Print what is found but not known, and what is known but not found; return the exit status."""
    unknown, gone = words
    for line in sorted((found - known).elements()):
        print(f"{unknown}, and not in {path}: {line}", file=sys.stderr)
    for line in sorted((known - found).elements()):
        print(f"{gone}, but in {path}: {line}", file=sys.stderr)
    return int(found != known)
