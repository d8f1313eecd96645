# SPDX-License-Identifier: Apache-2.0
"""Loading and unloading kvm_intel and elisa, and telling the patched from the stock one."""

from __future__ import annotations

import time
from pathlib import Path

from .commands import HostError, run
from .machine import Machine

# modprobe prefers what is under updates/ to the kernel's own; where DKMS puts its modules too.
UPDATES = "updates/dkms"
_BUSY_SECONDS = 5  # a VM that has only just ended holds the module for a moment


def folder(machine: Machine) -> Path:
    return machine.path(f"/lib/modules/{machine.release}")


def installed_file(machine: Machine, name: str) -> Path | None:
    """A module's file under updates/, if it is installed there (DKMS may compress it)."""
    return next(iter(sorted((folder(machine) / UPDATES).glob(f"{name}.ko*"))), None)


def patched_is_loaded(machine: Machine) -> bool:
    """The stock module has no version."""
    return machine.text("/sys/module/kvm_intel/version").startswith("elisa-")


def stock_is_loaded(machine: Machine) -> bool:
    return machine.module_loaded("kvm_intel") and not patched_is_loaded(machine)


def unload(machine: Machine, *modules: str) -> None:
    for module in modules:
        deadline = time.monotonic() + _BUSY_SECONDS
        while machine.module_loaded(module):
            try:
                run(f"unloading {module}", ["rmmod", module])
            except HostError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def load(module: str) -> None:
    run(f"loading {module}", ["modprobe", module])


def index(machine: Machine) -> None:
    run("indexing the kernel's modules", ["depmod", machine.release])
