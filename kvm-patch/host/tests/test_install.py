# SPDX-License-Identifier: Apache-2.0
"""Installation on a copy of a machine, with programs that do to the copy what modprobe and the like do to a kernel. The
lab's scenario host-install does the same to a real one."""

from __future__ import annotations

import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from elisahost import build, install, modules
from elisahost.commands import HostError
from elisahost.machine import Machine

_RELEASE = "6.1.0-56-cloud-amd64"
_PROGRAMS = {
    "rmmod": 'rm -r "$ROOT/sys/module/$1"; [ "$1" != elisa ] || rm -f "$ROOT/dev/elisa"',
    "modprobe": '''mkdir "$ROOT/sys/module/$1"
        updates=$ROOT/lib/modules/$RELEASE/updates/dkms
        case $1 in
        kvm_intel) [ ! -e "$updates/kvm-intel.ko" ] || echo elisa-1 >"$ROOT/sys/module/kvm_intel/version" ;;
        elisa) [ -e "$updates/elisa.ko" ] && touch "$ROOT/dev/elisa" ;;
        esac''',
    "depmod": ":",
    "modinfo": 'cat "$3"',
}
# The command that $FAIL names does nothing, once, and ends with $STATUS.
_HEAD = '''#!/bin/sh
if [ "${0##*/} $*" = "$FAIL" ] && [ ! -e "$ROOT/failed" ]; then touch "$ROOT/failed"; exit "$STATUS"; fi
'''


class Installing(unittest.TestCase):
    def setUp(self) -> None:
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name, "root")
        self.ready = Path(scratch.name, "ready")
        programs = Path(scratch.name, "bin")
        for folder in ("proc/sys/kernel", "sys/module/kvm_intel", "dev", "usr/src", "etc", f"lib/modules/{_RELEASE}/kernel"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "proc/sys/kernel/osrelease").write_text(_RELEASE)
        self.ready.mkdir()
        for name in build.NAMES:
            (self.ready / f"{name}.ko").write_text(f"{_RELEASE} SMP preempt mod_unload modversions")
        programs.mkdir()
        for name, does in _PROGRAMS.items():
            (programs / name).write_text(f"{_HEAD}{does}\n")
            (programs / name).chmod(0o755)
        self.machine = Machine(self.root)
        environment = {"PATH": f"{programs}:{os.environ['PATH']}", "ROOT": str(self.root), "RELEASE": _RELEASE}
        patched = mock.patch.dict(os.environ, environment)
        patched.start()
        self.addCleanup(patched.stop)

    def install(self) -> None:
        install.install(self.machine, lambda: build.ready(self.machine, self.ready), lambda _: None)

    def fails(self, fail: str, because: str, status: int = 1) -> None:
        said: list[str] = []
        with mock.patch.dict(os.environ, {"FAIL": fail, "STATUS": str(status)}), self.assertRaises(HostError) as error:
            install.install(self.machine, lambda: build.ready(self.machine, self.ready), said.append)
        self.assertIn("the stock kvm_intel is back", str(error.exception))
        self.assertIn(because, said[-1])
        self.is_stock()

    def is_stock(self) -> None:
        self.assertTrue(modules.stock_is_loaded(self.machine))
        self.assertFalse(self.machine.module_loaded("elisa"))
        self.assertEqual(list((modules.folder(self.machine) / modules.UPDATES).glob("*")), [])
        self.assertFalse(self.machine.exists("/etc/modules-load.d/elisa.conf"))
        self.assertEqual(install.status(self.machine)["kvm_intel"], "stock")

    def test_and_uninstalling(self) -> None:
        self.install()
        found = install.status(self.machine)
        self.assertEqual((found["kvm_intel"], found["elisa"], found["installed"], found["at_boot"]), ("patched", True, True, True))
        install.uninstall(self.machine)
        self.is_stock()

    def test_twice_is_fine(self) -> None:
        self.install()
        self.install()
        self.assertEqual(install.status(self.machine)["kvm_intel"], "patched")

    def test_modules_that_are_missing(self) -> None:
        (self.ready / "elisa.ko").unlink()
        self.fails("", "there is no")

    def test_modules_of_another_kernel(self) -> None:
        (self.ready / "kvm-intel.ko").write_text("5.10.0-9-amd64 SMP")
        self.fails("", "was built for 5.10.0-9-amd64")

    def test_depmod_fails(self) -> None:
        self.fails(f"depmod {_RELEASE}", "indexing")

    def test_the_patched_kvm_intel_does_not_load(self) -> None:
        self.fails("modprobe kvm_intel", "loading kvm_intel")

    def test_elisa_does_not_load(self) -> None:
        self.fails("modprobe elisa", "loading elisa")

    def test_elisa_makes_no_device(self) -> None:
        self.fails("modprobe elisa", "no /dev/elisa", status=0)

    def test_nothing_can_be_written_for_the_next_boot(self) -> None:
        (self.root / "etc/modules-load.d").write_text("not a folder")
        with self.assertRaises(HostError) as error:
            self.install()
        self.assertIn("the stock kvm_intel is back", str(error.exception))
        self.is_stock()

    def test_ctrl_c(self) -> None:
        def interrupted() -> None:
            build.ready(self.machine, self.ready)
            raise KeyboardInterrupt

        with self.assertRaisesRegex(HostError, "the stock kvm_intel is back"):
            install.install(self.machine, interrupted, lambda _: None)
        self.is_stock()

    def test_while_a_vm_runs_is_refused(self) -> None:
        (self.root / "proc/77/fd").mkdir(parents=True)
        (self.root / "proc/77/comm").write_text("qemu-system-x86")
        (self.root / "proc/77/fd/9").symlink_to("anon_inode:kvm-vm")
        for act in (self.install, lambda: install.uninstall(self.machine)):
            with self.assertRaisesRegex(HostError, r"qemu-system-x86 \(pid 77\)"):
                act()
        self.is_stock()

    def test_while_kvm_intel_has_another_user_is_refused(self) -> None:
        (self.root / "sys/module/kvm_intel/refcnt").write_text("1")
        with self.assertRaisesRegex(HostError, "in use"):
            self.install()


if __name__ == "__main__":
    unittest.main()
