# SPDX-License-Identifier: Apache-2.0
"""What documents tell people to type and to watch is there: elisactl's commands and options, metrics, the switch's events."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ELISACTL = Path(os.environ["ELISA_BUILD_DIR"]) / "host/bin/elisactl"
DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "apps").glob("*/README.md")])


@functools.cache
def help_of(*words: str) -> str:
    """Empty: there is no such command."""
    done = subprocess.run([ELISACTL, *words, "--help"], capture_output=True, text=True, timeout=60)
    return done.stdout if done.returncode == 0 else ""


def commands(text: str) -> list[str]:
    """Whatever begins with elisactl, in code: a span of it, or an indented line."""
    code = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text) + re.findall(r"^ {4,}(?:# )?(\S.*)$", text, re.MULTILINE)
    return [one.partition("  #")[0] for one in code if re.match(r"elisactl [-a-z]", one)]


def mistake(command: str) -> str:
    """Why it could not be typed like this, or nothing."""
    words = re.split(r"\s+[|>&;]\s", command)[0].split()[1:]
    options = [word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] == "--socket" else words[1:]
    if not words:
        return ""
    path = words[:1]
    if not (said := help_of(*path)):
        return f"no command '{path[0]}'"
    if "SUBCOMMAND" in said and len(words) > 1 and re.fullmatch("[a-z]+", words[1]):
        path = words[:2]
        if not (said := help_of(*path)):
            return f"no command '{' '.join(path)}'"
    known = set(re.findall(r"(?<!\w)--?[a-z][-a-z]*", said + help_of()))
    return next((f"{option} is no option of '{' '.join(path)}'" for option in options if option not in known), "")


class Operations(unittest.TestCase):
    def test_commands_can_be_typed(self) -> None:
        seen = 0
        for document in DOCUMENTS:
            for command in commands(document.read_text()):
                seen += 1
                self.assertEqual(mistake(command), "", f"{document.name}: {command}")
        self.assertGreater(seen, 100)

    def test_metrics_exist(self) -> None:
        source = (ROOT / "apps/vmnet/metrics.cpp").read_text()
        there = {f"elisa_{name}" for name in re.findall(r'(?:head|counter)\("(\w+)"', source)}
        self.assertGreater(len(there), 8)
        for path in ("docs/operations.md", "docs/troubleshooting.md", "docs/elisactl.md", "apps/vmnet/grafana.json"):
            named = set(re.findall(r"\belisa_[a-z_]+\b", (ROOT / path).read_text()))
            self.assertEqual(sorted(named - there), [], path)
        shown = (ROOT / "docs/operations.md").read_text()
        self.assertEqual([name for name in ("elisa_port_up", "elisa_dropped_frames_total", "elisa_ports_open") if name not in shown], [])

    def test_counts_of_the_host_exist(self) -> None:
        source = (ROOT / "apps/elisactl/host_commands.cpp").read_text()
        rows = re.search(r"\| on the host \|.*?\n\n", (ROOT / "docs/operations.md").read_text(), re.DOTALL)
        assert rows is not None
        named = {name for line in rows[0].rstrip().splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
        self.assertGreater(len(named), 7)
        self.assertEqual(sorted(name for name in named if f'"{name}"' not in source), [])


if __name__ == "__main__":
    unittest.main()
