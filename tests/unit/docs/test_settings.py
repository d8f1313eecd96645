# SPDX-License-Identifier: Apache-2.0
"""Every setting of vmnet's configuration is in the example that is installed and in the document."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


class Settings(unittest.TestCase):
    def test_each_is_shown(self) -> None:
        lists = re.findall(r"allow_only\(\s*\{([^}]*)\}", (ROOT / "apps/vmnet/config.cpp").read_text())
        keys = {key for names in lists for key in re.findall(r'"(\w+)"', names)} - {"switch", "log", "metrics", "guest"}
        self.assertGreater(len(keys), 20)
        for path in ("apps/vmnet/vmnet.example.toml", "docs/switch.md"):
            text = (ROOT / path).read_text()
            missing = sorted(key for key in keys if not re.search(rf"^\W*{key} = |`{key}`", text, re.MULTILINE))
            self.assertEqual(missing, [], f"not in {path}")


if __name__ == "__main__":
    unittest.main()
