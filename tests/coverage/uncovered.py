#!/usr/bin/env python3
"""Checks that each line that no test covers is listed with the reason.

    uncovered.py LCOV LIST

The list has a block for each reason: a line that begins with `#`, and then lines `FILE: TEXT OF THE LINE`.
"""

import sys
from pathlib import Path


def uncovered(lcov):
    """Return the lines of source that never ran, as `FILE: TEXT`."""
    found, path, source = set(), None, []
    for record in lcov.read_text().splitlines():
        kind, _, value = record.partition(":")
        if kind == "SF":
            path = Path(value).resolve().relative_to(Path.cwd())
            source = path.read_text().splitlines()
        elif kind == "DA":
            number, count = value.split(",")[:2]
            text = source[int(number) - 1].strip()
            # A closing brace says nothing that the line before it does not.
            if count == "0" and text.strip("{}();,"):
                found.add(f"{path.relative_to('src/protocol')}: {text}")
    return found


def listed(path):
    """Return the lines of the list, and fail if one has no reason."""
    lines, reason = set(), None
    for line in path.read_text().splitlines():
        if line.startswith("#"):
            reason = line
        elif line and not reason:
            sys.exit(f"{path}: {line} has no reason")
        elif line:
            lines.add(line)
    return lines


def main():
    """Compare, and return the exit status."""
    lcov, path = map(Path, sys.argv[1:])
    found, known = uncovered(lcov), listed(path)
    for line in sorted(found - known):
        print(f"not covered, and not in {path}: {line}", file=sys.stderr)
    for line in sorted(known - found):
        print(f"covered, but in {path}: {line}", file=sys.stderr)
    return int(found != known)


if __name__ == "__main__":
    sys.exit(main())
