# SPDX-License-Identifier: Apache-2.0
"""What stands beside figures is what the host said, and the tree as it is."""

from __future__ import annotations

import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from elisalab import kernels, provenance

RESULTS = {"a": {"machine": {"cpu": "Model 7", "cpus": 1, "kernel": "6.1.0-x"}},
           "b": {"machine": {"cpu": "Model 7", "cpus": 2, "kernel": "6.1.0-x"}}, "lost": {}}


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments], check=True,
                   capture_output=True)


class ProvenanceTest(unittest.TestCase):
    def found(self, folder: Path, machine: str = "local") -> dict[str, str]:
        kernel = folder / "vmlinux"
        kernel.write_bytes(b"\0\0Linux version 6.1.9-guest (me) #1\0")
        with mock.patch.object(kernels, "guest_kernel", return_value=kernel):
            return provenance.of(RESULTS, machine, folder)

    def test_machine_kernels_and_cpus_are_those_that_were_measured(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            found = self.found(Path(folder))
        self.assertEqual(("Model 7", "6.1.0-x", "6.1.9-guest"), (found["cpu"], found["host_kernel"], found["guest_kernel"]))
        self.assertEqual("1", provenance.cpus(RESULTS, ["a", "lost"]))
        self.assertEqual("1, 2", provenance.cpus(RESULTS, ["a", "b"]))
        self.assertNotIn("emulated Intel", found["machine"])

    def test_the_commit_says_whether_the_tree_has_changed_since(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.assertIn("not a git tree", self.found(folder)["commit"])
            _git(folder, "init")
            (folder / "file").write_text("1")
            _git(folder, "add", "file")
            _git(folder, "commit", "-m", "one")
            commit = self.found(folder)["commit"]
            self.assertRegex(commit, "^[0-9a-f]{12}$")
            (folder / "file").write_text("2")
            self.assertEqual(f"{commit} with changes", self.found(folder)["commit"])


if __name__ == "__main__":
    unittest.main()
