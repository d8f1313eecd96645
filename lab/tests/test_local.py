# SPDX-License-Identifier: Apache-2.0
"""`--machine local`: what the machine lacks is said before anything is started."""

from __future__ import annotations

import shutil
import unittest
from unittest import mock

from elisalab import kvs_figures, local, scenario, vm_figures


class MissingTest(unittest.TestCase):
    def test_a_bridge_needs_ip_only_where_guests_have_taps(self) -> None:
        with mock.patch.object(shutil, "which", side_effect=lambda name: None if name == "ip" else f"/bin/{name}"):
            self.assertIn("iproute2", "\n".join(local.missing(True, False, needs_bridge=True)))
            self.assertNotIn("iproute2", "\n".join(local.missing(True, False)))
        names = [name for several in vm_figures.SCENARIOS.values() for name in several] + list(kvs_figures.SCENARIOS.values())
        with_taps = {name for name in names if local.has_taps(scenario.load(name))}
        self.assertEqual({name for name in names if "vhost" in name or "qemu" in name} | {"bench-kvs-host", "bench-kvs-memcached"},
                         with_taps)

    def test_benches_use_nothing_on_the_host_that_only_busybox_has(self) -> None:
        for name in (*(name for several in vm_figures.SCENARIOS.values() for name in several), *kvs_figures.SCENARIOS.values()):
            for step in scenario.load(name)["step"]:
                self.assertNotIn("tunctl", step.get("run", ""), name)


if __name__ == "__main__":
    unittest.main()
