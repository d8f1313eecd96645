# SPDX-License-Identifier: Apache-2.0
"""What a unit would start, started: there is no systemd that runs in the root, and no elisa.ko, so with the direct backend."""

from __future__ import annotations

import shlex
import subprocess
import time
from pathlib import Path

UNITS = Path("/lib/systemd/system")
_BOUND_S = 60.0


class ServiceError(Exception):
    """It did not do what it should; says what it said."""


def _settings(unit: str) -> dict[str, str]:
    lines = (UNITS / unit).read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def command(unit: str, key: str = "ExecStart", instance: str = "") -> list[str]:
    """The unit's command line, as systemd makes it: %i is the instance, $WORD of its EnvironmentFile is split into words."""
    settings = _settings(unit)
    environment: dict[str, str] = {}
    if "EnvironmentFile" in settings:
        for line in Path(settings["EnvironmentFile"].replace("%i", instance)).read_text().splitlines():
            if line and not line.startswith("#"):
                name, value = line.split("=", 1)
                environment[name] = value
    words: list[str] = []
    for word in shlex.split(settings[key].replace("%i", instance)):
        words += shlex.split(environment[word[1:]]) if word.startswith("$") else [word]
    return words


class Service:
    """One that runs until it has been told to end. Use it with `with`."""

    def __init__(self, words: list[str], ready: str, log: Path) -> None:
        self._words, self._ready, self._log = words, ready, log

    def said(self) -> str:
        return self._log.read_text(errors="replace")

    def __enter__(self) -> "Service":
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(self._words, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + _BOUND_S
        while self._ready not in self.said():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise ServiceError(f"'{' '.join(self._words)}' did not say '{self._ready}', but:\n{self.said()}")
            time.sleep(0.05)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._process.terminate()
        try:
            status = self._process.wait(_BOUND_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        if kind is None and status != 0:
            raise ServiceError(f"'{' '.join(self._words)}' ended with {status}:\n{self.said()}")
