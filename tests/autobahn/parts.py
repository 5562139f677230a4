"""Divides a run into parts that go on side by side.

The cases about compression exchange a thousand messages each, one at a time, and
the suite is slower than any server: two of its processes take half of the time.
Nothing in this module does input or output.
"""

from verdict import COMPRESSION_GROUPS, case_order, group_of


def divide(cases):
    """Divide the cases into lists that take about the same time: two, or one where that is short.

    The cases about compression of one group take about as long as each other, so every second one goes into
    the other part. The other cases take next to nothing.
    """
    ordered = sorted(cases, key=case_order)
    long = [case for case in ordered if group_of(case) in COMPRESSION_GROUPS]
    second = long[1::2]
    first = [case for case in ordered if case not in second]
    return [part for part in (first, second) if part]
