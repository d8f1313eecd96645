# SPDX-License-Identifier: Apache-2.0
"""What a run said: progress on the terminal, one log file per VM, one JSON of results."""

from __future__ import annotations

import json
import shutil
import textwrap
import time
from pathlib import Path
from typing import IO, Any

from .log import last_said, say, tail

# Seconds without a line on the terminal before one says where things stand.
_QUIET = 10


class Report:
    """Collects the agent's events. One per job, whichever machine runs it."""

    def __init__(self, logs: Path, verbose: bool) -> None:
        self.logs = logs
        self.verbose = verbose
        self.results: dict[str, dict[str, Any]] = {}
        self.ended = False
        self.heard = time.monotonic()  # when the last event came
        self.playing: str | None = None  # the scenario that is in progress
        self._scenario = "host"
        self._said: dict[str, str] = {}  # the last line of each VM that still runs
        self._files: dict[Path, IO[str]] = {}

    def event(self, line: str) -> None:
        self.heard = time.monotonic()
        try:
            event = json.loads(line)
        except ValueError:
            say(f"lab: unreadable event: {line[:200]}")
            return
        handler = getattr(self, "_on_" + event["ev"].replace("-", "_"), None)
        if handler is not None:
            handler(event)
        if self.playing is not None and self.heard - last_said() > _QUIET:
            self._where_things_stand(event["t"])

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    # --- events ----------------------------------------------------------------------------------------------

    def _on_begin(self, event: dict[str, Any]) -> None:
        self._scenario = self.playing = event["scenario"]
        self._said.clear()
        shutil.rmtree(self.logs / self._scenario, ignore_errors=True)  # of an earlier run
        say(f"{self._scenario}: begins at {event['t']:.1f} s of the host's clock")

    def _on_step(self, event: dict[str, Any]) -> None:
        say(f"{self._scenario}: step {event['number']}/{event['of']} {event['text']}")

    def _where_things_stand(self, clock: float) -> None:
        """So that a slow run does not look like a dead one."""
        said = "; ".join(f"{vm} said last: {line[:60]}" for vm, line in self._said.items())
        say(f"{self._scenario}: {clock:.0f} s of the host's clock; {said or 'no VM has said anything yet'}")

    def _on_vm_line(self, event: dict[str, Any]) -> None:
        if event["line"].strip():
            self._said[event["vm"]] = event["line"].strip()
        self._keep(event["vm"], f"[{event['t']:9.3f}] {event['line']}")
        if self.verbose or event["line"].startswith("ELISA-PROGRESS "):
            say(f"{self._scenario}: {event['vm']}| {event['line'].removeprefix('ELISA-PROGRESS ')}")

    def _on_vm_exit(self, event: dict[str, Any]) -> None:
        self._said.pop(event["vm"], None)
        status = "no status" if event["status"] is None else f"status {event['status']}"
        say(f"{self._scenario}: VM {event['vm']} ended, {status}")

    def _on_host_line(self, event: dict[str, Any]) -> None:
        self._keep("host", f"[{event['t']:9.3f}] {event['line']}")
        if self.verbose:
            say(f"{self._scenario}: host| {event['line']}")

    def _on_kernel(self, event: dict[str, Any]) -> None:
        self._keep("kernel", f"[{event['t']:9.3f}] {event['line']}")
        if self.verbose:
            say(f"{self._scenario}: kernel| {event['line']}")

    def _on_result(self, event: dict[str, Any]) -> None:
        self.playing = None
        result = {"ok": event["ok"], "error": event["error"], "seconds": event["seconds"], **event["result"]}
        folder = self._result(event["scenario"], result)
        say(f"{event['scenario']}: {'passed' if event['ok'] else 'FAILED'} in {event['seconds']} s of the host's clock")
        if not event["ok"]:
            say(f"{event['scenario']}: {event['error']}\n  logs: {folder}")

    def lost(self, scenario: str, why: str) -> None:
        """The host went down or hung while this scenario was played."""
        said = [f"  {path.stem} said last:\n" + textwrap.indent(tail(path, 8), "    ")
                for path in sorted((self.logs / scenario).glob("*.log"))]
        error = "\n".join([why, *said])
        self._scenario, self.playing = scenario, None
        # A host that goes down has complained, whether or not its last lines could be read.
        result = {"ok": False, "error": error, "seconds": None, "vms": {}, "host": [], "trouble": [why.splitlines()[0]]}
        folder = self._result(scenario, result)
        say(f"{scenario}: FAILED\n{error}\n  logs: {folder}")

    def _result(self, scenario: str, result: dict[str, Any]) -> Path:
        self.results[scenario] = result
        folder = self._folder()
        (folder / "result.json").write_text(json.dumps(result, indent=1) + "\n")
        return folder

    def _on_end(self, _event: dict[str, Any]) -> None:
        self.ended = True

    # --- files -----------------------------------------------------------------------------------------------

    def _folder(self) -> Path:
        folder = self.logs / self._scenario
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _keep(self, name: str, line: str) -> None:
        path = self._folder() / f"{name}.log"
        file = self._files.get(path)
        if file is None:
            file = self._files[path] = path.open("w")
        file.write(line + "\n")
        file.flush()
