# SPDX-License-Identifier: Apache-2.0
"""A mutant: a patch that takes one defence out, and the check that must notice."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent
_KEYS = ("Removes", "Caught-by", "Sign", "Only-on")


class MutantError(Exception):
    """A mutant or the runner is at fault: neither a kill nor a survival."""


@dataclass(frozen=True, order=True)
class Check:
    """`lab SCENARIO` or `ctest TARGET REGEX`."""

    kind: str
    what: str
    select: str = ""

    def __str__(self) -> str:
        return " ".join(part for part in (self.kind, self.what, self.select) if part)


@dataclass(frozen=True)
class Mutant:
    name: str
    path: Path
    removes: str
    check: Check
    sign: str  # a regular expression that the check's complaint must match; may be empty
    only_on: str  # the host kernel on which it can be noticed; empty: on any
    files: tuple[str, ...]

    @property
    def changes_modules(self) -> bool:
        return any(name.startswith("kvm-patch/") for name in self.files)

    @property
    def changes_programs(self) -> bool:
        return any(not name.startswith("kvm-patch/") or name.startswith("kvm-patch/abi/") for name in self.files)

    def apply(self, tree: Path) -> None:
        """Lines may have moved; their context must be there exactly."""
        with self.path.open("rb") as patch:
            done = subprocess.run(
                ["patch", "-d", str(tree), "-p1", "--fuzz=0", "--forward", "--batch", "--no-backup-if-mismatch",
                 "--reject-file=-"],
                stdin=patch, capture_output=True, text=True, check=False,
            )
        if done.returncode != 0:
            raise MutantError(f"the patch does not apply any more: {done.stdout.strip()}")


def load(path: Path) -> Mutant:
    header, found, diff = path.read_text().partition("\n--- a/")
    if not found:
        raise MutantError(f"{path.name}: no diff with '--- a/FILE' in it")
    fields = {}
    for line in header.splitlines():
        key, colon, value = line.partition(":")
        if colon and key in _KEYS:
            fields[key] = value.strip()
        elif line.strip():
            raise MutantError(f"{path.name}: the header's lines are {', '.join(_KEYS)}; found '{line}'")
    for key in ("Removes", "Caught-by"):
        if not fields.get(key):
            raise MutantError(f"{path.name}: the header has no '{key}:'")
    kind, *words = fields["Caught-by"].split(None, 2)
    if (kind, len(words)) not in (("lab", 1), ("ctest", 2)):
        raise MutantError(f"{path.name}: Caught-by is 'lab SCENARIO' or 'ctest TARGET REGEX'")
    files = tuple(sorted(set(re.findall(r"^\+\+\+ b/(\S+)", "--- a/" + diff, re.MULTILINE))))
    return Mutant(path.stem, path, fields["Removes"], Check(kind, *words), fields.get("Sign", ""),
                  fields.get("Only-on", ""), files)


def load_all(names: list[str]) -> list[Mutant]:
    known = {path.stem: path for path in sorted(FOLDER.glob("*.patch"))}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MutantError(f"no mutant {', '.join(unknown)}; there are: {', '.join(known)}")
    return [load(known[name]) for name in names or known]
