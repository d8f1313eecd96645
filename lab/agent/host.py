# SPDX-License-Identifier: Apache-2.0
"""The machine that runs the VMs: its kernel modules, its kernel log, its programs."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from kernel_log import KernelLog

class HostError(Exception):
    """The host cannot do what a scenario needs."""


class Host:
    def __init__(self, payload: Path, job: dict, events) -> None:
        self.payload = payload
        self.events = events
        self.environment = dict(os.environ)
        self.environment["PATH"] = f"{payload}/host/bin:{os.environ.get('PATH', '/bin')}"
        if (payload / "host/lib").is_dir():
            self.environment["LD_LIBRARY_PATH"] = str(payload / "host/lib")
        self._loads_modules: bool = job.get("loads_modules", True)
        self._log = KernelLog()

    # --- modules ---------------------------------------------------------------------------------------------

    def load_modules(self, want: str) -> None:
        """Make the wanted set of modules the loaded one: "stock", "elisa", "sweep", or "as-is"."""
        if want == "as-is" or not self._loads_modules:
            return
        order = (self.payload / "modules/order").read_text().split()
        patched = self.payload / "modules" / want
        plan = [self.payload / "modules/stock" / name for name in order]
        if want != "stock":
            if not (patched / "elisa.ko").exists():
                raise HostError(f"the payload has no elisa.ko of kind '{want}': build it first (./elisa build)")
            plan = [patched / p.name if (patched / p.name).exists() else p for p in plan] + [patched / "elisa.ko"]
        current = [p for p in plan if _loaded(p.stem)]
        marker = Path("/run/lab-modules")
        if marker.exists() and marker.read_text() == want and len(current) == len(plan):
            return
        for module in ("elisa", "kvm_intel", "kvm", "irqbypass"):
            if _loaded(module):
                self._module_command(["rmmod", module], f"unload {module}")
        for module in plan:
            if not _loaded(module.stem):
                self._module_command(["insmod", str(module)], f"load {module.parent.name}/{module.name}")
        marker.write_text(want)

    def _module_command(self, command: list[str], what: str) -> None:
        deadline = time.monotonic() + 5
        while True:  # a module whose last VM is only just gone is busy for a moment
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                return
            if command[0] != "rmmod" or time.monotonic() > deadline:
                raise HostError(f"cannot {what}: {(done.stderr or done.stdout).strip()}; kernel log: "
                                + " | ".join(self.kernel_lines()[-8:]))
            time.sleep(0.1)

    # --- kernel log ------------------------------------------------------------------------------------------

    def kernel_lines(self) -> list[str]:
        """Lines of the kernel log since the last call; each also becomes an event."""
        lines = self._log.lines()
        for line in lines:
            self.events.emit("kernel", line=line)
        return lines

    # --- what it is ---------------------------------------------------------------------------------------------

    @staticmethod
    def facts() -> dict[str, object]:
        """What figures that were measured here are to name."""
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return {"cpu": models[0] if models else "unknown", "cpus": os.cpu_count() or 1, "kernel": os.uname().release}

    # --- KVM's counters --------------------------------------------------------------------------------------

    @staticmethod
    def kvm_counters(pid: int) -> dict[str, int]:
        """KVM's statistics of one VM (summed over its vCPUs) from debugfs, and how long the host's CPUs have idled in all."""
        counters: dict[str, int] = {"host_idle_ms": _idle_ms()}
        # Guests that measure are not to wait long for a CPU: a third of the instructions of pathlib and text files.
        for folder in _entries("/sys/kernel/debug/kvm"):
            if folder.name.startswith(f"{pid}-"):
                for file in _entries(folder.path):
                    try:
                        value = int(_contents(file.path))
                    except (ValueError, OSError):
                        continue  # a vCPU's folder, or a file that is no number
                    if value:
                        counters[file.name] = value
        return counters


def _entries(path: str) -> list[os.DirEntry]:
    """What there is in a folder, which may be gone: QEMU ends when it likes."""
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError:
        return []


def _contents(path: str) -> bytes:
    """Of a file of a few bytes."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return os.read(handle, 64)
    finally:
        os.close(handle)


def _idle_ms() -> int:
    return round(1000 * float(Path("/proc/uptime").read_text().split()[1]))


def _loaded(module: str) -> bool:
    return Path("/sys/module", module.replace("-", "_")).is_dir()
