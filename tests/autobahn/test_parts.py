"""Shows that no case is lost where a run is divided; needs neither the suite nor the server."""

import unittest
from collections import Counter

from parts import divide
from verdict import GROUP_SIZES, group_of


def whole_groups(*groups):
    """Return as many made-up cases of each group as it has."""
    return [f"{group}.1.{case}" for group in groups for case in range(1, GROUP_SIZES[group] + 1)]


class Divide(unittest.TestCase):
    """What is run side by side."""

    def test_every_case_is_in_one_part(self):
        """A case in no part would be missed, one in two parts would be judged twice."""
        everything = whole_groups(*GROUP_SIZES)
        for cases in (everything, whole_groups(12), whole_groups(1, 13), ["13.7.18", "12.1.1"]):
            self.assertEqual(Counter(sum(divide(cases), [])), Counter(cases))

    def test_the_long_cases_are_divided_evenly(self):
        """The part that has most of them decides how long a run takes."""
        first, second = divide(whole_groups(*GROUP_SIZES))
        long = [sum(group_of(case) in (12, 13) for case in part) for part in (first, second)]
        self.assertEqual(long, [108, 108])

    def test_what_is_short_is_not_divided(self):
        """Two processes for some seconds only make two reports to look at."""
        short = whole_groups(1, 9)
        self.assertEqual(divide(short), [short])
        self.assertEqual(divide(["12.1.1"]), [["12.1.1"]])

    def test_no_part_is_empty(self):
        """The suite takes an empty list of cases for a wish to run none, and reports nothing."""
        self.assertEqual(divide([]), [])
        self.assertEqual(divide(["13.1.1", "12.1.1"]), [["12.1.1"], ["13.1.1"]])


if __name__ == "__main__":
    unittest.main()
