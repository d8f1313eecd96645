# SPDX-License-Identifier: Apache-2.0
"""Progress on the terminal: short lines with the elapsed time; anything long goes to a log file."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Mapping, Sequence

_START = time.monotonic()


class LabError(Exception):
    """Something the user can act on. Printed without a traceback."""


def say(text: str) -> None:
    """One progress line. Written to stderr, so that stdout stays free for results."""
    elapsed = time.monotonic() - _START
    print(f"[{elapsed:7.1f}s] {text}", file=sys.stderr, flush=True)


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        return f"(cannot read {path}: {error})"
    return "\n".join(text.splitlines()[-lines:])


def run(
    command: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    what: str | None = None,
) -> None:
    """Run a command with its output appended to `log`; on failure say what failed, with the log's end."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as out:
        out.write(f"+ {' '.join(command)}\n")
        out.flush()
        done = subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False
        )
    if done.returncode != 0:
        raise LabError(
            f"{what or command[0]} failed with status {done.returncode}; the end of {log}:\n{tail(log)}"
        )
