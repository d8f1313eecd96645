# SPDX-License-Identifier: Apache-2.0
"""What elisactl says without anything running: whether a machine can be a host, by copies of what such machines say of
themselves; names of packages in its messages."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path += [str(ROOT / "kvm-patch/host"), str(ROOT / "kvm-patch/host/tests")]
from elisahost import checks  # noqa: E402
from elisahost.machine import Machine  # noqa: E402
from test_checks import GOOD, cpuinfo  # noqa: E402

ELISACTL = Path(os.environ.get("ELISA_BUILD_DIR", ROOT / "build")) / "host/bin/elisactl"

_RELEASE = GOOD["proc/sys/kernel/osrelease"]
_MODULES = {
    "proc/modules": "elisa 1 0 - Live 0x0\nkvm_intel 1 1 elisa, Live 0x0\n",
    "sys/module/kvm_intel/version": "elisa-1\n",
}
_NO_MSRS: dict[str, str | bytes | None] = {name: None for name in GOOD if name.startswith("msr/")}
_SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_LOCKED = {"sys/kernel/security/lockdown": "none [integrity] confidentiality"}

# What is changed; the check that says no; a word of its fix.
_SEEDS: list[tuple[dict[str, str | bytes | None], str, str]] = [
    ({"proc/cpuinfo": cpuinfo("AuthenticAMD", "AMD EPYC", "svm", "")}, "cpu", "another machine"),
    ({"proc/cpuinfo": cpuinfo(flags="sse", vmx=""), "msr/0x3a": "0x1"}, "vmx", "firmware's setup"),
    ({"proc/cpuinfo": cpuinfo(flags="hypervisor", vmx=""), **_NO_MSRS}, "vmx", "kvm_intel.nested=1"),
    ({"msr/0x48b": "0x7ffd00000000"}, "ept", "Westmere"),
    ({"msr/0x48c": "0xf0106334140"}, "ept", "Westmere"),
    ({"msr/0x48b": "0x7f7f00000000"}, "ept", "Westmere"),
    ({**_NO_MSRS, "proc/cpuinfo": cpuinfo(vmx="vnmi vpid")}, "ept", "Westmere"),
    ({**_NO_MSRS, "proc/cpuinfo": cpuinfo(vmx="")}, "ept", "modprobe msr"),
    (_NO_MSRS, "vmfunc", "modprobe msr"),
    ({"msr/0x48b": "0x5fff00000000"}, "vmfunc", "Haswell"),
    ({"msr/0x491": "0x0"}, "vmfunc", "Haswell"),
    ({"proc/cpuinfo": cpuinfo(flags="vmx hypervisor"), "msr/0x491": "0x0"}, "vmfunc", "its host may hide it"),
    ({"proc/cpuinfo": cpuinfo(flags="vmx hypervisor"), "sys/module/kvm_intel/parameters/enlightened_vmcs": "Y"}, "nested",
     "enlightened_vmcs=0"),
    ({"proc/version": "Linux version 6.1.192 (me@here) #1 SMP"}, "kernel", "linux-image-amd64"),
    ({"proc/sys/kernel/osrelease": "6.18.1-amd64"}, "kernel", "linux-image-amd64"),
    ({"proc/sys/kernel/osrelease": "6.1.0-56-rt-amd64"}, "kernel", "linux-image-amd64"),
    ({_SECURE_BOOT: b"\6\0\0\0\1", **_LOCKED}, "signatures", "switch Secure Boot off"),
    ({"sys/module/module/parameters/sig_enforce": "Y"}, "signatures", "module.sig_enforce"),
    (dict(_LOCKED), "signatures", "leave lockdown="),
]
# What `./elisa host check` says of the same machine under another name, or does not look at.
_OF_ELISACTL = {"module", "kvm-intel", "kvm-parameter"}
_OF_THE_SCRIPT = {"kvm", "running-vms"}


class HostCheckTest(unittest.TestCase):
    def found(self, changes: dict[str, str | bytes | None]) -> dict[str, dict[str, str]]:
        """elisactl's findings by name; the script's are the same."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in {**GOOD, **_MODULES, **changes}.items():
                if content is not None:
                    path = Path(folder, name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content if isinstance(content, bytes) else content.encode())
            done = subprocess.run([ELISACTL, "host", "check", "--json", "--root", folder], capture_output=True, text=True, check=False)
            answer = json.loads(done.stdout)
            of_script = {each.name: each.status for each in checks.check(Machine(Path(folder))) if each.name not in _OF_THE_SCRIPT}
        found: dict[str, dict[str, Any]] = {each["check"]: each for each in answer["findings"]}
        problems = [each for each in found.values() if each["status"] == "problem"]
        self.assertEqual((len(problems), 1 if problems else 0), (answer["problems"], done.returncode), done.stderr)
        self.assertEqual(of_script, {name: each["status"] for name, each in found.items() if name not in _OF_ELISACTL})
        return found

    def test_a_machine_that_can_be_a_host_is_told_so(self) -> None:
        found = self.found({})
        self.assertEqual({"ok"}, {each["status"] for each in found.values()})
        self.assertEqual({"cpu", "vmx", "ept", "vmfunc", "nested", "signatures", "kernel", "module", "kvm-intel"}, set(found))
        self.assertEqual("note", self.found({"proc/cpuinfo": cpuinfo(flags="vmx hypervisor")})["nested"]["status"])
        self.assertEqual("ok", self.found({_SECURE_BOOT: b"\6\0\0\0\0"})["signatures"]["status"])

    def test_why_a_machine_cannot_be_a_host_is_told(self) -> None:
        for changes, check, fix in _SEEDS:
            with self.subTest(check=check, changes=changes):
                found = self.found(changes)
                self.assertEqual([check], [name for name, each in found.items() if each["status"] == "problem"])
                self.assertIn(fix, found[check]["fix"])

    def test_modules_that_are_missing_are_told_with_their_package(self) -> None:
        found = self.found({"proc/modules": "kvm_intel 1 0 - Live 0x0\n"})
        self.assertIn("elisa-kvm-dkms", found["module"]["fix"])
        self.assertEqual("problem", self.found({"sys/module/kvm_intel/version": None})["kvm-intel"]["status"])


class MessagesTest(unittest.TestCase):
    def test_packages_in_messages_are_there(self) -> None:
        packaging = (ROOT / "packaging/CMakeLists.txt").read_text()
        named = {}
        for source in sorted((ROOT / "apps").rglob("*.cpp")):
            for text in re.findall(r'"((?:[^"\\]|\\.)*)"', source.read_text()):
                for name in re.findall(r"(?<![\w./-])(?:lib)?elisa-[a-z][a-z-]*[a-z](?![\w-])", text):
                    named[name] = source.name
        self.assertIn("elisa-kvm-dkms", named)
        for name, source in named.items():
            self.assertRegex(packaging, rf"(?<![\w-]){name}(?![\w-])", f"{source}: nothing that is packaged is called so")


if __name__ == "__main__":
    unittest.main(verbosity=2)
