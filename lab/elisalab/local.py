# SPDX-License-Identifier: Apache-2.0
"""Running a job on this machine itself, if it is a host that can."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from elisahost import checks
from elisahost.machine import Machine

from . import images, kernels
from .log import LabError, say, tail
from .report import Report


def missing(needs_vms: bool, needs_elisa: bool, needs_bridge: bool = False) -> list[str]:
    """What this machine lacks for a job with these needs, each with what to do about it."""
    lacks: list[str] = []
    if not needs_vms:
        return lacks
    if os.geteuid() != 0:
        lacks.append("root: VMs are registered through /dev/elisa (mode 0600)")
    if shutil.which("qemu-system-x86_64") is None:
        lacks.append("QEMU: apt-get install qemu-system-x86")
    if needs_bridge and shutil.which("ip") is None:
        lacks.append("ip, for a bridge: apt-get install iproute2")
    machine = Machine()
    if needs_bridge and not machine.exists("/dev/net/tun"):
        lacks.append("tap interfaces: there is no /dev/net/tun (modprobe tun)")
    if not machine.exists("/dev/kvm"):
        lacks.append("KVM: there is no /dev/kvm (modprobe kvm-intel)")
    if needs_elisa and not machine.exists("/dev/elisa"):
        lacks += [f"{each.name}: {each.text}" for each in checks.check(machine) if each.status == "problem"]
        lacks.append("the elisa module: ./elisa host install")
    return lacks


def has_taps(scenario: dict[str, Any]) -> bool:
    return any(argument.startswith("tap,") for vm in scenario["vm"] for argument in vm["qemu"])


class _EventFile:
    """The agent's lines from a file that grows."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self._file = path.open("rb")
        self._partial = b""

    def lines(self) -> list[str]:
        *whole, self._partial = (self._partial + self._file.read()).split(b"\n")
        return [line.decode(errors="replace") for line in whole]


def run(job: dict[str, Any], build: Path, report: Report, bound: float) -> None:
    scenarios = job["scenarios"]
    with_vms = [s for s in scenarios if s["vm"]]
    lacks = missing(bool(with_vms), any(s["modules"] != "stock" for s in with_vms), any(has_taps(s) for s in with_vms))
    if any(s["modules"] == "sweep" for s in scenarios):
        lacks.append("the sweep's elisa.ko, which does what any guest asks: not for a machine that is used")
    if lacks:
        raise LabError("this machine cannot run these scenarios itself; missing:\n"
                       + "\n".join(f"  - {item}" for item in lacks)
                       + "\nThe emulated host can: leave out --machine local.")
    folder = Path(tempfile.mkdtemp(prefix="elisa-local-"))
    try:
        _run_in(folder, job, build, report, bound)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run_in(folder: Path, job: dict[str, Any], build: Path, report: Report, bound: float) -> None:
    payload, events_path = folder / "payload", folder / "events"
    payload.mkdir()
    guest_kernel = kernels.guest_kernel() if any(scenario["vm"] for scenario in job["scenarios"]) else None
    images.stage(payload, images.Binaries(build), guest_kernel, None, None,
                 {**job, "events": str(events_path), "loads_modules": False})
    events = _EventFile(events_path)
    output = report.logs / "agent.out"
    output.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + bound
    say("scenarios run on this machine")
    with output.open("wb") as out:
        # A session of its own: on Ctrl-C we end it in order, and it ends its VMs.
        agent = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", str(payload / "agent/agent.py"), "run", str(payload / "job.json")],
            stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
        )
        try:
            while agent.poll() is None and time.monotonic() < deadline:
                for line in events.lines():
                    report.event(line)
                time.sleep(0.1)
        finally:
            if agent.poll() is None:
                agent.send_signal(signal.SIGTERM)
                try:
                    agent.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(agent.pid, signal.SIGKILL)
                    agent.wait()
    for line in events.lines():
        report.event(line)
    if not report.ended:
        raise LabError(f"the agent did not end its job (within {bound:.0f} s); it said:\n{tail(output)}")
