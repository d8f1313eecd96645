# SPDX-License-Identifier: Apache-2.0
"""What `./elisa` says before it installs or builds anything: here there is nothing that it could build."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class Command(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        shutil.copy(ROOT / "elisa", self.folder)

    def run_it(self, arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.folder / "elisa", *arguments.split()], capture_output=True, text=True, timeout=30)

    def test_each_command_can_be_asked_what_there_is(self) -> None:
        for command in ("", "--help", "help", "demo --help", "test -h", "test --suite unit --help", "test --mutants --help",
                        "bench switch --help", "build --help", "package --help", "clean --cache --help"):
            with self.subTest(command):
                done = self.run_it(command)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn("usage: ./elisa COMMAND", done.stdout)

    def test_what_it_does_not_know_is_named_and_nothing_is_done(self) -> None:
        (self.folder / "build").mkdir()
        for command, expected in (("nosuch", "unknown command 'nosuch'"), ("clean --cahce", "does not know '--cahce'"),
                                  ("package all", "does not know 'all'"), ("build programs", "does not know 'programs'"),
                                  ("test --suite nosuch", "no suite 'nosuch'"), ("test -R x --suite", "no suite ''"),
                                  ("test --suite full -R x", "does not know '-R x'")):
            with self.subTest(command):
                done = self.run_it(command)
                self.assertEqual(done.returncode, 2)
                self.assertIn(expected, done.stderr)
                self.assertTrue((self.folder / "build").is_dir())


if __name__ == "__main__":
    unittest.main()
