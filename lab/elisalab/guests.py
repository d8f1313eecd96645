# SPDX-License-Identifier: Apache-2.0
"""What guests boot from: an initramfs of as few bytes as can be, for unpacking it is slow in an emulated guest.

There is an archive for each program that a guest may have, with the libraries it needs. Before it starts a VM, the agent
joins the base and those of the programs that the VM's own text names (lab/agent/initramfs.py).
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Callable

from . import cache, tree
from .kernels import LAB, package_version
from .log import LabError

_LIBDIR = Path("/usr/lib/x86_64-linux-gnu")
# EAL loads every driver of its plugin folder at start, which is slow in an emulated guest.
_DPDK_DRIVERS = ("bus_vdev", "bus_pci", "mempool_ring", "net_null", "net_ring", "net_virtio")
_USES_DPDK = ["dpdk", "drivers"]
# Program -> its package, and the archives that it needs besides the base and its own.
_DEBIAN: dict[str, tuple[str, list[str]]] = {
    "/usr/bin/dpdk-testpmd": ("dpdk", _USES_DPDK),
    "/usr/bin/iperf3": ("iperf3", []),
    "/usr/bin/memccapable": ("libmemcached-tools", []),
}
# Folder of build/guest -> the archives that its programs need besides.
_OURS = {"bin": ["images"], "dpdk": _USES_DPDK}


def _cached(name: str, packages: str, fill: Callable[[tree.Tree], None]) -> Path:
    code = [LAB / "guest", LAB / "elisalab/guests.py", LAB / "elisalab/tree.py"]

    def build(folder: Path) -> None:
        root = tree.Tree(folder / "root")
        fill(root)
        tree.make_cpio(root.root, folder / "part.cpio")
        shutil.rmtree(root.root)

    versions = [f"{package}={package_version(package)}" for package in packages.split()]
    return cache.product(f"guest-{name}", [name, *code, *versions], build) / "part.cpio"


def _base(root: tree.Tree) -> None:
    root.add_busybox()
    root.add(LAB / "guest/init", "/init")
    root.write("/etc/passwd", "root::0:0:root:/root:/bin/sh\nnobody::65534:65534:nobody:/:/bin/sh\n")
    root.write("/etc/group", "root:x:0:\nnogroup:x:65534:\n")


def _dpdk(root: tree.Tree) -> None:
    """Of DPDK, what each of its programs needs."""
    plugins = sorted((_LIBDIR / "dpdk").glob("pmds-*"))
    if not plugins:
        raise LabError(f"no DPDK plugin folder under {_LIBDIR}/dpdk: is the package dpdk installed?")
    root.add_library(_LIBDIR / "libgcc_s.so.1")  # which pthread_cancel() loads
    for driver in _DPDK_DRIVERS:
        for name in plugins[-1].glob(f"librte_{driver}.so.*.*"):
            root.add_library(name)
            root.add_libraries_of(name)
            soname = name.name.rsplit(".", 1)[0]  # librte_x.so.23.0 -> librte_x.so.23, what EAL looks for
            link = root.root / str(name.parent).lstrip("/") / soname
            if not link.exists():
                link.symlink_to(name.name)


def _project_part(files: list[Path], binaries: Path, archive: Path, scratch: Path) -> None:
    """Some of build/guest, at its place below /elisa, with the libraries of this machine that they need."""
    shutil.rmtree(scratch, ignore_errors=True)
    root = tree.Tree(scratch)
    for file in files:
        place = root.add(file, f"/elisa/{file.relative_to(binaries)}")
        if not is_dynamic_elf(file):
            continue
        for library in tree.libraries(file, binaries / "lib"):
            if not library.is_relative_to(binaries):
                root.add_library(library)
        subprocess.run(["strip", "--strip-unneeded", str(place)], check=True)
    tree.make_cpio(root.root, archive)
    shutil.rmtree(scratch)


def is_dynamic_elf(path: Path) -> bool:
    with path.open("rb") as handle:
        if handle.read(4) != b"\x7fELF":
            return False
    shown = subprocess.run(["readelf", "-d", str(path)], capture_output=True, text=True, check=False)
    return "(NEEDED)" in shown.stdout


def stage(folder: Path, binaries: Path, scratch: Path) -> None:
    """The archives, and programs.json: for each program, the names of the archives that it needs besides the base."""
    folder.mkdir()
    needs: dict[str, list[str]] = {}
    shutil.copy(_cached("base", "busybox-static", _base), folder / "base.cpio")
    shutil.copy(_cached("dpdk", "libc6 libgcc-s1 dpdk-dev libnuma1", _dpdk), folder / "dpdk.cpio")
    for path, (package, besides) in _DEBIAN.items():
        name = Path(path).name
        part = _cached(name, f"libc6 libgcc-s1 {package}", lambda root, path=path: root.add_program(Path(path)))
        shutil.copy(part, folder / f"{name}.cpio")
        needs[name] = [*besides, name]
    for kind, besides in _OURS.items():
        for program in sorted((binaries / kind).glob("*")):
            _project_part([program], binaries, folder / f"{program.name}.cpio", scratch)
            needs[program.name] = [*besides, program.name]
    for name, kind in (("drivers", "lib"), ("images", "share")):
        files = sorted(path for path in (binaries / kind).rglob("*") if path.is_file())
        _project_part(files, binaries, folder / f"{name}.cpio", scratch)
    (folder / "programs.json").write_text(json.dumps(needs, indent=1))
