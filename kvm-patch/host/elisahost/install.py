# SPDX-License-Identifier: Apache-2.0
"""Replacing kvm-intel by the patched one, and back. Whatever fails on the way in, the stock module comes back."""

from __future__ import annotations

from typing import Callable

from . import build, modules
from .commands import HostError
from .machine import Machine

_AT_BOOT = "/etc/modules-load.d/elisa.conf"


def refuse_while_in_use(machine: Machine) -> None:
    vms = machine.vms()
    if vms:
        shown = ", ".join(f"{name} (pid {pid})" for pid, name in vms)
        raise HostError(f"virtual machines run: {shown}. Shut them down first: kvm-intel cannot be replaced under them")
    # elisa.ko itself is one user of the patched one.
    if machine.users("kvm_intel") > machine.module_loaded("elisa"):
        raise HostError("kvm_intel is in use by something that is not a virtual machine's process: see /proc/modules "
                        "and `lsof /dev/kvm`")


def _swap_in(machine: Machine) -> None:
    refuse_while_in_use(machine)  # again: building takes a while
    modules.unload(machine, "elisa", "kvm_intel")
    modules.load("kvm_intel")
    if not modules.patched_is_loaded(machine):
        raise HostError("modprobe loaded another kvm_intel than the patched one: is there an override in /etc/depmod.d "
                        "or /etc/modprobe.d?")
    modules.load("elisa")
    if not machine.exists("/dev/elisa"):
        raise HostError("elisa is loaded, but there is no /dev/elisa: see the kernel's log (dmesg)")


def _at_boot(machine: Machine) -> None:
    place = machine.path(_AT_BOOT)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("# The ELISA appliance: elisa.ko, and with it the patched kvm-intel.\nelisa\n")


def install(machine: Machine, put_modules: Callable[[], None], say: Callable[[str], None]) -> None:
    """`put_modules` puts the patched ones under updates/."""
    refuse_while_in_use(machine)
    steps: list[tuple[str, Callable[[], None]]] = [
        ("build and install the patched modules", put_modules),
        ("replace kvm_intel, load elisa", lambda: _swap_in(machine)),
        ("load elisa at boot", lambda: _at_boot(machine)),
    ]
    for text, step in steps:
        say(text)
        try:
            step()
        except (HostError, OSError, KeyboardInterrupt) as error:
            problem = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
            say(f"failed: {problem}")
            raise HostError(f"not installed; {_outcome(machine, restore(machine))}") from None


def _outcome(machine: Machine, failed: list[str]) -> str:
    """Of restore(), for a person."""
    if not modules.stock_is_loaded(machine):
        return ("the stock kvm_intel could not be brought back: " + "; ".join(failed or ["modprobe loads another"])
                + f"\nA reboot does it, once {modules.folder(machine)}/{modules.UPDATES} has no kvm-intel and depmod was run")
    return "the stock kvm_intel is back" + (", but: " + "; ".join(failed) if failed else "")


def restore(machine: Machine) -> list[str]:
    """The stock kvm_intel, and nothing of ours. Goes on over what fails; what did."""
    failed: list[str] = []

    def attempt(step: Callable[[], None]) -> None:
        try:
            step()
        except (HostError, OSError) as error:
            failed.append(str(error))

    attempt(lambda: machine.path(_AT_BOOT).unlink(missing_ok=True))
    attempt(lambda: modules.unload(machine, "elisa"))
    attempt(lambda: build.remove(machine))
    if not modules.stock_is_loaded(machine):
        attempt(lambda: modules.unload(machine, "kvm_intel"))
        attempt(lambda: modules.load("kvm_intel"))
    return failed


def uninstall(machine: Machine) -> None:
    refuse_while_in_use(machine)
    failed = restore(machine)
    if failed or not modules.stock_is_loaded(machine):
        raise HostError(f"not all is undone; {_outcome(machine, failed)}")


def status(machine: Machine) -> dict[str, object]:
    """Facts for `host status`."""
    return {
        "kernel": machine.release,
        "installed": all(modules.installed_file(machine, name) is not None for name in ("kvm-intel", "elisa")),
        "kvm_intel": "patched" if modules.patched_is_loaded(machine)
        else "stock" if modules.stock_is_loaded(machine) else "not loaded",
        "elisa": machine.module_loaded("elisa") and machine.exists("/dev/elisa"),
        "at_boot": machine.exists(_AT_BOOT),
        "vms": [{"pid": pid, "name": name} for pid, name in machine.vms()],
    }
