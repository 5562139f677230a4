#!/usr/bin/env python3
"""Checks that each line that no test covers is listed with the reason.

    uncovered.py LCOV LIST

The entries of the list are `FILE: TEXT OF THE LINE`.
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from explained import compare, listed


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
    return Counter(found)


def main():
    """Compare, and return the exit status."""
    lcov, path = map(Path, sys.argv[1:])
    return compare(uncovered(lcov), listed(path), path, ("not covered", "covered"))


if __name__ == "__main__":
    sys.exit(main())
