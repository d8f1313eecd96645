# SPDX-License-Identifier: Apache-2.0
"""`./elisa test --fuzz`: see ../README.md."""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from . import corpus

_HERE = Path(__file__).resolve().parent.parent
TARGETS = ("transmit", "frames", "control")


def _say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", file=sys.stderr, flush=True)


class Target:
    def __init__(self, name: str, build: Path) -> None:
        self.name = name
        self.folder = build / "tests/fuzz/rvs"
        self.program = self.folder / f"fuzz_{name}"
        self.kept = _HERE / "rvs/corpus" / name
        self.found = self.folder / "found" / name  # what campaigns add
        self.executions = 0
        self.seconds = 0.0
        self.finding = ""
        self._process: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def run(self, seconds: int, executions: int) -> None:
        """One slice: ends after that time, that many executions, or with a finding."""
        self.found.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{self.name}.log"
        started = time.monotonic()
        with log.open("w") as out:
            self._process = subprocess.Popen(
                [str(self.program), f"-max_total_time={seconds}", f"-runs={executions}", "-max_len=256",
                 "-timeout=10", "-print_final_stats=1", f"-artifact_prefix={self.folder}/{self.name}-",
                 str(self.found), str(self.kept)],
                stdout=out, stderr=subprocess.STDOUT,
            )
            status = self._process.wait()
        text = log.read_text(errors="replace")
        executed = re.search(r"number_of_executed_units:\s*(\d+)", text)
        self.executions += int(executed[1]) if executed else 0
        self.seconds += time.monotonic() - started
        if status != 0:
            self.finding = f"status {status}; the end of {log}:\n" + "\n".join(text.splitlines()[-60:])


class Campaign:
    """Slices of the targets, some of them at a time: whose turn it is has had least so far."""

    def __init__(self, targets: list[Target], arguments: argparse.Namespace) -> None:
        self._targets = targets
        self._arguments = arguments
        self._idle = list(targets)
        self._lock = threading.Lock()
        self._end = time.monotonic() + 60 * (arguments.minutes or 0)
        self._share = -(-arguments.executions // len(targets)) if arguments.executions is not None else None

    def run(self) -> None:
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self._arguments.jobs)]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        finally:  # of an interrupted one
            for target in self._targets:
                target.stop()

    def _work(self) -> None:
        while True:
            with self._lock:
                turn = self._next()
                if turn is None:
                    return
                target, seconds, executions = turn
                self._idle.remove(target)
            target.run(seconds, executions)
            with self._lock:
                self._idle.append(target)
                _say(f"{target.name}: {target.executions} executions in {target.seconds:.0f} s; "
                     f"all: {sum(t.executions for t in self._targets)}")
                _report(self._arguments.json, self._targets)

    def _next(self) -> tuple[Target, int, int] | None:
        """A target, seconds, executions (-1: any number)."""
        if any(target.finding for target in self._targets):
            return None
        if self._share is None:
            seconds = min(self._arguments.slice, int(self._end - time.monotonic()))
            target = min(self._idle, key=lambda t: t.seconds, default=None)
            return (target, seconds, -1) if target is not None and seconds > 0 else None
        share = self._share
        target = min((t for t in self._idle if t.executions < share), key=lambda t: t.executions, default=None)
        return (target, self._arguments.slice, share - target.executions) if target is not None else None


def main() -> int:
    parser = argparse.ArgumentParser(prog="elisa test --fuzz", description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=None)
    length.add_argument("--executions", type=int, default=None, help="of all targets together, the same for each")
    parser.add_argument("--slice", type=int, default=60, help="seconds until it is the next target's turn")
    parser.add_argument("--jobs", type=int, choices=range(1, len(TARGETS) + 1), default=1, help="targets that run at a time")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--keep", action="store_true",
                        help="at the end, put a small set of inputs that reaches all that was reached into the tree")
    parser.add_argument("target", nargs="*", help=f"of {', '.join(TARGETS)}; all unless told")
    arguments = parser.parse_args()
    for name in arguments.target:
        if name not in TARGETS:
            parser.error(f"there is no target '{name}', but {', '.join(TARGETS)}")
    if arguments.minutes is None and arguments.executions is None:
        arguments.minutes = 5.0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    build = arguments.build.resolve()
    targets = [Target(name, build) for name in arguments.target or TARGETS]
    Campaign(targets, arguments).run()
    for target in targets:
        if target.finding:
            print(f"{target.name}: {target.finding}")
    if arguments.keep:
        for target in targets:
            _say(f"{target.name}: {corpus.keep(target.program, [target.kept, target.found], target.kept)} inputs are kept")
    print(f"{'target':10} {'executions':>12} {'seconds':>8} {'a second':>9}")
    for target in targets:
        rate = target.executions / target.seconds if target.seconds else 0
        print(f"{target.name:10} {target.executions:12} {target.seconds:8.0f} {rate:9.0f}")
    return 1 if any(target.finding for target in targets) else 0


def _report(path: Path | None, targets: list[Target]) -> None:
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "executions": sum(target.executions for target in targets),
        "findings": [target.name for target in targets if target.finding],
        "targets": {target.name: {"executions": target.executions, "seconds": round(target.seconds)} for target in targets},
    }, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
