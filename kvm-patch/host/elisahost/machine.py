# SPDX-License-Identifier: Apache-2.0
"""What there is to know about a machine, read from /proc, /sys and the like; or from a folder that holds a copy."""

from __future__ import annotations

import os
import re
import struct
from functools import cached_property
from pathlib import Path

# SDM appendix A, and chapter 36 for the last.
MSR_FEATURE_CONTROL = 0x3A
MSR_PROCBASED_CTLS2 = 0x48B
MSR_EPT_VPID_CAP = 0x48C
MSR_VMFUNC = 0x491


class Machine:
    """Facts only; what they mean is for checks.py. `root` is "/" or a folder laid out like it."""

    def __init__(self, root: Path = Path("/")) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        return self.root / name.lstrip("/")

    def text(self, name: str) -> str:
        """A file's text, stripped; empty if there is no such file."""
        try:
            return self.path(name).read_text(errors="replace").strip()
        except OSError:
            return ""

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    # --- processor -------------------------------------------------------------------------------------------

    @cached_property
    def _cpuinfo(self) -> dict[str, str]:
        """Of the first processor."""
        fields: dict[str, str] = {}
        for line in self.text("/proc/cpuinfo").split("\n\n")[0].splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
        return fields

    @property
    def vendor(self) -> str:
        return self._cpuinfo.get("vendor_id", "")

    @property
    def model(self) -> str:
        return self._cpuinfo.get("model name", "unknown processor")

    @cached_property
    def cpu_flags(self) -> set[str]:
        return set(self._cpuinfo.get("flags", "").split())

    @cached_property
    def vmx_flags(self) -> set[str]:
        return set(self._cpuinfo.get("vmx flags", "").split())

    def msr(self, number: int) -> int | None:
        """Of CPU 0; None where it cannot be read (no msr driver, not root, or the CPU does not have it)."""
        recorded = self.text(f"/msr/{number:#x}")  # of a copy: the driver's file cannot be copied
        if recorded:
            return int(recorded, 16)
        try:
            fd = os.open(self.path("/dev/cpu/0/msr"), os.O_RDONLY)
        except OSError:
            return None
        try:
            return struct.unpack("<Q", os.pread(fd, 8, number))[0]
        except (OSError, struct.error):
            return None
        finally:
            os.close(fd)

    # --- kernel ----------------------------------------------------------------------------------------------

    @property
    def release(self) -> str:
        return self.text("/proc/sys/kernel/osrelease")

    @property
    def debian_version(self) -> str:
        """Of the running kernel's package (6.1.192-2); empty if it is not Debian's."""
        match = re.search(r" Debian (\S+) \(", self.text("/proc/version"))
        return match.group(1) if match else ""

    @property
    def line(self) -> str:
        return ".".join(self.release.split(".")[:2])

    def module_loaded(self, name: str) -> bool:
        return self.exists(f"/sys/module/{name}")

    def module_parameter(self, module: str, name: str) -> str:
        return self.text(f"/sys/module/{module}/parameters/{name}")

    @property
    def builtin_modules(self) -> set[str]:
        return {Path(name).stem for name in self.text(f"/lib/modules/{self.release}/modules.builtin").split()}

    def module_files(self, name: str) -> list[Path]:
        """The kernel's own, not what was installed beside them."""
        return sorted(self.path(f"/lib/modules/{self.release}/kernel").rglob(f"{name}.ko*"))

    @property
    def lockdown(self) -> str:
        """"none", "integrity", "confidentiality", or empty where the kernel does not know it."""
        match = re.search(r"\[(\w+)\]", self.text("/sys/kernel/security/lockdown"))
        return match.group(1) if match else ""

    @property
    def secure_boot(self) -> bool:
        for variable in self.path("/sys/firmware/efi/efivars").glob("SecureBoot-*"):
            try:
                return variable.read_bytes()[-1:] == b"\x01"  # four bytes of attributes, then the value
            except OSError:
                return False
        return False

    @property
    def signatures_enforced(self) -> bool:
        return self.text("/sys/module/module/parameters/sig_enforce") == "Y"

    # --- use -------------------------------------------------------------------------------------------------

    def vms(self) -> list[tuple[int, str]]:
        """Processes that hold a VM of KVM's: pid and name."""
        found = []
        for process in self.path("/proc").glob("[0-9]*"):
            try:
                links = [os.readlink(link) for link in (process / "fd").iterdir()]
            except OSError:
                continue  # it ended, or is not ours to look at
            if any(link.startswith("anon_inode:kvm-vm") for link in links):
                found.append((int(process.name), self.text(f"/proc/{process.name}/comm")))
        return sorted(found)

    def users(self, module: str) -> int:
        return int(self.text(f"/sys/module/{module}/refcnt") or 0)
