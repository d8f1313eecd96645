# SPDX-License-Identifier: Apache-2.0
"""Links from one document to another lead somewhere: the file is there, and so is the heading. README lists all of docs/."""

from __future__ import annotations

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def documents() -> list[Path]:
    found = [*(ROOT / "docs").glob("*.md"), *(path for depth in ("", "*/", "*/*/", "*/*/*/") for path in ROOT.glob(f"{depth}README.md"))]
    return sorted(path for path in found if "build" not in path.relative_to(ROOT).parts[0])


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(path: Path) -> set[str]:
    """As GitHub makes them."""
    found: set[str] = set()
    for heading in re.findall(r"^#+ (.*)$", without_code(path.read_text()), re.MULTILINE):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return found


class Links(unittest.TestCase):
    def test_each_leads_somewhere(self) -> None:
        seen = 0
        for document in documents():
            for target in re.findall(r"\]\(([^)\s]+)\)", without_code(document.read_text())):
                if re.match(r"\w+:", target):
                    continue
                seen += 1
                name, _, anchor = target.partition("#")
                path = (document.parent / name).resolve() if name else document
                self.assertTrue(path.exists(), f"{document.relative_to(ROOT)}: {target}")
                if anchor and path.suffix == ".md":
                    self.assertIn(anchor, anchors(path), f"{document.relative_to(ROOT)}: {target}")
        self.assertGreater(seen, 80)

    def test_the_readme_lists_all(self) -> None:
        listed = (ROOT / "README.md").read_text().partition("\n## Documents\n")[2]
        self.assertEqual([path.name for path in sorted((ROOT / "docs").glob("*.md")) if f"| [docs/{path.name}](docs/{path.name}) |" not in listed], [])


if __name__ == "__main__":
    unittest.main()
