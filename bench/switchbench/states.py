# SPDX-License-Identifier: Apache-2.0
"""How far the two CPUs are from each other, which changes under a virtual machine as its host moves them about: figures are
comparable only between windows in the same state."""

from __future__ import annotations

import json
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .machine import BenchError

STATES = ("near", "far")
# Round trip of a cache line. CPUs that share a cache answer within 100 ns, others take 200 and more.
_NEAR_NS = 140


def state_of(round_trip_ns: float) -> str:
    return "near" if round_trip_ns < _NEAR_NS else "far"


def probe(program: Path, cpus: tuple[int, int]) -> float:
    """Takes some 10 ms. The round trip, ns."""
    done = subprocess.run([str(program), *map(str, cpus)], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"{program.name}: status {done.returncode} {done.stderr.strip()}")
    return float(json.loads(done.stdout)["round_trip_ns"])


@dataclass(frozen=True)
class Window:
    """A figure, and the CPUs' round trip before and after it."""

    value: float
    before_ns: float
    after_ns: float
    disturbed: bool = False  # by other processes, although repeated

    @property
    def state(self) -> str | None:
        """None: it changed meanwhile."""
        before, after = state_of(self.before_ns), state_of(self.after_ns)
        return before if before == after else None


@dataclass
class Sample:
    """Windows of one case of one system."""

    windows: list[Window] = field(default_factory=list)

    def values(self, state: str) -> list[float]:
        return [window.value for window in self.windows if window.state == state]

    def count(self, state: str) -> int:
        return len(self.values(state))

    def states(self) -> list[str]:
        """In which it was measured."""
        return [state for state in STATES if self.count(state)]

    def median(self, state: str) -> float | None:
        """None: never seen in this state."""
        values = self.values(state)
        return statistics.median(values) if values else None


def common_state(samples: list[Sample]) -> str:
    """The one state in which the most of them were measured, and of these the one with the most windows: what stands for a sample
    where there is room for one figure."""
    return max(STATES, key=lambda state: (sum(state in sample.states() for sample in samples),
                                          sum(sample.count(state) for sample in samples)))
