# SPDX-License-Identifier: Apache-2.0
"""A campaign fails for what it did not see, too."""

from __future__ import annotations

import unittest
from typing import Any

from elisalab import campaigns


def swept(**events: dict[str, Any]) -> dict[str, Any]:
    said = {"probe": "sweep", "places": 59, "events": events}
    result = {"ok": True, "seconds": 1.0, "trouble": [], "vms": {"a": {"results": [said]}}}
    return campaigns.sweep([{"name": "s"}], {"s": result})


class SweepTest(unittest.TestCase):
    def test_events_that_went_well(self) -> None:
        self.assertFalse(campaigns.failed(swept(kill={"happened": 15, "wrong": []})))

    def test_a_wrong_outcome_is_a_failure(self) -> None:
        self.assertTrue(campaigns.failed(swept(kill={"happened": 15, "wrong": [{"place": 3}]})))

    def test_an_event_that_never_happened_is_a_failure(self) -> None:
        self.assertTrue(campaigns.failed(swept(kill={"happened": 15, "wrong": []}, revoke={"happened": 0, "wrong": []})))


if __name__ == "__main__":
    unittest.main()
