# SPDX-License-Identifier: Apache-2.0
"""Stock testpmd processes around one switch, on this machine: no hugepages, no root, nothing left behind."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))
from dpdk_plugins import PluginError, plugin_folder  # noqa: E402

TESTPMD = os.environ.get("ELISA_TESTPMD", "dpdk-testpmd")
_HUGEPAGES = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
_FREE_HUGEPAGES = _HUGEPAGES.with_name("free_hugepages")
HUGEPAGES_CAN_BE_HAD = os.access(_HUGEPAGES, os.W_OK)
ALONE_S = 60.0  # bound of any single wait


class BedError(Exception):
    """A process did not do what it should in time; says which and what it said last."""


def until(what: str, condition: Callable[[], Any], bound: float = 20) -> Any:
    """What `condition` finds, as soon as it finds something."""
    deadline = time.monotonic() + bound
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise BedError(f"not within {bound:.0f} s: {what}")
        time.sleep(0.05)
    return found


class Process:
    """A program whose output goes to a file and whose stdin stays open."""

    def __init__(self, name: str, command: list[str], log: Path) -> None:
        self.name, self.log = name, log
        with log.open("wb") as out:
            # Line-buffered: what it says must be there when it says it.
            self._process = subprocess.Popen(["stdbuf", "-oL", *command], stdin=subprocess.PIPE, stdout=out, stderr=subprocess.STDOUT)

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()

    def running(self) -> bool:
        return self._process.poll() is None

    def until(self, what: str, condition: Callable[[], Any], bound: float = ALONE_S) -> Any:
        deadline = time.monotonic() + bound
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > deadline:
                raise BedError(f"{self.name}: no {what} within {bound:.0f} s. It said last:\n{self.tail()}")
            if not self.running():
                if found := condition():
                    return found
                raise BedError(f"{self.name} ended with {self._process.returncode} before {what}. It said last:\n{self.tail()}")
            time.sleep(0.02)

    def until_says(self, text: str, bound: float = ALONE_S, times: int = 1) -> None:
        self.until(f"'{text}'", lambda: self.output().count(text) >= times, bound)

    def tail(self) -> str:
        return "\n".join(self.output().splitlines()[-25:])

    def wait(self, bound: float = ALONE_S) -> int:
        try:
            return self._process.wait(bound)
        except subprocess.TimeoutExpired:
            raise BedError(f"{self.name} does not end within {bound:.0f} s. It said last:\n{self.tail()}") from None

    def freeze(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL: no good-byes."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        if self.running():
            self.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()


class Bed:
    """One manager and any number of testpmd processes. Use it with `with`. Without `build`: what is installed."""

    def __init__(self, build: Path | None, keep_logs: Path | None = None) -> None:
        self._build = build
        self._keep_logs = keep_logs
        self._processes: list[Process] = []
        self._cpus = itertools.cycle(sorted(os.sched_getaffinity(0)))
        self._serial = itertools.count()
        self._undo = contextlib.ExitStack()

    def __enter__(self) -> "Bed":
        self.folder = Path(tempfile.mkdtemp(prefix="elisa-direct-"))
        self.socket = self.folder / "rvs.sock"
        self.plugins: list[str] = []
        self._plugin_folder = contextlib.ExitStack()
        if self._build is not None:
            try:
                folder = self._plugin_folder.enter_context(plugin_folder(self._build))
            except PluginError as error:
                raise BedError(str(error)) from None
            for name in ("librte_net_rvif.so", "librte_net_rvgen.so"):
                self.plugins += ["-d", str(folder / name)]
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.close()
        self._undo.close()
        if self._keep_logs is not None:
            self._keep_logs.mkdir(parents=True, exist_ok=True)
            for log in self.folder.glob("*.log"):
                shutil.copy2(log, self._keep_logs)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._plugin_folder.close()

    def manager(self, *extra: str) -> Process:
        program = Path("vmnet") if self._build is None else self._build / "guest/bin/vmnet"
        if shutil.which(program) is None:
            raise BedError(f"{program} is not there: build first (./elisa build user)")
        process = self._start("manager", [str(program), "--backend", "direct", "--socket", str(self.socket), *extra])
        process.until_says("the switch is ready")
        return process

    def hugepages(self, count: int) -> None:
        """So many of 2 MB more than there were, until the end, for processes with huge=[EAL's arguments]."""
        before = int(_HUGEPAGES.read_text())
        self._undo.callback(_HUGEPAGES.write_text, str(before))
        _HUGEPAGES.write_text(str(before + count))
        if (missing := before + count - int(_HUGEPAGES.read_text())) > 0:
            raise BedError(f"{missing} of {count} hugepages cannot be had: the memory is in use or in pieces")
        folder = self.folder / "huge"
        folder.mkdir()
        subprocess.run(["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "none", str(folder)], check=True)
        self._undo.callback(subprocess.run, ["umount", str(folder)], check=True)

    @staticmethod
    def free_hugepages() -> int:
        return int(_FREE_HUGEPAGES.read_text())

    def testpmd(self, name: str, vdevs: list[str], *arguments: str, mbufs: int = 8192, memory_mb: int = 160,
                own_socket: bool = True, huge: list[str] | None = None) -> Process:
        """own_socket: backend=direct means that of this bed's manager."""
        return self.dpdk(TESTPMD, name, vdevs, "--", "--nb-cores=1", f"--total-num-mbufs={mbufs}", *arguments,
                         memory_mb=memory_mb, own_socket=own_socket, huge=huge)

    def dpdk(self, program: str, name: str, vdevs: list[str], *arguments: str, memory_mb: int = 160,
             own_socket: bool = True, first: list[str] | None = None, telemetry: bool = False,
             huge: list[str] | None = None) -> Process:
        cpu = next(self._cpus)
        memory = ["--no-huge", "-m", str(memory_mb), "--no-shconf"]
        if huge is not None:
            memory = [*huge, "--file-prefix", f"elisa-{os.getpid()}-{name}"]
            if "--in-memory" not in huge:
                memory += ["--huge-dir", str(self.folder / "huge")]
        command = [program, *(first or []), "--lcores", f"0@{cpu},1@{cpu}", *memory, "--no-pci",
                   *([] if telemetry else ["--no-telemetry"]), *self.plugins]
        for vdev in vdevs:
            command += ["--vdev", vdev.replace("backend=direct", f"backend=direct,socket={self.socket}") if own_socket else vdev]
        return self._start(name, [*command, *arguments])

    def generator(self, name: str, flows: list[tuple[int, int]], *arguments: str, options: str = "",
                  mac: str = "02:72:76:67:00:01", **more: Any) -> Process:
        wanted = ",".join(f"flow={size}:{count}" for size, count in flows)
        vdev = f"net_rvgen0,name={name},mac={mac},{wanted},report={self.report_path(name)}" + (f",{options}" if options else "")
        return self.testpmd(name, [vdev, "net_rvif0,backend=direct"], "--forward-mode=io", *arguments, **more)

    def echo(self, name: str, *arguments: str, options: str = "", **more: Any) -> Process:
        vdev = f"net_rvgen0,mode=echo,name={name},report={self.report_path(name)}" + (f",{options}" if options else "")
        return self.testpmd(name, [vdev, "net_rvif0,backend=direct"], "--forward-mode=io", *arguments, **more)

    def program(self, name: str, command: list[str]) -> Process:
        return self._start(name, command)

    def report_path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def report(self, process: Process, bound: float = ALONE_S) -> dict[str, Any]:
        path = self.report_path(process.name)
        process.until("report", path.exists, bound)
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def _start(self, name: str, command: list[str]) -> Process:
        process = Process(name, command, self.folder / f"{next(self._serial):02}-{name}.log")
        self._processes.append(process)
        return process
