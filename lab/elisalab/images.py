# SPDX-License-Identifier: Apache-2.0
"""What the emulated host and the guests boot from.

  root image   Debian's busybox, QEMU and python3; slow to make, cached, the same for every run
  payload      everything that changes in a day's work: kernel modules, build/host, build/guest, the agent, the job
"""

from __future__ import annotations

import compileall
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cache, guests, tree
from .kernels import KVM_PATCH, LAB, HostKernel, package_version
from .log import LabError

_LIBDIR = Path("/usr/lib/x86_64-linux-gnu")
_QEMU_FIRMWARE = (
    "qemu/bios-microvm.bin qemu/qboot.rom qemu/pvh.bin qemu/linuxboot.bin qemu/linuxboot_dma.bin qemu/kvmvapic.bin "
    "seabios/bios-256k.bin seabios/bios-microvm.bin seabios/vgabios-stdvga.bin"
).split()
_PYTHON_SKIP = (
    "config-3.11-*", "test", "lib2to3", "pydoc_data", "distutils", "asyncio", "unittest", "http", "email",
    "sax", "dom", "idlelib", "ensurepip", "tkinter", "turtledemo", "*.opt-1.pyc", "*.opt-2.pyc", "sitecustomize.py", "venv",
    "multiprocessing", "curses", "dbm", "sqlite3", "wsgiref", "lib-dynload",
)


def _packages(names: str) -> list[str]:
    return [f"{name}={package_version(name)}" for name in names.split()]


def host_root() -> Path:
    """The ext4 image that the emulated host boots from."""
    code = [LAB / "host", LAB / "elisalab/images.py", LAB / "elisalab/tree.py"]
    parts = [*code, *_packages("busybox-static qemu-system-x86 python3.11 seabios libc6 kmod")]

    def build(folder: Path) -> None:
        root = tree.Tree(folder / "root")
        root.add_busybox()
        root.add(LAB / "host/init", "/sbin/init")
        root.add(LAB / "host/lab-agent", "/bin/lab-agent")
        root.add_program(Path("/usr/bin/qemu-system-x86_64"))
        for name in _QEMU_FIRMWARE:
            root.add(Path("/usr/share") / name)
        # The real modprobe and depmod: `elisa host install` is tested with them.
        root.add_program(Path("/usr/bin/kmod"))
        for name in ("modprobe", "depmod", "insmod", "rmmod", "lsmod", "modinfo"):
            (root.root / "bin" / name).unlink(missing_ok=True)
            (root.root / "bin" / name).symlink_to("/usr/bin/kmod")
        root.add_program(Path("/usr/bin/python3.11"))
        (root.root / "usr/bin/python3").symlink_to("python3.11")
        root.add_tree(Path("/usr/lib/python3.11"), skip=_PYTHON_SKIP)
        (root.root / "usr/lib/python3.11/lib-dynload").mkdir()  # empty, but Python looks for it
        for name in ("libstdc++.so.6", "libgcc_s.so.1"):
            root.add_library(_LIBDIR / name)
            root.add_libraries_of(_LIBDIR / name)
        (root.root / "payload").mkdir()
        root.write("/etc/passwd", "root::0:0:root:/root:/bin/sh\n")
        root.write("/etc/group", "root:x:0:\n")
        tree.make_ext4(root.root, folder / "root.img", spare_mib=16, log=folder / ".build.log")
        shutil.rmtree(root.root)

    return cache.product("host-root", parts, build) / "root.img"


@dataclass(frozen=True)
class Binaries:
    """Where the project's own programs are, as installed by CMake, and the patched modules if they are built."""

    build: Path

    @property
    def host(self) -> Path:
        return self.build / "host"

    @property
    def guest(self) -> Path:
        return self.build / "guest"


def stage(
    folder: Path,
    binaries: Binaries,
    guest_kernel: Path | None,
    kernel: HostKernel | None,
    modules: Path | None,
    job: dict[str, Any],
) -> None:
    """Everything that the agent needs, laid out as on the payload disk. `kernel` is None on a local machine."""
    if guest_kernel is not None:
        (folder / "guest").mkdir(parents=True)
        # QEMU sorts the symbols that a kernel has, which no guest needs.
        subprocess.run(["strip", "-o", str(folder / "guest/vmlinux"), str(guest_kernel)], check=True)
        guests.stage(folder / "guest/programs", binaries.guest, folder / "scratch")
    shutil.copytree(LAB / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder / "agent", quiet=1)  # the emulated host would take a second for it
    shutil.copytree(KVM_PATCH / "host/elisahost", folder / "kvm-patch/host/elisahost", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(KVM_PATCH / "patches", folder / "kvm-patch/patches")
    shutil.copytree(LAB.parent / "tests/lab/host", folder / "tests")
    if binaries.host.is_dir():
        shutil.copytree(binaries.host, folder / "host")
    for name in sorted({name for scenario in job["scenarios"] for name in scenario["host_programs"]}):
        program = binaries.guest / "bin" / name  # or what `name` is, if that begins with a /
        if not program.exists():
            raise LabError(f"there is no {program}: build it (./elisa build user), or install the package that has it")
        (folder / "host/bin").mkdir(parents=True, exist_ok=True)
        shutil.copy(program, folder / "host/bin")
    if (folder / "host").is_dir():
        _add_host_libraries(folder / "host")
    if kernel is not None:
        stock = folder / "modules/stock"
        stock.mkdir(parents=True)
        for module in kernel.modules:
            shutil.copy(module, stock)
        (folder / "modules/order").write_text("".join(f"{m.name}\n" for m in kernel.modules))
    if modules is not None:
        for name, built in (("elisa", modules), ("sweep", modules.with_name(modules.name + "-sweep"))):
            if built.is_dir():
                patched = folder / "modules" / name
                patched.mkdir(parents=True)
                for module in sorted(built.glob("*.ko")):
                    shutil.copy(module, patched)
        if (modules / "test").is_dir():
            shutil.copytree(modules / "test", folder / "modules/test")
    (folder / "job.json").write_text(json.dumps(job, indent=1))


def _add_host_libraries(folder: Path) -> None:
    """Libraries that build/host needs and the root image does not have go to host/lib (found by LD_LIBRARY_PATH)."""
    standard = ("libc.so", "libm.so", "libstdc++.so", "libgcc_s.so", "ld-linux")
    for program in [p for p in folder.rglob("*") if p.is_file()]:
        if not guests.is_dynamic_elf(program):
            continue
        for library in tree.libraries(program):
            if not library.name.startswith(standard) and not library.is_relative_to(folder):
                (folder / "lib").mkdir(exist_ok=True)
                shutil.copy(library, folder / "lib")
