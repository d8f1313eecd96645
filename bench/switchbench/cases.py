# SPDX-License-Identifier: Apache-2.0
"""What is measured: which loads, in which setups, how often."""

from __future__ import annotations

from dataclasses import dataclass, field

from .systems import SYSTEMS, Setup

SIZES = (64, 128, 256, 512, 1024, 1518, 9000)
BURSTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
PORTS = (1, 2, 4, 8)
_START_S = 3.5  # of a system, and its end
SHALLOW = 128  # descriptors
MOST_PORTS = 64  # of a switch, one sending queue each


@dataclass(frozen=True)
class Case:
    size: int = 64
    payload: str = "dirty"
    burst: int = 32
    flows: int = 1
    macs: int = 2


@dataclass
class Session:
    """One start of a system and what is measured while it is up."""

    system: str
    setup: Setup
    cases: list[Case] = field(default_factory=list)
    rtt: bool = False


@dataclass(frozen=True)
class Plan:
    sessions: list[Session]
    repetitions: int  # starts of each system: one may be slower than another in all it does
    passes: int  # over a session's cases, each time
    most_passes: int  # until each case was seen in every state of the CPUs (states.py)
    warm_ms: int = 100
    window_ms: int = 300

    def windows(self) -> int:
        """At least."""
        cases = len(SIZES) + sum(len(session.cases) + session.rtt for session in self.sessions)
        return self.repetitions * self.passes * cases

    def seconds(self) -> float:
        """At least, on an idle machine."""
        window = (self.warm_ms + self.window_ms) / 1000 + 0.15
        return self.repetitions * len(self.sessions) * _START_S + self.windows() * window


MANY_FLOWS = {"flows": 1024, "macs": 256}
ACCEPTANCE = [Case(), Case(size=512), Case(size=1518), Case(**MANY_FLOWS)]


def plan(kind: str, systems: list[str]) -> Plan:
    sessions: list[Session] = []
    for system in systems:
        sessions += {"quick": _quick, "default": _default, "full": _full}[kind](system)
    if "rvif" in systems:
        sessions += _scaling(few=kind == "quick")
    if kind == "quick":
        return Plan(sessions, repetitions=5, passes=1, most_passes=3)
    return Plan(sessions, repetitions=5, passes=1, most_passes=2)


def _quick(system: str) -> list[Session]:
    return [Session(system, Setup(macs=256), list(ACCEPTANCE), rtt=True)]


def _default(system: str) -> list[Session]:
    cases = [*ACCEPTANCE]
    cases += [Case(size=size, payload=payload) for payload in ("dirty", "clean") for size in SIZES if size <= 1518]
    cases += [Case(size=size, **MANY_FLOWS) for size in (512, 1518)]
    cases += [Case(burst=burst) for burst in BURSTS]
    sessions = [
        Session(system, Setup(macs=256), _once(cases), rtt=True),
        Session(system, Setup(largest=9000), [Case(size=9000), Case(size=9000, payload="clean")]),
    ]
    return sessions + [Session(system, Setup(ports=ports), [Case()]) for ports in PORTS[1:]
                       if ports <= SYSTEMS[system].most_ports]


def _full(system: str) -> list[Session]:
    def every(sizes: list[int]) -> list[Case]:
        return [Case(size=size, payload=payload, burst=burst, **flows) for size in sizes for payload in ("dirty", "clean")
                for burst in BURSTS for flows in ({}, MANY_FLOWS)]

    sessions = []
    for ports in PORTS:
        sessions.append(Session(system, Setup(ports=ports, macs=256), every([s for s in SIZES if s <= 1518]), rtt=ports == 1))
        sessions.append(Session(system, Setup(ports=ports, macs=256, largest=9000), every([9000])))
    return sessions


def _scaling(few: bool) -> list[Session]:
    """rvif alone: 2 to MOST_PORTS ports, idle ones and busy ones, and 16 to 4096 MACs."""
    sessions = [Session("rvif", Setup(idle_ports=idle, macs=256), [Case(), Case(**MANY_FLOWS)])
                for idle in ((MOST_PORTS - 2,) if few else (2, 6, 14, 30, MOST_PORTS - 2))]
    # Each of many busy receivers posts buffers to all: shallow lanes, for the two ports that they are compared with, too.
    sessions += [Session("rvif", Setup(ports=ports, descriptors=SHALLOW), [Case()])
                 for ports in ((1, MOST_PORTS // 2) if few else (1, 4, 16, MOST_PORTS // 2))]
    macs = (16, 4096) if few else (16, 64, 256, 1024, 4096)
    sessions.append(Session("rvif", Setup(macs=4096), [Case(flows=count, macs=count) for count in macs]))
    return sessions


def _once(cases: list[Case]) -> list[Case]:
    return list(dict.fromkeys(cases))
