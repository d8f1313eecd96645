# SPDX-License-Identifier: Apache-2.0
"""Running the part of the suite that a mutant must not survive."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from . import process
from .mutant import Check, MutantError


def play(scenarios: list[str], build: Path, kernel: str, modules: Path, logs: Path) -> dict[str, str | None]:
    """Lab scenarios in one boot of the emulated host; by name, what failed and all that was said, or None. PYTHONPATH has the lab in it."""
    results = logs / "results.json"
    logs.mkdir(parents=True, exist_ok=True)
    results.unlink(missing_ok=True)
    with (logs / "lab.log").open("w") as out:
        process.run(
            [sys.executable, "-B", "-m", "elisalab", "--build", str(build), "run", *scenarios, "--host-kernel", kernel, "--modules", str(modules),
             "--json", str(results), "--logs", str(logs), "--verdicts-later"],
            out, os.environ,
        )
    try:
        played = json.loads(results.read_text())
        return {name: None if played[name]["ok"] else f"{played[name]['error'] or 'failed'}\n{_said(logs / name)}" for name in scenarios}
    except (OSError, ValueError, KeyError):
        end = "\n".join((logs / "lab.log").read_text(errors="replace").splitlines()[-15:])
        raise MutantError(f"the lab gave no verdict; the end of {logs / 'lab.log'}:\n{end}") from None


def _said(logs: Path) -> str:
    return "\n".join(log.read_text(errors="replace") for log in sorted(logs.glob("*.log")))


def ctest(build: Path, check: Check, log: Path) -> str | None:
    """Unit tests; what failed, or None."""
    with log.open("w") as out:
        status = process.run(
            ["ctest", "--test-dir", str(build), "-R", check.select, "-j2", "--output-on-failure", "--no-tests=error",
             "--timeout", "300"],
            out, os.environ,
        )
    output = log.read_text(errors="replace")
    if "No tests were found" in output:
        raise MutantError(f"no test matches '{check.select}'")
    return None if status == 0 else output
