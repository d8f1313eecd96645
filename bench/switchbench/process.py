# SPDX-License-Identifier: Apache-2.0
"""Programs that are told what to do on their standard input and answer in lines of JSON."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from .machine import BenchError


_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def _end_with_parent() -> None:
    """Runs in the child: if the bench is killed, nothing of it goes on."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Program:
    """A process in the background: its output in a file, its standard input open, ended by its id."""

    def __init__(self, name: str, command: list[str], log: Path, environment: dict[str, str] | None = None,
                 answers: bool = False) -> None:
        self.name, self.log, self._command = name, log, command
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE if answers else out, stderr=out,
                env={**os.environ, **(environment or {})}, start_new_session=True, preexec_fn=_end_with_parent)

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def failure(self, what: str) -> BenchError:
        state = "runs" if self.running() else f"ended with status {self._process.returncode}"
        tail = "\n".join(f"    {line}" for line in self.said().splitlines()[-12:])
        return BenchError(f"{self.name} ({state}): {what}. It said last ({self.log}):\n{tail}")

    def until(self, what: str, done: Any, seconds: float = 20) -> None:
        limit = time.monotonic() + seconds
        while not done():
            ended = not self.running()  # asked first: what it did last is there then
            if (ended and not done()) or time.monotonic() > limit:
                raise self.failure(f"no {what} within {seconds:g} s")
            time.sleep(0.02)

    def end(self, patience_s: float = 3) -> None:
        """Gently, and if that does not help, not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        for number, patience in ((None, patience_s), (signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
            if number is not None and self.running():
                self._process.send_signal(number)
            try:
                self._process.wait(patience if self._ends_with_input or number is not None else 0)
                break
            except subprocess.TimeoutExpired:
                continue
        if self._process.stdout is not None:
            self._process.stdout.close()

    _ends_with_input = False


class Traffic(Program):
    """The program `traffic`."""

    _ends_with_input = True

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        super().__init__(name, command, log, answers=True)
        self._rest = b""

    def tell(self, verb: str, **values: int) -> None:
        assert self._process.stdin is not None
        line = " ".join([verb, *(f"{key}={value}" for key, value in values.items())])
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self.failure("has ended") from None

    def hear(self, event: str, seconds: float = 30) -> dict[str, Any]:
        """The next event, which must be this one."""
        assert self._process.stdout is not None
        limit = time.monotonic() + seconds
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                if not line.startswith(b"{"):
                    continue  # drivers write to standard output, too
                found: dict[str, Any] = json.loads(line)
                if found["event"] != event:
                    raise self.failure(f"'{found.get('why', found['event'])}' instead of '{event}'")
                return found
            left = limit - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, left))
            if not ready:
                raise self.failure(f"no '{event}' within {seconds:g} s")
            chunk = os.read(self._process.stdout.fileno(), 65536)
            if not chunk:
                raise self.failure(f"ended before '{event}'")
            self._rest += chunk
            with self.log.open("ab") as log:
                log.write(chunk)
