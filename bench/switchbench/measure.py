# SPDX-License-Identifier: Apache-2.0
"""Playing a plan: repetition after repetition, in each every system in turn, so that what drifts drifts for all."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from .cases import SIZES, Case, Plan, Session
from .machine import BenchError, CpuTime
from .process import Traffic
from .systems import SYSTEMS, Setup, System
from .systems.base import Place

# Of the two CPUs' time in a window; more, and the window is measured again. The kernel counts in ticks of 10 ms, of which
# a window has a hundred: less than this would be noise.
_FOREIGN_SHARE = 0.04
_TRIES = 4  # of one window
_EXTRA_SHARE = 0.25  # of all windows may be repeated


@dataclass
class Sample:
    values: list[float] = field(default_factory=list)
    disturbed: int = 0  # of them, although repeated
    wrong: int = 0


@dataclass(frozen=True)
class Shape:
    """What of a setup bears on a figure."""

    ports: int = 1
    idle_ports: int = 0
    descriptors: int = 1024

    @staticmethod
    def of(setup: Setup) -> "Shape":
        return Shape(setup.ports, setup.idle_ports, setup.descriptors)


@dataclass
class Measured:
    """Everything that was seen."""

    mpps: dict[tuple[str, Shape, Case], Sample] = field(default_factory=dict)
    rtt: dict[str, dict[str, Sample]] = field(default_factory=dict)
    limit: dict[int, Sample] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    windows: int = 0


class Runner:
    def __init__(self, plan: Plan, place: Place) -> None:
        self.plan, self.place = plan, place
        self.measured = Measured()
        windows = plan.repetitions * (len(SIZES) + sum(len(s.cases) + s.rtt for s in plan.sessions))
        self._extra_left = int(windows * _EXTRA_SHARE)
        self._begun = time.monotonic()

    def run(self) -> Measured:
        for repetition in range(1, self.plan.repetitions + 1):
            self._limit()
            for number, session in enumerate(self.plan.sessions, 1):
                self._say(f"repetition {repetition} of {self.plan.repetitions}, {number} of {len(self.plan.sessions)}: "
                          f"{_name(session)}")
                if _name(session) not in self.measured.skipped and repetition <= session.repetitions:
                    self._session(session)
        return self.measured

    def _say(self, text: str) -> None:
        elapsed = int(time.monotonic() - self._begun)
        print(f"[{elapsed // 60:3}:{elapsed % 60:02}] {text}", file=sys.stderr, flush=True)

    # --- one system ------------------------------------------------------------------------------------------

    def _session(self, session: Session) -> None:
        try:
            system = SYSTEMS[session.system](self.place, session.setup)
            with system:
                for case in session.cases:
                    key = (session.system, Shape.of(session.setup), case)
                    sample = self.measured.mpps.setdefault(key, Sample())
                    value, disturbed = self._undisturbed(system, lambda: self._load(system, case, sample))
                    sample.values.append(value)
                    sample.disturbed += disturbed
                if session.rtt:
                    self._rtt(session.system, system)
        except BenchError as error:
            # What cannot be had must not cost the figures of the others, unless it is ours.
            if session.system == "rvif":
                raise
            self._say(f"left out from here on: {error}")
            self.measured.skipped[_name(session)] = str(error).splitlines()[0]

    def _undisturbed(self, system: System, once: Callable[[], tuple[Any, float]]) -> tuple[Any, bool]:
        """A window's figure, and whether something else ran meanwhile each time that it was tried."""
        for attempt in range(1, _TRIES + 1):
            value, share = once()
            self.measured.windows += 1
            if share <= _FOREIGN_SHARE:
                return value, False
            if attempt == _TRIES or self._extra_left <= 0:
                break
            self._extra_left -= 1
            self.measured.repeated += 1
        return value, True

    def _window(self, system: System, watched: Traffic) -> tuple[dict[str, Any], float]:
        watched.hear("begin")
        cpu, begun = CpuTime(self.place.cpus, system.pids), time.monotonic()
        end = watched.hear("end", 60)
        return end, cpu.foreign() / (2 * (time.monotonic() - begun))

    def _load(self, system: System, case: Case, sample: Sample) -> tuple[float, float]:
        load = {"size": case.size, "dirty": int(case.payload == "dirty"), "burst": case.burst, "flows": case.flows,
                "macs": case.macs, "warm_ms": self.plan.warm_ms, "ms": self.plan.window_ms}
        if system.switches:
            for end in system.ends:
                end.tell("announce", macs=case.macs)
                end.hear("done")
        for end in system.ends:
            end.tell("load", **load)
            end.hear("running")
        try:
            end, foreign = self._window(system, system.sink)
        finally:
            for process in reversed(system.ends):
                if process.running():
                    process.tell("stop")
        for process in reversed(system.ends):
            process.hear("stopped")
        sample.wrong += end["wrong"]
        if end["wrong"]:
            raise BenchError(f"{system.name}, {case}: {end['wrong']} frames did not arrive as they were sent")
        return end["frames"] / end["seconds"] / 1e6, foreign

    def _rtt(self, name: str, system: System) -> None:
        def once() -> tuple[dict[str, Any], float]:
            if system.switches:
                for end in system.ends:
                    end.tell("announce", macs=2)
                    end.hear("done")
            for end in system.ends:
                end.tell("ping", size=64, warm_ms=self.plan.warm_ms, ms=self.plan.rtt_ms)
                end.hear("running")
            found, foreign = self._window(system, system.source)
            for process in reversed(system.ends):
                process.tell("stop")
            for process in reversed(system.ends):
                process.hear("stopped")
            return found, foreign

        found, disturbed = self._undisturbed(system, once)
        samples = self.measured.rtt.setdefault(name, {key: Sample() for key in ("p50", "p99", "p999")})
        for key, sample in samples.items():
            sample.values.append(found[key])
            sample.disturbed += disturbed

    # --- the limit -------------------------------------------------------------------------------------------

    def _limit(self) -> None:
        self._say("the limit: one copy between two CPUs")
        source, sink = self.place.cpus
        for size in SIZES:
            command = [str(self.place.build / "bench/limit"), str(source), str(sink), str(size),
                       str(self.plan.window_ms)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BenchError(f"limit: {done.stderr.strip()}")
            self.measured.limit.setdefault(size, Sample()).values.append(json.loads(done.stdout)["mpps"])


def _name(session: Session) -> str:
    setup = session.setup
    text = f"{session.system}, {setup.ports} port{'s' if setup.ports > 1 else ''} each end"
    if setup.idle_ports:
        text += f" and {setup.idle_ports} idle ones"
    return f"{text}, frames up to {setup.largest} B, {len(session.cases)} cases"


def median(sample: Sample) -> float:
    return statistics.median(sample.values)
