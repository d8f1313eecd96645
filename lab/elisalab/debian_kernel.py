# SPDX-License-Identifier: Apache-2.0
"""Debian's own cloud kernel and modules as the emulated host's kernel.

Slower to boot than the tiny kernel, but what users run: the patched kvm-intel.ko is built against its headers package
and loaded beside its stock kvm.ko. The image is unpacked, not installed: this machine's own boot is left alone.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from . import cache, tree
from .kernels import KERNEL_LINE, LAB, HostKernel, package_version, source_tree
from .log import LabError, run

_FLAVOUR = "cloud-amd64"
_META = f"linux-headers-{_FLAVOUR}"
# What the root disk needs; their dependencies are looked up.
_DISK_MODULES = ("ata_piix", "sd_mod")
_KVM_MODULES = ("kvm-intel",)


def _release() -> str:
    """The kernel release (6.1.0-56-cloud-amd64) whose headers are installed, of exactly the source's version."""
    wanted = package_version(f"linux-source-{KERNEL_LINE}")
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n", f"linux-headers-*-{_FLAVOUR}"],
        capture_output=True, text=True, check=False,
    )
    for line in done.stdout.splitlines():
        package, version, status = line.split()
        if status == "installed" and version == wanted and package != _META:
            return package.removeprefix("linux-headers-")
    raise LabError(
        f"no linux-headers-*-{_FLAVOUR} of version {wanted} (that of linux-source-{KERNEL_LINE}) is installed: "
        f"apt-get install {_META} linux-source-{KERNEL_LINE}"
    )


def host_kernel() -> HostKernel:
    release = _release()
    package = f"linux-image-{release}"
    version = package_version(f"linux-headers-{release}")

    def build(folder: Path) -> None:
        log = folder / ".build.log"
        # apt drops its privileges to a user who cannot write here; the file is checked by its hash all the same.
        run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", f"{package}={version}"], log, cwd=folder,
            what=f"download of {package}")
        archive = next(folder.glob("*.deb"))
        run(["dpkg-deb", "-x", str(archive), str(folder)], log)
        archive.unlink()
        run(["depmod", "-b", str(folder), release], log)
        _make_initrd(folder, release)

    folder = cache.product(
        "kernel-debian", [package, version, LAB / "host/initrd-init", LAB / "elisalab/debian_kernel.py"], build
    )
    return HostKernel(
        name="debian",
        image=folder / f"boot/vmlinuz-{release}",
        build_tree=Path("/usr/src") / f"linux-headers-{release}",
        source_tree=source_tree(),
        modules=tuple(_with_dependencies(folder, release, _KVM_MODULES)),
        initrd=folder / "initrd.cpio",
    )


def _with_dependencies(folder: Path, release: str, names: tuple[str, ...]) -> list[Path]:
    """The files of modules and of what they need, in load order."""
    modules = folder / "lib/modules" / release
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
    by_name = {Path(path).stem: path for path in needs}
    ordered: list[str] = []

    def visit(path: str) -> None:
        if path in ordered:
            return
        for dependency in reversed(needs[path]):
            visit(dependency)
        ordered.append(path)

    for name in names:
        if name not in by_name:
            raise LabError(f"Debian's kernel {release} has no module {name}")
        visit(by_name[name])
    return [modules / path for path in ordered]


def _make_initrd(folder: Path, release: str) -> None:
    root = tree.Tree(folder / "initrd")
    root.add_busybox()
    root.add(LAB / "host/initrd-init", "/init")
    order = []
    for module in _with_dependencies(folder, release, _DISK_MODULES):
        root.add(module, f"/modules/{module.name}")
        order.append(module.name)
    root.write("/modules/order", "\n".join(order) + "\n")
    tree.make_cpio(root.root, folder / "initrd.cpio")
