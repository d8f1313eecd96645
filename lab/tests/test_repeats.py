# SPDX-License-Identifier: Apache-2.0
"""Several measurements of the same become a median and a range."""

from __future__ import annotations

import unittest

from elisalab.repeats import fold


class FoldTest(unittest.TestCase):
    def test_rows_of_one_load_become_their_median_and_range(self) -> None:
        rows = [{"system": "a", "size": 64, "cost": cost, "frames": frames} for cost, frames in ((9, 1), (5, 2), (70, 3))]
        (one,) = fold(rows, ("system", "size"), ("cost",))
        self.assertEqual({"system": "a", "size": 64, "cost": 9, "cost_range": [5, 70], "frames": 2, "repetitions": 3}, one)

    def test_loads_stay_apart_and_in_order(self) -> None:
        rows = [{"system": "a", "size": size, "cost": size} for size in (1518, 64, 1518, 64)]
        self.assertEqual([(1518, 2), (64, 2)], [(one["size"], one["repetitions"]) for one in fold(rows, ("system", "size"), ("cost",))])


if __name__ == "__main__":
    unittest.main()
