# SPDX-License-Identifier: Apache-2.0
"""Running a job on this machine itself, if it is a host that can."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from . import images, kernels
from .log import LabError, say, tail
from .report import Report

_MSR_PROCBASED_CTLS2 = 0x48B
_MSR_VMFUNC = 0x491
_ENABLE_VM_FUNCTIONS = 1 << (32 + 13)  # allowed-1 half of IA32_VMX_PROCBASED_CTLS2
_EPTP_SWITCHING = 1 << 0


def _msr(number: int) -> int | None:
    """An MSR of CPU 0, or None where it cannot be read."""
    if not Path("/dev/cpu/0/msr").exists():
        subprocess.run(["modprobe", "msr"], capture_output=True, check=False)
    try:
        fd = os.open("/dev/cpu/0/msr", os.O_RDONLY)
    except OSError:
        return None
    try:
        return struct.unpack("<Q", os.pread(fd, 8, number))[0]
    except OSError:
        return None
    finally:
        os.close(fd)


def missing(needs_vms: bool, needs_elisa: bool) -> list[str]:
    """What this machine lacks for a job with these needs, each with what to do about it."""
    lacks: list[str] = []
    if not needs_vms:
        return lacks
    if os.geteuid() != 0:
        lacks.append("root: VMs are registered through /dev/elisa (mode 0600)")
    if shutil.which("qemu-system-x86_64") is None:
        lacks.append("QEMU: apt-get install qemu-system-x86")
    flags = Path("/proc/cpuinfo").read_text()
    if " vmx" not in flags:
        lacks.append("Intel VT-x: /proc/cpuinfo has no vmx flag (AMD, a VM without nested VMX, or off in the firmware)")
    if not Path("/dev/kvm").exists():
        lacks.append("KVM: there is no /dev/kvm (modprobe kvm-intel)")
    if not needs_elisa:
        return lacks
    if " vmx" in flags:
        controls, functions = _msr(_MSR_PROCBASED_CTLS2), _msr(_MSR_VMFUNC)
        if controls is None:
            lacks.append("the CPU's VMX capabilities cannot be read (MSR 0x48b): modprobe msr, as root")
        elif not controls & _ENABLE_VM_FUNCTIONS:
            lacks.append(f"VM functions: not offered by this CPU (MSR 0x48b = {controls:#x}, bit 45 is clear)")
        elif functions is None or not functions & _EPTP_SWITCHING:
            shown = "unreadable" if functions is None else f"{functions:#x}"
            lacks.append(f"EPTP switching: not offered by this CPU (MSR 0x491 = {shown}, bit 0)")
    if not Path("/sys/module/elisa").is_dir():
        lacks.append("the elisa module: not loaded (build it for this kernel with kvm-patch/, then modprobe elisa)")
    elif not Path("/dev/elisa").exists():
        lacks.append("/dev/elisa: the elisa module is loaded but its device is not there")
    return lacks


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
    lacks = missing(bool(with_vms), any(s["modules"] != "stock" for s in with_vms))
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
    kinds = {vm["image"] for scenario in job["scenarios"] for vm in scenario["vm"]}
    guest_kernel = kernels.guest_kernel() if kinds else None
    images.stage(payload, images.Binaries(build), guest_kernel, None, None,
                 {**job, "events": str(events_path), "loads_modules": False}, kinds)
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
