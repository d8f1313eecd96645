# SPDX-License-Identifier: Apache-2.0
"""libvirt's hook does what docs/guests.md says, with the domain that is shown there."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DOMAIN = (ROOT / "docs/examples/libvirt-guest.xml").read_text()
PROGRAMS = Path(os.environ["ELISA_BUILD_DIR"]) / "host/bin"


class Hook(unittest.TestCase):
    def call(self, domain: str, operation: str = "started") -> tuple[int, str]:
        """As libvirt does; with the real elisactl, which has no such VM to register."""
        done = subprocess.run([str(ROOT / "scripts/libvirt-hook"), "no-such-vm", operation, "begin", "-"], input=domain, text=True,
                              capture_output=True, timeout=60, env={**os.environ, "PATH": f"{PROGRAMS}:{os.environ['PATH']}"})
        return done.returncode, done.stderr

    def test_a_domain_with_a_role_is_registered_and_a_refusal_ends_it(self) -> None:
        status, said = self.call(DOMAIN)
        self.assertEqual(1, status)
        self.assertRegex(said, "^elisactl: .*(/dev/elisa|no running VM is called 'no-such-vm')")

    def test_other_domains_and_moments_are_left_alone(self) -> None:
        other = "".join(line for line in DOMAIN.splitlines(keepends=True) if "elisa:vm" not in line)
        self.assertEqual((0, ""), self.call(other))
        for operation in ("prepare", "start", "stopped", "release"):
            self.assertEqual((0, ""), self.call(DOMAIN, operation))

    def test_incomplete_metadata_are_explained(self) -> None:
        self.assertEqual((1, "elisa: the metadata of no-such-vm lack role\n"), self.call(DOMAIN.replace("role='guest' ", "")))

    def test_the_example_has_no_pcid(self) -> None:
        self.assertIn("<feature policy='disable' name='pcid'/>", DOMAIN)


if __name__ == "__main__":
    unittest.main(verbosity=2)
