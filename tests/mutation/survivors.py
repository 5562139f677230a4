#!/usr/bin/env python3
"""Checks that each change of the source that no test notices is listed with the reason.

    survivors.py RESULTS LIST

RESULTS is where cargo-mutants has written its results, last of all those of what had survived before. The entries of
the list are `FILE: CHANGE`, without the line, and only those of the files that were changed count.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))
from explained import compare, listed

# What cargo-mutants writes between the file and the change.
POSITION = re.compile(r":\d+:\d+(?=: )")


def missed(results):
    """Return the changes that no test has noticed, as `FILE: CHANGE`."""
    lines = (results / "mutants.out" / "missed.txt").read_text().splitlines()
    return Counter(POSITION.sub("", line, count=1) for line in lines)


def changed(results):
    """Return the files that were changed."""
    runs = results.glob("mutants.out*/mutants.json")
    return {mutant["file"] for run in runs for mutant in json.loads(run.read_text())}


def main():
    """Compare, and return the exit status."""
    results, path = map(Path, sys.argv[1:])
    files = changed(results)
    known = Counter({line: count for line, count in listed(path).items() if line.split(": ")[0] in files})
    return compare(missed(results), known, path, ("not noticed", "noticed"))


if __name__ == "__main__":
    sys.exit(main())
