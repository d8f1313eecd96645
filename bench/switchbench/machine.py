# SPDX-License-Identifier: Apache-2.0
"""What the machine is, what else runs on it, and hugepages that are given back."""

from __future__ import annotations

import functools
import os
import platform
from pathlib import Path
from types import TracebackType
from typing import Any, Iterable

_TICK = os.sysconf("SC_CLK_TCK")
_HUGEPAGES = Path("/proc/sys/vm/nr_hugepages")
_FREE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")


class BenchError(Exception):
    """Cannot measure; the text says what to do."""


def description() -> dict[str, Any]:
    info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), platform.machine())
    return {"cpu": model, "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "virtual": any(line.startswith("flags") and " hypervisor" in line for line in info)}


def two_cpus() -> tuple[int, int]:
    """The two that everything is pinned to."""
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise BenchError("two CPUs are needed: one sends, one receives")
    return cpus[0], cpus[1]


class CpuTime:
    """Busy seconds of the two CPUs since it was made: in all, and of the processes that are ours."""

    def __init__(self, cpus: tuple[int, int], pids: Iterable[int]) -> None:
        self._cpus = cpus
        self._pids = [*pids, os.getpid(), *_softirq_threads(cpus)]
        self._machine = self._machine_now()
        self._ours = self._ours_now()

    def foreign(self) -> float:
        """Seconds that neither we used nor anybody left: other processes, other virtual machines (steal)."""
        return max(0.0, (self._machine_now() - self._machine) - (self._ours_now() - self._ours))

    def _machine_now(self) -> float:
        busy = 0
        for line in Path("/proc/stat").read_text().splitlines():
            name, *fields = line.split()
            if name in (f"cpu{cpu}" for cpu in self._cpus):
                user, nice, system, _idle, _iowait, irq, softirq, steal = (int(field) for field in fields[:8])
                busy += user + nice + system + irq + softirq + steal
        return busy / _TICK

    def _ours_now(self) -> float:
        spent = 0
        for pid in self._pids:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            spent += int(fields[11]) + int(fields[12])
        return spent / _TICK


@functools.cache
def _softirq_threads(cpus: tuple[int, int]) -> list[int]:
    """The kernel's packet processing is part of what is measured. Looked up once: the search takes milliseconds."""
    found = []
    for comm in Path("/proc").glob("[0-9]*/comm"):
        try:
            if comm.read_text().strip() in (f"ksoftirqd/{cpu}" for cpu in cpus):
                found.append(int(comm.parent.name))
        except OSError:
            continue
    return found


class Hugepages:
    """2 MB pages: as many more as are missing, given back at the end."""

    def __init__(self, megabytes: int) -> None:
        self._wanted = megabytes // 2

    def __enter__(self) -> "Hugepages":
        self._before = int(_HUGEPAGES.read_text())
        free = int(_FREE.read_text())
        if free >= self._wanted:
            return self
        try:
            _HUGEPAGES.write_text(str(self._before + self._wanted - free))
        except OSError as error:
            raise BenchError(f"{self._wanted} free hugepages of 2 MB are needed and there are {free}: {error.strerror} writing "
                             f"{_HUGEPAGES}. Run as root, or let root do: echo {self._wanted} >{_HUGEPAGES}") from None
        free = int(_FREE.read_text())
        if free < self._wanted:
            _HUGEPAGES.write_text(str(self._before))
            raise BenchError(f"the kernel found memory for only {free} of the {self._wanted} hugepages of 2 MB that are needed: "
                             "end programs that hold memory, or boot with "
                             f"hugepages={self._wanted} on the kernel's command line")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if int(_HUGEPAGES.read_text()) != self._before:
            _HUGEPAGES.write_text(str(self._before))
