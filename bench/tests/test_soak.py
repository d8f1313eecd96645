# SPDX-License-Identifier: Apache-2.0
"""The soak's books: what a killed sender explains, and what it does not."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from soak.__main__ import Books  # noqa: E402


def port(copies: int, received: int, no_buffer: int = 0, inside: int = 0) -> dict[str, Any]:
    return {"copies": copies, "rx_frames": received, "drops": {"no_buffer": no_buffer, "rate": 7}, "inside": inside}


class TheBooks(unittest.TestCase):
    def test_every_copy_is_a_delivery_or_a_drop_at_the_receiver(self) -> None:
        books = Books.of([port(copies=100, received=40, no_buffer=10), port(copies=0, received=50)])
        self.assertEqual((books.copies, books.outcomes, books.unaccounted), (100, 100, 0))
        self.assertEqual(books.problems(), [])

    def test_nothing_explains_a_frame_that_is_missing_if_nobody_was_killed(self) -> None:
        self.assertEqual(len(Books.of([port(copies=100, received=99)]).problems()), 1)

    def test_a_call_that_was_killed_explains_what_it_can_have_had_and_no_more(self) -> None:
        most = 64 * 7
        self.assertEqual(Books.of([port(copies=0, received=most, inside=1)]).problems(), [])
        self.assertEqual(len(Books.of([port(copies=0, received=most + 1, inside=1)]).problems()), 1)

    def test_the_json_has_what_a_reader_needs_to_judge(self) -> None:
        self.assertEqual(Books.of([port(copies=5, received=8, inside=1)]).as_json(),
                         {"copies": 5, "outcomes": 8, "unaccounted": 3, "killed_inside": 1, "unaccounted_allowed": 448})


if __name__ == "__main__":
    unittest.main()
