"""Shows that results are recorded by group, and that a change is noticed."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import results
from results import count, encode, parse, record
from verdict import GROUP_SIZES


def report(group, behaviors):
    """Return the results of cases of a group, one for each behavior."""
    return {f"{group}.1.{number}": {"behavior": behavior} for number, behavior in enumerate(behaviors)}


WHOLE = report(3, ["OK"] * 6 + ["INFORMATIONAL"])


class Counts(unittest.TestCase):
    """What is counted."""

    def test_only_whole_groups(self):
        """A run of some cases says nothing about their group."""
        part = report(10, ["OK"]) | report(1, ["OK"] * (GROUP_SIZES[1] - 1))
        self.assertEqual(count(WHOLE | part), {3: (7, 6, 1), 10: (1, 1, 0)})

    def test_a_failure_is_a_case_that_is_neither(self):
        """It shows in the sum."""
        self.assertEqual(count(report(3, ["OK"] * 6 + ["FAILED"])), {3: (7, 6, 0)})


class Files(unittest.TestCase):
    """What is written."""

    def setUp(self):
        """Keep the files in a folder of the test."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        patch = mock.patch.object(results, "FOLDER", self.folder)
        patch.start()
        self.addCleanup(patch.stop)

    def record(self, name):
        """Record a whole group, and return the outcome without what it prints."""
        with contextlib.redirect_stdout(io.StringIO()):
            return record(name, WHOLE)

    def test_a_file_has_a_line_for_each_group_in_order(self):
        """A file can be read back."""
        groups = {10: (1, 1, 0), 3: (7, 6, 1)}
        self.assertEqual(encode(groups), "3 7 6 1\n10 1 1 0\n")
        self.assertEqual(parse(encode(groups)), groups)

    def test_a_change_is_written_and_fails_once(self):
        """Groups that were not run stay."""
        path = self.folder / "echo.txt"
        path.write_text("3 7 7 0\n10 1 1 0\n")
        self.assertFalse(self.record("echo"))
        self.assertEqual(path.read_text(), "3 7 6 1\n10 1 1 0\n")
        self.assertTrue(self.record("echo"))

    def test_runs_without_a_file_are_not_recorded(self):
        """Only the runs of tests/all have files."""
        self.assertTrue(self.record("echo"))
        self.assertEqual(list(self.folder.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
