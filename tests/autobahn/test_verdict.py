"""Shows that a verdict rejects what it must; needs neither the suite nor the server."""

import unittest

from verdict import GROUP_SIZES, Verdict, default_patterns, size_complaints

EXPECTED = ["1.1.1", "6.4.1", "7.1.6", "7.13.1", "7.13.2", "10.1.1"]


def results(**changes):
    """Return the report of a good server, except for `changes` (`case_6_4_1=...`)."""
    report = {case: {"behavior": "OK", "behaviorClose": "OK"} for case in EXPECTED}
    for case in ("7.1.6", "7.13.1", "7.13.2"):
        report[case] = {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"}
    for name, change in changes.items():
        report.setdefault(name[len("case_"):].replace("_", "."), {}).update(change)
    return report


class Accepts(unittest.TestCase):
    """What a good server reports."""

    def test_a_good_report(self):
        """The three cases that are informational by nature do not count against a server."""
        verdict = Verdict(results(), EXPECTED)
        self.assertTrue(verdict.passed)
        summary = "autobahn echo: 6 cases, 3 OK, 3 INFORMATIONAL, 0 not OK"
        self.assertEqual(verdict.summary("echo"), summary)

    def test_an_informational_close(self):
        """The suite has no opinion on some closes."""
        report = results(case_1_1_1={"behaviorClose": "INFORMATIONAL"})
        self.assertTrue(Verdict(report, EXPECTED).passed)


class Rejects(unittest.TestCase):
    """What must not pass."""

    def assert_rejects(self, report, *lines):
        """Check that the report fails, and that the reader is told about the case."""
        verdict = Verdict(report, EXPECTED)
        self.assertFalse(verdict.passed)
        for line in lines:
            self.assertIn(line, "\n".join(verdict.case_lines()))
        return verdict

    def test_an_empty_report(self):
        """This is what wstest leaves when nothing listens, with exit status 0."""
        verdict = self.assert_rejects({}, "1.1.1: missing")
        summary = "autobahn echo: 0 cases, 0 OK, 0 INFORMATIONAL, 0 not OK, 6 missing"
        self.assertEqual(verdict.summary("echo"), summary)

    def test_an_empty_report_of_no_cases(self):
        """Expecting nothing must not make nothing a success."""
        self.assertFalse(Verdict({}, []).passed)

    def test_a_missing_case(self):
        """A server that dies in the middle leaves a good report of the first half."""
        report = results()
        del report["6.4.1"]
        self.assert_rejects(report, "6.4.1: missing from the report")

    def test_an_unexpected_case(self):
        """A case that nobody asked for means that the report is of another run."""
        report = results(case_9_1_1={"behavior": "OK", "behaviorClose": "OK"})
        self.assert_rejects(report, "9.1.1: behavior OK, behaviorClose OK (not asked for)")

    def test_bad_behaviors(self):
        """NON-STRICT is what a server gets that detects invalid UTF-8 too late."""
        for behavior in ("FAILED", "UNIMPLEMENTED", "NON-STRICT", "WHATEVER"):
            with self.subTest(behavior):
                report = results(case_6_4_1={"behavior": behavior})
                verdict = self.assert_rejects(report, f"6.4.1: behavior {behavior}")
                self.assertIn(" 1 not OK", verdict.summary("echo"))

    def test_bad_closes(self):
        """A right answer followed by a wrong close is still wrong."""
        for close in ("UNCLEAN", "FAILED", "WRONG CODE", "FAILED BY CLIENT"):
            with self.subTest(close):
                report = results(case_1_1_1={"behaviorClose": close})
                self.assert_rejects(report, f"1.1.1: behavior OK, behaviorClose {close}")

    def test_informational_where_there_is_a_right_answer(self):
        """INFORMATIONAL excuses only the cases that can be nothing else."""
        report = results(case_6_4_1={"behavior": "INFORMATIONAL"})
        self.assert_rejects(report, "6.4.1: behavior INFORMATIONAL")

    def test_a_result_without_a_behavior(self):
        """A damaged report is not a good one."""
        report = results()
        report["1.1.1"] = {}
        self.assert_rejects(report, "1.1.1")


class Sizes(unittest.TestCase):
    """The known sizes of the groups."""

    @staticmethod
    def group(number, size):
        """Return `size` made-up cases of one group."""
        return [f"{number}.1.{case}" for case in range(1, size + 1)]

    def test_the_default_leaves_out_compression(self):
        """517 cases in all; 301 without the compression groups."""
        without = sum(GROUP_SIZES[int(pattern[:-2])] for pattern in default_patterns(False))
        self.assertEqual(without, 301)
        self.assertEqual(sum(GROUP_SIZES.values()), 517)
        added = set(default_patterns(True)) - set(default_patterns(False))
        self.assertEqual(added, {"12.*", "13.*"})

    def test_a_whole_group(self):
        """A group of the known size gives no complaint, a smaller one does."""
        self.assertEqual(size_complaints(["3.*"], self.group(3, 7)), [])
        complaints = size_complaints(["3.*"], self.group(3, 6))
        self.assertEqual(complaints, ["group 3 has 6 cases, 7 expected"])

    def test_part_of_a_group(self):
        """A narrower pattern has no known size, but must select something."""
        self.assertEqual(size_complaints(["6.4.*"], self.group(6, 4)), [])
        self.assertEqual(size_complaints(["8.4.*"], []), ["no case was selected"])


if __name__ == "__main__":
    unittest.main()
