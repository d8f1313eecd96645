# SPDX-License-Identifier: Apache-2.0
"""Progress on the terminal: short lines with the elapsed time; anything long goes to a log file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Mapping, Sequence

_START = time.monotonic()


class LabError(Exception):
    """Something the user can act on. Printed without a traceback."""


_said = _START


def last_said() -> float:
    """When the last progress line was written, by time.monotonic()."""
    return _said


def say(text: str) -> None:
    """One progress line. Written to stderr, so that stdout stays free for results."""
    global _said
    _said = time.monotonic()
    elapsed = time.monotonic() - _START
    print(f"[{elapsed:7.1f}s] {text}", file=sys.stderr, flush=True)


def tail(path: Path, lines: int = 25) -> str:
    """The last lines of a log, for an error message."""
    try:
        text = path.read_text(errors="replace")
    except OSError as error:
        return f"(cannot read {path}: {error})"
    return "\n".join(text.splitlines()[-lines:])


# A long command shows the end of its log this often, in seconds.
_STILL_RUNNING = 20


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
    name = what or command[0]
    with log.open("a") as out:
        out.write(f"+ {' '.join(command)}\n")
        out.flush()
        # A session of its own, so that all of it (make and its compilers) can be ended.
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    status = process.wait(_STILL_RUNNING)
                    break
                except subprocess.TimeoutExpired:
                    say(f"... {name}: {tail(log, 1).strip()[:100]}")
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if status != 0:
        raise LabError(f"{name} failed with status {status}; the end of {log}:\n{tail(log)}")
