# SPDX-License-Identifier: Apache-2.0
"""Whether a machine can be a host, and if not, why not and what to do about it. One function for each reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Iterator

from .machine import MSR_EPT_VPID_CAP, MSR_FEATURE_CONTROL, MSR_PROCBASED_CTLS2, MSR_VMFUNC, Machine

_LOCKED, _VMX_OUTSIDE_SMX = 1 << 0, 1 << 2
_EPT, _UNRESTRICTED, _VM_FUNCTIONS = 1 << 33, 1 << 39, 1 << 45  # in the allowed-1 half of MSR_PROCBASED_CTLS2
_EXECUTE_ONLY = 1 << 0
_EPTP_SWITCHING = 1 << 0

# What the patches are for: kvm-patch/patches/6.1 and so on.
_PATCHES = Path(__file__).resolve().parents[2] / "patches"


def supported_lines() -> list[str]:
    return sorted((folder.name for folder in _PATCHES.iterdir()), key=lambda line: [int(n) for n in line.split(".")])


@dataclass(frozen=True)
class Finding:
    name: str
    status: str  # "ok"; "problem": it cannot be a host; "note": it can, and this should be known
    text: str


def cpu(machine: Machine) -> Finding:
    if machine.vendor != "GenuineIntel":
        made = {"AuthenticAMD": "AMD", "HygonGenuine": "Hygon"}.get(machine.vendor, machine.vendor or "unknown")
        return Finding("cpu", "problem", f"the processor ({machine.model}) is not Intel's but {made}: "
                       "only Intel's have VMFUNC. The emulated host runs anywhere: ./elisa demo")
    return Finding("cpu", "ok", machine.model)


def vmx(machine: Machine) -> Finding:
    control = machine.msr(MSR_FEATURE_CONTROL)
    if "vmx" in machine.cpu_flags:
        return Finding("vmx", "ok", "VT-x is there and on")
    if control is not None and control & _LOCKED and not control & _VMX_OUTSIDE_SMX:
        return Finding("vmx", "problem", "VT-x is switched off by the firmware: switch on 'Intel Virtualization "
                       "Technology' in its setup")
    if "hypervisor" in machine.cpu_flags:
        return Finding("vmx", "problem", "this is a virtual machine to which its host does not give VT-x: ask for "
                       "nested virtualization (kvm_intel.nested=1 and -cpu host, where the host is KVM)")
    return Finding("vmx", "problem", "the processor has no VT-x, or the firmware has switched it off ('Intel "
                   "Virtualization Technology' in its setup)")


def _capability(machine: Machine, flag: str, msr: int, bit: int, what: str, since: str) -> tuple[bool, str]:
    """By the MSR if it can be read, by the kernel's list of flags if not."""
    value = machine.msr(msr)
    if value is not None:
        return bool(value & bit), f"{what} (MSR {msr:#x} = {value:#x})"
    if machine.vmx_flags:
        return flag in machine.vmx_flags, f"{what} ('{flag}' in /proc/cpuinfo's vmx flags)"
    return False, f"{what}: nothing tells whether it is there; modprobe msr, as root. It is {since}"


def ept(machine: Machine) -> Finding:
    for arguments in (
        ("ept", MSR_PROCBASED_CTLS2, _EPT, "EPT", "in Nehalem and later"),
        ("ept_x_only", MSR_EPT_VPID_CAP, _EXECUTE_ONLY, "execute-only EPT", "in Nehalem and later"),
        ("unrestricted_guest", MSR_PROCBASED_CTLS2, _UNRESTRICTED, "unrestricted guest", "in Westmere and later"),
    ):
        there, text = _capability(machine, *arguments)
        if not there:
            return Finding("ept", "problem", f"not offered by the processor: {text}")
    return Finding("ept", "ok", "EPT, execute-only EPT and unrestricted guest")


def vmfunc(machine: Machine) -> Finding:
    # /proc/cpuinfo would have it as eptp_switching, but 6.1 and 6.12 look at the wrong half of the MSR and never show it.
    controls = machine.msr(MSR_PROCBASED_CTLS2)
    if controls is None:
        return Finding("vmfunc", "problem", "nothing tells whether there is EPTP switching by VMFUNC (in Haswell and later): "
                       "modprobe msr, as root")
    functions = machine.msr(MSR_VMFUNC) or 0
    if controls & _VM_FUNCTIONS and functions & _EPTP_SWITCHING:
        return Finding("vmfunc", "ok", f"EPTP switching by VMFUNC (MSR {MSR_VMFUNC:#x} = {functions:#x})")
    if controls & _VM_FUNCTIONS:
        text = f"EPTP switching by VMFUNC (MSR {MSR_VMFUNC:#x} = {functions:#x})"
    else:
        text = f"VM functions (MSR {MSR_PROCBASED_CTLS2:#x} = {controls:#x})"
    advice = ("; this is a virtual machine, and its host may hide it"
              if "hypervisor" in machine.cpu_flags else "; it is in Haswell (2013) and later, not in all of them")
    return Finding("vmfunc", "problem", f"not offered by the processor: {text}{advice}")


def nested(machine: Machine) -> Finding:
    if machine.module_parameter("kvm_intel", "enlightened_vmcs") == "Y":
        return Finding("nested", "problem", "this is a virtual machine of Hyper-V's, and KVM uses its enlightened VMCS, "
                       "which cannot do VMFUNC: load kvm_intel with enlightened_vmcs=0")
    if "hypervisor" in machine.cpu_flags:
        return Finding("nested", "note", "this is itself a virtual machine: each VMFUNC of a guest is emulated by this "
                       "machine's own host, with a VM exit. Everything works and is isolated, nothing is exit-less: "
                       "for trying out, not for figures")
    return Finding("nested", "ok", "not a virtual machine itself")


def kernel(machine: Machine) -> Finding:
    lines = " and ".join(supported_lines())
    if not machine.debian_version:
        return Finding("kernel", "problem", f"the running kernel {machine.release} is not one of Debian's: the hooks are "
                       f"made for the source of Debian's {lines}, to the letter")
    if machine.line not in supported_lines():
        return Finding("kernel", "problem", f"there is no hook patch for Linux {machine.line} (running: "
                       f"{machine.release}); there are for Debian's {lines}")
    if "-rt-" in machine.release:
        return Finding("kernel", "problem", f"{machine.release} is a real-time kernel: not supported")
    return Finding("kernel", "ok", f"{machine.release} (Debian {machine.debian_version})")


def signatures(machine: Machine) -> Finding:
    way = ("have DKMS' key enrolled (mokutil --import /var/lib/dkms/mok.pub, then reboot), and install "
           "--despite signatures; or switch it off")
    if machine.secure_boot and machine.lockdown not in ("", "none"):
        return Finding("signatures", "problem", "Secure Boot is on and the kernel locked down "
                       f"({machine.lockdown}): it takes signed modules only. {way[0].upper()}{way[1:]}")
    if machine.signatures_enforced:
        return Finding("signatures", "problem", "the kernel takes signed modules only (module.sig_enforce): "
                       f"{way}, by leaving module.sig_enforce out of the kernel's command line")
    if machine.lockdown not in ("", "none"):
        return Finding("signatures", "problem", f"the kernel is locked down ({machine.lockdown}) and takes signed modules "
                       f"only: {way}, by leaving lockdown= out of the kernel's command line")
    return Finding("signatures", "ok", "unsigned modules may be loaded")


def kvm(machine: Machine) -> Finding:
    if machine.builtin_modules & {"kvm-intel", "kvm_intel"}:
        return Finding("kvm", "problem", "kvm-intel is built into this kernel and cannot be replaced: boot one that has "
                       "it as a module (Debian's have)")
    if not machine.module_loaded("kvm_intel") and not machine.module_files("kvm-intel"):
        return Finding("kvm", "problem", f"there is no kvm-intel module in /lib/modules/{machine.release}: is the kernel's "
                       "package installed, and its version the one that runs? (Reboot after an upgrade)")
    if machine.module_loaded("kvm_intel"):
        for name in ("ept", "unrestricted_guest"):
            if machine.module_parameter("kvm_intel", name) == "N":
                return Finding("kvm", "problem", f"kvm_intel was loaded with {name}=0: take that out of /etc/modprobe.d "
                               "and load it again")
    return Finding("kvm", "ok", "kvm-intel is a module" + ("" if machine.module_loaded("kvm_intel") else ", not loaded"))


def running_vms(machine: Machine) -> Finding:
    vms = machine.vms()
    if vms:
        shown = ", ".join(f"{name} (pid {pid})" for pid, name in vms)
        return Finding("running-vms", "note", f"virtual machines run: {shown}. kvm-intel cannot be replaced before they end")
    if machine.users("kvm_intel"):
        return Finding("running-vms", "note", f"kvm_intel has {machine.users('kvm_intel')} user(s) that could not be named "
                       "(not root?). It cannot be replaced before they end")
    return Finding("running-vms", "ok", "no virtual machine runs")


_HARDWARE: tuple[Callable[[Machine], Finding], ...] = (cpu, vmx, ept, vmfunc, nested)
_SOFTWARE: tuple[Callable[[Machine], Finding], ...] = (kernel, signatures, kvm, running_vms)


def check(machine: Machine) -> list[Finding]:
    """All that is to be said. After the first thing that the processor lacks, no more is asked of the processor."""
    return [*_until_problem(check(machine) for check in _HARDWARE), *(check(machine) for check in _SOFTWARE)]


def _until_problem(findings: Iterable[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        if finding.status == "problem":
            return


def can_run(findings: list[Finding]) -> bool:
    return all(finding.status != "problem" for finding in findings)
