# SPDX-License-Identifier: Apache-2.0
"""What the emulated host and the guests boot from.

  root image   Debian's busybox, QEMU and python3; slow to make, cached, the same for every run
  guest cpio   busybox alone ("plain"), with Debian's dpdk-testpmd ("dpdk"), with iperf3, too ("sockets"), or with
             libmemcached's memccapable ("clients"); cached. "tools" is plain, and has elisactl from build/guest
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

from . import cache, tree
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
_WITH_DPDK = ("dpdk", "sockets")
# EAL loads every driver of its plugin folder at start; in an emulated guest each costs a tenth of a second.
_DPDK_DRIVERS = ("bus_vdev", "bus_pci", "mempool_ring", "net_null", "net_ring", "net_virtio")


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


def guest_base(kind: str) -> Path:
    """The part of a guest's initramfs that comes from Debian: kind 'plain', 'dpdk', 'sockets' or 'clients'."""
    packages = "busybox-static libc6 libgcc-s1"
    if kind in _WITH_DPDK:
        packages += " dpdk-dev libnuma1"
    if kind == "sockets":
        packages += " iperf3 libiperf0"
    if kind == "clients":
        packages += " libmemcached-tools"
    code = [LAB / "guest", LAB / "elisalab/images.py", LAB / "elisalab/tree.py"]

    def build(folder: Path) -> None:
        root = tree.Tree(folder / "root")
        root.add_busybox()
        root.add(LAB / "guest/init", "/init")
        root.write("/etc/passwd", "root::0:0:root:/root:/bin/sh\nnobody::65534:65534:nobody:/:/bin/sh\n")
        root.write("/etc/group", "root:x:0:\nnogroup:x:65534:\n")
        for name in ("libstdc++.so.6", "libgcc_s.so.1"):
            root.add_library(_LIBDIR / name)
            root.add_libraries_of(_LIBDIR / name)
        if kind in _WITH_DPDK:
            _add_dpdk(root)
        if kind == "sockets":
            root.add_program(Path("/usr/bin/iperf3"))
        if kind == "clients":
            root.add_program(Path("/usr/bin/memccapable"))
        tree.make_cpio(root.root, folder / "base.cpio")
        shutil.rmtree(root.root)

    return cache.product(f"guest-{kind}", [kind, *code, *_packages(packages)], build) / "base.cpio"


def _add_dpdk(root: tree.Tree) -> None:
    root.add_program(Path("/usr/bin/dpdk-testpmd"))
    plugins = sorted((_LIBDIR / "dpdk").glob("pmds-*"))
    if not plugins:
        raise LabError(f"no DPDK plugin folder under {_LIBDIR}/dpdk: is the package dpdk installed?")
    for driver in _DPDK_DRIVERS:
        for name in plugins[-1].glob(f"librte_{driver}.so.*.*"):
            root.add_library(name)
            root.add_libraries_of(name)
            soname = name.name.rsplit(".", 1)[0]  # librte_x.so.23.0 -> librte_x.so.23, what EAL looks for
            link = root.root / str(name.parent).lstrip("/") / soname
            if not link.exists():  # testpmd links some of them, which put them there already
                link.symlink_to(name.name)


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


def _project_cpio(kind: str, binaries: Binaries, have: Path, archive: Path, scratch: Path) -> None:
    """build/guest as /elisa in the guest, plus libraries that the base does not have. Without DPDK, nothing that needs it."""
    shutil.rmtree(scratch, ignore_errors=True)
    root = tree.Tree(scratch)
    place = root.root / "elisa"
    place.mkdir()
    if binaries.guest.is_dir():
        left_out = [*(() if kind in _WITH_DPDK else ("librte_*", "dpdk")), *(() if kind == "tools" else ("elisactl",))]
        shutil.copytree(binaries.guest, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*left_out))
    in_base = set(_cpio_names(have))
    for program in sorted(p for p in place.rglob("*") if p.is_file() and _is_dynamic_elf(p)):
        for library in tree.libraries(program, binaries.guest / "lib"):
            inside = str(library).lstrip("/")
            if library.is_relative_to(binaries.guest) or library.is_relative_to(place):
                continue
            if inside not in in_base and f"usr/{inside}" not in in_base:
                root.add_library(library)
        # Emulated, every megabyte of an initramfs costs a tenth of a second. (Images are data here, and left alone.)
        subprocess.run(["strip", "--strip-debug", str(program)], check=True)
    # The base archive makes these; a folder may be named twice, a link over a folder may not.
    for link in ("lib", "lib64"):
        (root.root / link).unlink()
    for folder in ("lib", "lib64"):
        stray = root.root / folder
        if stray.is_dir():
            shutil.copytree(stray, root.root / "usr" / folder, dirs_exist_ok=True)
            shutil.rmtree(stray)
    tree.make_cpio(root.root, archive)
    shutil.rmtree(scratch)


def _cpio_names(archive: Path) -> list[str]:
    with archive.open("rb") as handle:
        listing = subprocess.run(["cpio", "-t", "--quiet"], stdin=handle, capture_output=True, text=True, check=True)
    return listing.stdout.splitlines()


def _is_dynamic_elf(path: Path) -> bool:
    with path.open("rb") as handle:
        if handle.read(4) != b"\x7fELF":
            return False
    shown = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True, check=False)
    return "(NEEDED)" in shown.stdout


def stage(
    folder: Path,
    binaries: Binaries,
    guest_kernel: Path | None,
    kernel: HostKernel | None,
    modules: Path | None,
    job: dict[str, Any],
) -> None:
    """Everything that the agent needs, laid out as on the payload disk. `kernel` is None on a local machine."""
    (folder / "guest").mkdir(parents=True)
    if guest_kernel is not None:
        (folder / "guest/vmlinux").symlink_to(guest_kernel)
    kinds = {vm["image"] for scenario in job["scenarios"] for vm in scenario["vm"]}
    if guest_kernel is not None:
        kinds = kinds or {"plain"}
    for kind in sorted(kinds):
        base = guest_base(kind)
        project = folder / "guest/project.cpio"
        _project_cpio(kind, binaries, base, project, folder / "scratch")
        with (folder / f"guest/{kind}.cpio").open("wb") as out:
            for part in (base, project):
                out.write(part.read_bytes())
        project.unlink()
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
        if not _is_dynamic_elf(program):
            continue
        for library in tree.libraries(program):
            if not library.name.startswith(standard) and not library.is_relative_to(folder):
                (folder / "lib").mkdir(exist_ok=True)
                shutil.copy(library, folder / "lib")


def payload_disk(staged: Path, image: Path, log: Path) -> None:
    """The staged folder as a disk."""
    resolved = staged / "guest/vmlinux"
    kernel = resolved.resolve()
    resolved.unlink()
    shutil.copyfile(kernel, resolved)
    tree.make_ext4(staged, image, spare_mib=4, log=log)
