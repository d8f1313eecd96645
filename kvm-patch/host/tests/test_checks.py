# SPDX-License-Identifier: Apache-2.0
"""Each reason why a machine cannot be a host, on copies of what such machines say of themselves."""

from __future__ import annotations

import tempfile
import unittest
from pathlib import Path

from elisahost import checks
from elisahost.machine import Machine

_RELEASE = "6.1.0-56-cloud-amd64"
_CPUINFO = """\
processor	: 0
vendor_id	: {vendor}
cpu family	: 6
model		: 60
model name	: {model}
flags		: fpu vme de pse tsc msr pae {flags} lm constant_tsc
vmx flags	: {vmx}

processor	: 1
vendor_id	: {vendor}
"""
_VMX = "vnmi preemption_timer invvpid ept_x_only ept_ad ept_1gb tsc_offset ept vpid unrestricted_guest"


def cpuinfo(vendor: str = "GenuineIntel", model: str = "Intel(R) Core(TM) i7-4770", flags: str = "vmx", vmx: str = _VMX) -> str:
    return _CPUINFO.format(vendor=vendor, model=model, flags=flags, vmx=vmx)


# A Haswell with Debian 12, as of its /proc, /sys and MSRs (the emulated host's).
GOOD = {
    "proc/cpuinfo": cpuinfo(),
    "proc/sys/kernel/osrelease": _RELEASE,
    "proc/version": f"Linux version {_RELEASE} (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0) "
                    "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)",
    "msr/0x3a": "0x5",
    "msr/0x48b": "0x7fff00000000",
    "msr/0x48c": "0xf0106334141",
    "msr/0x491": "0x1",
    f"lib/modules/{_RELEASE}/modules.builtin": "kernel/fs/ext4/ext4.ko",
    f"lib/modules/{_RELEASE}/kernel/arch/x86/kvm/kvm-intel.ko": "",
    "sys/module/kvm_intel/refcnt": "0",
    "sys/module/kvm_intel/parameters/ept": "Y",
    "sys/module/kvm_intel/parameters/unrestricted_guest": "Y",
    "sys/kernel/security/lockdown": "[none] integrity confidentiality",
    "sys/module/module/parameters/sig_enforce": "N",
}
_NO_MSRS = {name: None for name in GOOD if name.startswith("msr/")}


class Checks(unittest.TestCase):
    def found(self, changes: dict[str, str | bytes | None], links: dict[str, str] | None = None) -> dict[str, checks.Finding]:
        """Findings by name, for the good machine with some files changed, or taken out (None)."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {**GOOD, **changes}.items():
                if content is not None:
                    path = Path(folder, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content if isinstance(content, bytes) else content.encode())
            for name, target in (links or {}).items():
                path = Path(folder, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(target)
            return {finding.name: finding for finding in checks.check(Machine(Path(folder)))}

    def refused(self, name: str, because: str, changes: dict[str, str | bytes | None]) -> None:
        """Exactly this check says no, and says why."""
        found = self.found(changes)
        problems = [each.name for each in found.values() if each.status == "problem"]
        self.assertEqual(problems, [name], found)
        self.assertIn(because, found[name].text)

    def test_a_machine_that_can(self) -> None:
        found = self.found({})
        self.assertTrue(checks.can_run(list(found.values())), found)
        self.assertEqual({each.status for each in found.values()}, {"ok"})

    def test_the_kernels_flags_alone_tell_all_but_vmfunc(self) -> None:
        found = self.found(_NO_MSRS)
        self.assertEqual([name for name, each in found.items() if each.status != "ok"], ["vmfunc"])

    def test_nothing_tells_of_vm_functions(self) -> None:
        self.refused("vmfunc", "modprobe msr", _NO_MSRS)

    def test_both_lines_are_supported(self) -> None:
        release = "6.12.117+deb12-amd64"
        found = self.found({
            "proc/sys/kernel/osrelease": release, "proc/version": "Linux (x) #1 SMP Debian 6.12.117-1~deb12u1 (2026-11-14)",
            f"lib/modules/{release}/kernel/arch/x86/kvm/kvm-intel.ko.xz": "",
        })
        self.assertEqual({each.status for each in found.values()}, {"ok"}, found)

    def test_amd(self) -> None:
        self.refused("cpu", "AMD", {"proc/cpuinfo": cpuinfo("AuthenticAMD", "AMD EPYC", "svm", "")})

    def test_amd_is_not_asked_for_vmx(self) -> None:
        self.assertNotIn("vmx", self.found({"proc/cpuinfo": cpuinfo("AuthenticAMD", "AMD EPYC", "svm", "")}))

    def test_vmx_off_in_firmware(self) -> None:
        self.refused("vmx", "firmware", {"proc/cpuinfo": cpuinfo(flags="sse", vmx=""), "msr/0x3a": "0x1"})

    def test_a_vm_without_vmx(self) -> None:
        self.refused("vmx", "nested virtualization", {"proc/cpuinfo": cpuinfo(flags="hypervisor", vmx=""), **_NO_MSRS})

    def test_no_vmx(self) -> None:
        self.refused("vmx", "no VT-x", {"proc/cpuinfo": cpuinfo(flags="sse", vmx=""), **_NO_MSRS})

    def test_no_ept(self) -> None:
        self.refused("ept", "EPT (MSR 0x48b", {"msr/0x48b": "0x7ffd00000000"})
        self.refused("ept", "'ept' in /proc", {**_NO_MSRS, "proc/cpuinfo": cpuinfo(vmx="vnmi vpid")})

    def test_no_execute_only_ept(self) -> None:
        self.refused("ept", "execute-only", {"msr/0x48c": "0xf0106334140"})

    def test_no_unrestricted_guest(self) -> None:
        self.refused("ept", "unrestricted guest", {"msr/0x48b": "0x7f7f00000000"})

    def test_no_vm_functions(self) -> None:
        self.refused("vmfunc", "Haswell", {"msr/0x48b": "0x5fff00000000"})

    def test_no_eptp_switching(self) -> None:
        self.refused("vmfunc", "MSR 0x491 = 0x0", {"msr/0x491": "0x0"})

    def test_a_vm_whose_host_hides_vmfunc(self) -> None:
        self.refused("vmfunc", "its host may hide it", {"proc/cpuinfo": cpuinfo(flags="vmx hypervisor"), "msr/0x491": "0x0"})

    def test_capabilities_that_cannot_be_read(self) -> None:
        self.refused("ept", "modprobe msr", {**_NO_MSRS, "proc/cpuinfo": cpuinfo(vmx="")})

    def test_nested_is_told_but_not_refused(self) -> None:
        found = self.found({"proc/cpuinfo": cpuinfo(flags="vmx hypervisor")})
        self.assertTrue(checks.can_run(list(found.values())))
        self.assertEqual(found["nested"].status, "note")
        self.assertIn("nothing is exit-less", found["nested"].text)

    def test_hyper_v_with_enlightened_vmcs(self) -> None:
        self.refused("nested", "enlightened_vmcs=0", {
            "proc/cpuinfo": cpuinfo(flags="vmx hypervisor"), "sys/module/kvm_intel/parameters/enlightened_vmcs": "Y"})

    def test_a_kernel_that_is_not_debians(self) -> None:
        self.refused("kernel", "not one of Debian's", {"proc/version": "Linux version 6.1.192 (me@here) #1 SMP"})

    def test_a_line_without_patch(self) -> None:
        self.refused("kernel", "no hook patch for Linux 6.18", {
            "proc/sys/kernel/osrelease": "6.18.1-amd64", "proc/version": "Linux #1 SMP Debian 6.18.1-1 (2026-01-01)"})

    def test_a_real_time_kernel(self) -> None:
        release = "6.1.0-56-rt-amd64"
        self.refused("kernel", "real-time", {
            "proc/sys/kernel/osrelease": release, f"lib/modules/{release}/kernel/arch/x86/kvm/kvm-intel.ko": ""})

    def test_secure_boot(self) -> None:
        self.refused("signatures", "Secure Boot is on", {
            "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": b"\6\0\0\0\1",
            "sys/kernel/security/lockdown": "none [integrity] confidentiality"})

    def test_secure_boot_that_is_off(self) -> None:
        found = self.found({"sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": b"\6\0\0\0\0"})
        self.assertEqual(found["signatures"].status, "ok")

    def test_signatures_enforced(self) -> None:
        self.refused("signatures", "sig_enforce", {"sys/module/module/parameters/sig_enforce": "Y"})

    def test_lockdown_by_command_line(self) -> None:
        self.refused("signatures", "lockdown=", {"sys/kernel/security/lockdown": "none [integrity] confidentiality"})

    def test_kvm_built_in(self) -> None:
        self.refused("kvm", "built into", {f"lib/modules/{_RELEASE}/modules.builtin": "kernel/arch/x86/kvm/kvm-intel.ko"})

    def test_no_kvm_module(self) -> None:
        name = f"lib/modules/{_RELEASE}/kernel/arch/x86/kvm/kvm-intel.ko"
        self.refused("kvm", "Reboot after an upgrade", {name: None, **{n: None for n in GOOD if n.startswith("sys/module/kvm_intel")}})

    def test_kvm_loaded_without_ept(self) -> None:
        self.refused("kvm", "ept=0", {"sys/module/kvm_intel/parameters/ept": "N"})

    def test_running_vms_are_named(self) -> None:
        found = self.found({"proc/1234/comm": "qemu-system-x86"}, {"proc/1234/fd/12": "anon_inode:kvm-vm"})
        self.assertEqual(found["running-vms"].status, "note")
        self.assertIn("qemu-system-x86 (pid 1234)", found["running-vms"].text)

    def test_users_that_cannot_be_named_are_told(self) -> None:
        self.assertIn("2 user(s)", self.found({"sys/module/kvm_intel/refcnt": "2"})["running-vms"].text)


if __name__ == "__main__":
    unittest.main()
