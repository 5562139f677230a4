"""Decides whether an Autobahn report is good enough.

`wstest` says nothing through its exit status: it exits 0 after failed cases,
and even with an empty report when it could not connect. So everything is
decided here, from the report and from the cases that were asked for. Nothing
in this module does input or output, which keeps it testable without the suite.
"""

from collections import Counter

# How many cases each group of the suite has. A suite that has lost some of its
# cases would otherwise pass more easily than the whole one.
GROUP_SIZES = {1: 16, 2: 11, 3: 7, 4: 10, 5: 20, 6: 145, 7: 37, 9: 54, 10: 1, 12: 90, 13: 126}

# The groups about permessage-deflate, wanted only when the server has it.
COMPRESSION_GROUPS = (12, 13)

# These cases are about what the standard leaves open: the suite calls them
# INFORMATIONAL whatever the server does. Any other case has a right answer.
INFORMATIONAL_CASES = frozenset({"7.1.6", "7.13.1", "7.13.2"})

ACCEPTED_CLOSES = ("OK", "INFORMATIONAL")


def default_patterns(compression):
    """Return the case patterns of a full run, with the compression groups or without."""
    return [f"{group}.*" for group in GROUP_SIZES if compression or group not in COMPRESSION_GROUPS]


def group_of(case):
    """Return the group number of a case such as `6.4.1`."""
    return int(case.split(".")[0])


def case_order(case):
    """Sort key that puts 9.1.1 before 10.1.1, as people count."""
    return tuple(int(part) for part in case.split("."))


def size_complaints(patterns, selected):
    """Say which whole groups among `patterns` did not give the known number of cases.

    Only a pattern such as `6.*` asks for a whole group; for a narrower one the
    suite's own list of cases is all there is to go by.
    """
    sizes = Counter(group_of(case) for case in selected)
    complaints = []
    if not selected:
        complaints.append("no case was selected")
    for group, known in GROUP_SIZES.items():
        if f"{group}.*" in patterns and sizes[group] != known:
            complaints.append(f"group {group} has {sizes[group]} cases, {known} expected")
    return complaints


def case_complaint(case, result):
    """Say what is wrong with the result of one case, or return None when it is acceptable."""
    behavior = result.get("behavior", "nothing")
    close = result.get("behaviorClose", "nothing")
    allowed = ("OK", "INFORMATIONAL") if case in INFORMATIONAL_CASES else ("OK",)
    if behavior not in allowed:
        return f"behavior {behavior}"
    if close not in ACCEPTED_CLOSES:
        return f"behaviorClose {close}"
    return None


class Verdict:
    """What a report means, given the cases that it ought to hold."""

    def __init__(self, results, expected):
        """Judge `results`, the suite's report by case, against the `expected` cases."""
        self.results = results
        self.missing = sorted(set(expected) - set(results), key=case_order)
        self.unexpected = sorted(set(results) - set(expected), key=case_order)
        self.rejected = [
            case for case in self.cases()
            if case in self.unexpected or case_complaint(case, results[case])
        ]
        # An empty run proves nothing, even if nothing was expected of it.
        self.passed = bool(results) and not self.missing and not self.rejected

    def cases(self):
        """Return the reported cases in the suite's order."""
        return sorted(self.results, key=case_order)

    def group_lines(self):
        """Count the behaviours group by group, to show at a glance where a server is weak."""
        groups = {}
        for case in self.cases():
            behavior = self.results[case].get("behavior", "nothing")
            groups.setdefault(group_of(case), Counter())[behavior] += 1
        lines = []
        for group, counts in groups.items():
            parts = ", ".join(f"{count} {behavior}" for behavior, count in sorted(counts.items()))
            lines.append(f"group {group:>2}: {sum(counts.values()):>3} cases: {parts}")
        return lines

    def case_lines(self):
        """Describe every case that is missing or not OK, the permitted ones included."""
        lines = [f"{case}: missing from the report" for case in self.missing]
        for case in self.cases():
            result = self.results[case]
            behavior, close = result.get("behavior"), result.get("behaviorClose")
            if case in self.unexpected:
                mark = "not asked for"
            elif case in self.rejected:
                mark = "not acceptable"
            elif (behavior, close) != ("OK", "OK"):
                mark = "permitted"
            else:
                continue
            lines.append(f"{case}: behavior {behavior}, behaviorClose {close} ({mark})")
        return lines

    def summary(self, mode):
        """Return the closing line, in which every reported case is counted exactly once."""
        accepted = Counter(
            self.results[case]["behavior"] for case in self.results if case not in self.rejected
        )
        line = (
            f"autobahn {mode}: {len(self.results)} cases, {accepted['OK']} OK, "
            f"{accepted['INFORMATIONAL']} INFORMATIONAL, {len(self.rejected)} not OK"
        )
        return f"{line}, {len(self.missing)} missing" if self.missing else line
