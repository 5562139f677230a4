"""Records the results of whole groups in `results/`, from which tests/compliance makes a table.

A file has a line for each group: its number, its cases, and how many are OK and INFORMATIONAL.
"""

from collections import Counter
from pathlib import Path

from verdict import GROUP_SIZES, group_of

FOLDER = Path(__file__).resolve().parent / "results"


def count(results):
    """Return the counts of each group of which these results, by case, are the whole."""
    groups = {}
    for case, result in results.items():
        groups.setdefault(group_of(case), Counter())[result.get("behavior")] += 1
    return {
        group: (behaviors.total(), behaviors["OK"], behaviors["INFORMATIONAL"])
        for group, behaviors in groups.items() if behaviors.total() == GROUP_SIZES[group]
    }


def parse(text):
    """Return the counts that a file has."""
    lines = (tuple(map(int, line.split())) for line in text.splitlines())
    return {group: tuple(counts) for group, *counts in lines}


def encode(groups):
    """Return the text of a file with these counts."""
    lines = (" ".join(map(str, (group, *groups[group]))) for group in sorted(groups))
    return "".join(f"{line}\n" for line in lines)


def record(name, results):
    """Write results to the file of this name, if there is one, and return whether it has them already.

    The counts of groups that were not run stay as they are.
    """
    path = FOLDER / f"{name}.txt"
    if not path.is_file():
        return True
    recorded = parse(path.read_text())
    found = recorded | count(results)
    if found == recorded:
        return True
    path.write_text(encode(found))
    print(f"autobahn {name}: the results differ from those of the last run, and are now in {path}; "
          "write docs/compliance.md with TOWNHALL_WRITE=1 cargo test --test compliance", flush=True)
    return False
