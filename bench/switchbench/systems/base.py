# SPDX-License-Identifier: Apache-2.0
"""What a system under test is: how it is set up, and between which processes traffic goes."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import ClassVar

from ..process import Program, Traffic


@dataclass(frozen=True)
class Setup:
    """What cannot be changed while a system is up."""

    ports: int = 1  # at each end
    largest: int = 1518  # frame
    idle_ports: int = 0  # further ports that take part in nothing (rvif only)
    descriptors: int = 1024  # of a queue (rvif: of each of its lanes); the rings of memif and vhost have as many
    macs: int = 2  # in the largest case


@dataclass
class Place:
    """Where things are on this machine."""

    build: Path
    plugins: Path
    folder: Path  # sockets, of this run alone
    logs: Path
    cpus: tuple[int, int]
    serial: int = field(default=0)


class System:
    """Use it with `with`. `source` sends and `sink` receives; they are one process where a third one has to have a
    CPU for itself."""

    name: ClassVar[str]
    switches: ClassVar[bool] = False  # has to learn who is where
    most_ports: ClassVar[int] = 8
    enter: tuple[str, ...] = ()  # a command that runs `traffic` where the system is

    source: Traffic
    sink: Traffic

    def __init__(self, place: Place, setup: Setup) -> None:
        self.place, self.setup = place, setup
        place.serial += 1
        self.folder = place.folder / f"{place.serial}"
        self.programs: list[Program] = []
        self._cleanup = contextlib.ExitStack()

    def __enter__(self) -> "System":
        self.folder.mkdir()
        try:
            self.start()
            for end in self.ends:
                end.hear("ready", 60)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for program in reversed(self.programs):
            program.end()
        self._cleanup.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def ends(self) -> list[Traffic]:
        return [self.sink] if self.source is self.sink else [self.sink, self.source]

    @property
    def pids(self) -> list[int]:
        return [program.pid for program in self.programs]

    def start(self) -> None:
        raise NotImplementedError

    # --- for the systems -------------------------------------------------------------------------------------

    def log(self, name: str) -> Path:
        return self.place.logs / f"{self.name}-{self.place.serial}-{name}.log"

    def program(self, name: str, command: list[str], environment: dict[str, str] | None = None) -> Program:
        started = Program(f"{self.name}: {name}", command, self.log(name), environment)
        self.programs.append(started)
        return started

    def eal(self, cpu: int) -> list[str]:
        """Arguments of any DPDK program: hugepages that vanish with the process, no files, no PCI."""
        return ["--lcores", f"0@{cpu}", "--no-pci", "--no-telemetry", "--in-memory", "--single-file-segments",
                "--log-level", "lib.*:error"]

    def traffic(self, name: str, cpu: int, vdevs: list[str], sources: list[str] | None = None, sinks: list[str] | None = None,
                plugins: list[str] | None = None, mbufs: int = 16384) -> Traffic:
        # All memory at once: what EAL gets bit by bit lies in many pieces, and drivers can show others only so many.
        buffer = 2432 if self.setup.largest <= 2048 else 9664
        megabytes = mbufs * buffer // (1 << 20) + 64
        command = [*self.enter, str(self.place.build / "guest/dpdk/traffic"), *self.eal(cpu), "-m", str(megabytes)]
        for plugin in plugins or []:
            command += ["-d", str(self.place.plugins / plugin)]
        for vdev in vdevs:
            command += ["--vdev", vdev]
        command += ["--", "--mbufs", str(mbufs), "--largest", str(self.setup.largest), "--descriptors", str(self.setup.descriptors)]
        if sources:
            command += ["--source", ",".join(sources)]
        if sinks:
            command += ["--sink", ",".join(sinks)]
        started = Traffic(f"{self.name}: {name}", command, self.log(name))
        self.programs.append(started)
        return started

    def mbufs(self, per_port: int = 16384) -> int:
        """Packet buffers of an end. Many ports need not have as many each."""
        return per_port * max(1, self.setup.ports // 2) // (1 if self.setup.largest <= 2048 else 2)

    def until_socket(self, program: Program, path: Path) -> None:
        program.until(f"socket {path.name}", path.is_socket)


def station(of_sink: bool, port: int) -> str:
    """The MAC of an end's first station, as bench/traffic/frame.hpp numbers them."""
    return f"02:{'d0' if of_sink else '50'}:00:{port:02x}:00:00"
