# SPDX-License-Identifier: Apache-2.0
"""Playing a plan: repetition after repetition, in each every system in turn, so that what drifts drifts for all."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any, Callable

from .cases import SIZES, Case, Plan, Session
from .machine import BenchError, CpuTime
from .process import Traffic
from .states import STATES, Sample, Window, probe
from .systems import SYSTEMS, Setup, System
from .systems.base import Place

# Of the two CPUs' time in a window; more, and the window is measured again. The kernel counts in ticks of 10 ms, of which
# a window has sixty: less than this would be noise.
_FOREIGN_SHARE = 0.05
_EXTRA_SHARE = 0.3  # of all windows may be repeated because something else ran


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
    windows: int = 0
    repeated: int = 0  # something else ran
    discarded: int = 0  # the CPUs' distance changed

    def samples(self) -> list[Sample]:
        return [*self.mpps.values(), *(by_key["p50"] for by_key in self.rtt.values()), *self.limit.values()]

    def states(self) -> list[str]:
        """That were seen at all."""
        return [state for state in STATES if any(state in sample.states() for sample in self.samples())]


class Runner:
    def __init__(self, plan: Plan, place: Place) -> None:
        self.plan, self.place = plan, place
        self.measured = Measured()
        self._extra_left = int(plan.windows() * _EXTRA_SHARE)
        self._begun = time.monotonic()

    def run(self) -> Measured:
        for repetition in range(1, self.plan.repetitions + 1):
            self._limit()
            for number, session in enumerate(self.plan.sessions, 1):
                self._say(f"repetition {repetition} of {self.plan.repetitions}, {number} of {len(self.plan.sessions)}: "
                          f"{_name(session)}")
                if _name(session) not in self.measured.skipped:
                    self._session(session)
        return self.measured

    def _say(self, text: str) -> None:
        elapsed = int(time.monotonic() - self._begun)
        print(f"[{elapsed // 60:3}:{elapsed % 60:02}] {text}", file=sys.stderr, flush=True)

    # --- windows ---------------------------------------------------------------------------------------------

    def _distance(self) -> float:
        return probe(self.place.build / "bench/distance", self.place.cpus)

    def _window(self, once: Callable[[], tuple[dict[str, float], float]], samples: dict[str, Sample]) -> str | None:
        """Adds a window to each of the samples. once() measures: figures by the same keys, and the share of foreign
        processes. Returns the state; None: it changed."""
        while True:
            before = self._distance()
            found, share = once()
            after = self._distance()
            self.measured.windows += 1
            disturbed = share > _FOREIGN_SHARE
            if not disturbed or self._extra_left <= 0:
                break
            self._extra_left -= 1
            self.measured.repeated += 1
        windows = {key: Window(found[key], before, after, disturbed) for key in samples}
        for key, sample in samples.items():
            sample.windows.append(windows[key])
        state = next(iter(windows.values())).state
        self.measured.discarded += state is None
        return state

    def _passes(self, steps: list[Callable[[], str | None]]) -> None:
        """All steps in turn, often enough for a window of each in every state that this machine is known to have, if these
        come round in time."""
        seen: list[set[str]] = [set() for _ in steps]
        for number in range(1, self.plan.most_passes + 1):
            for step, states in zip(steps, seen):
                state = step()
                if state is not None:
                    states.add(state)
            if number >= self.plan.passes and all(states >= set(self.measured.states()) for states in seen):
                break

    # --- one system ------------------------------------------------------------------------------------------

    def _session(self, session: Session) -> None:
        try:
            system = SYSTEMS[session.system](self.place, session.setup)
            with system:
                steps = [self._load_step(system, session, case) for case in session.cases]
                if session.rtt:
                    steps.append(self._ping_step(system))
                self._passes(steps)
        except BenchError as error:
            # What cannot be had must not cost the figures of the others, unless it is ours.
            if session.system == "rvif":
                raise
            self._say(f"left out from here on: {error}")
            self.measured.skipped[_name(session)] = str(error).splitlines()[0]

    def _load_step(self, system: System, session: Session, case: Case) -> Callable[[], str | None]:
        key = (session.system, Shape.of(session.setup), case)
        sample = self.measured.mpps.setdefault(key, Sample())
        return lambda: self._window(lambda: self._load(system, case), {"mpps": sample})

    def _ping_step(self, system: System) -> Callable[[], str | None]:
        samples = self.measured.rtt.setdefault(system.name, {key: Sample() for key in ("p50", "p99", "p999")})
        return lambda: self._window(lambda: self._ping(system), samples)

    def _load(self, system: System, case: Case) -> tuple[dict[str, float], float]:
        end, foreign = self._play(system, system.sink, "load", case.macs, {
            "size": case.size, "dirty": int(case.payload == "dirty"), "burst": case.burst, "flows": case.flows,
            "macs": case.macs, "warm_ms": self.plan.warm_ms, "ms": self.plan.window_ms})
        if end["wrong"]:
            raise BenchError(f"{system.name}, {case}: {end['wrong']} frames did not arrive as they were sent")
        return {"mpps": end["frames"] / end["seconds"] / 1e6}, foreign

    def _ping(self, system: System) -> tuple[dict[str, float], float]:
        return self._play(system, system.source, "ping", 2,
                          {"size": 64, "warm_ms": self.plan.warm_ms, "ms": self.plan.window_ms})

    def _play(self, system: System, watched: Traffic, verb: str, macs: int,
              settings: dict[str, int]) -> tuple[dict[str, Any], float]:
        """What `watched` says at the window's end, and the share of the CPUs' time that went to others."""
        if system.switches:
            for end in system.ends:
                end.tell("announce", macs=macs)
                end.hear("done")
        for end in system.ends:
            end.tell(verb, **settings)
            end.hear("running")
        try:
            watched.hear("begin")
            cpu, begun = CpuTime(self.place.cpus, system.pids), time.monotonic()
            found = watched.hear("end", 60)
            foreign = cpu.foreign() / (2 * (time.monotonic() - begun))
        finally:
            for process in reversed(system.ends):
                if process.running():
                    process.tell("stop")
        for process in reversed(system.ends):
            process.hear("stopped")
        return found, foreign

    # --- the limit -------------------------------------------------------------------------------------------

    def _limit(self) -> None:
        self._say("the limit: one copy between two CPUs")
        self._passes([self._limit_step(size) for size in SIZES])

    def _limit_step(self, size: int) -> Callable[[], str | None]:
        command = [str(self.place.build / "bench/limit"), *map(str, self.place.cpus), str(size), str(self.plan.window_ms)]

        def once() -> tuple[dict[str, float], float]:
            limit = Traffic("limit", command, self.place.logs / "limit.log")
            try:
                limit.hear("begin")
                cpu, begun = CpuTime(self.place.cpus, [limit.pid]), time.monotonic()
                found = limit.hear("end")
                return found, cpu.foreign() / (2 * (time.monotonic() - begun))
            finally:
                limit.end()

        return lambda: self._window(once, {"mpps": self.measured.limit.setdefault(size, Sample())})


def _name(session: Session) -> str:
    setup = session.setup
    text = f"{session.system}, {setup.ports} port{'s' if setup.ports > 1 else ''} each end"
    if setup.idle_ports:
        text += f" and {setup.idle_ports} idle ones"
    return f"{text}, frames up to {setup.largest} B, {len(session.cases)} cases"
