# SPDX-License-Identifier: Apache-2.0
"""Debian's own kernels and modules as the emulated host's kernel.

Slower to boot than the tiny kernel, but what users run: the patched kvm-intel.ko is built against its headers package
and loaded beside its stock kvm.ko. Packages are unpacked, not installed: this machine's own kernels are left alone.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from . import cache, tree
from .kernels import LAB, LINES, HostKernel, ModuleBuild, package_version, source_package, source_tree
from .log import LabError, run

FLAVOURS = ("cloud-amd64", "amd64")
# What the root disk needs; their dependencies are looked up.
_DISK_MODULES = ("ata_piix", "sd_mod")
_HOST_MODULES = ("msr", "kvm-intel")  # by the first, `host check` sees what the CPU can


def _depends(package: str, version: str) -> list[str]:
    """Names of the packages that a package depends on, each first alternative."""
    done = subprocess.run(["apt-cache", "show", f"{package}={version}"], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("Depends: "):
            return [entry.split()[0] for entry in line.removeprefix("Depends: ").split(", ")]
    raise LabError(f"apt knows no {package} {version} (the version of the linux-source package that is installed): "
                   f"apt-get update, and install the newest linux-source-*")


def _headers_package(line: str, flavour: str) -> str:
    """The headers package (linux-headers-6.1.0-56-cloud-amd64) of exactly the installed source's version."""
    meta = f"linux-headers-{flavour}" if line == LINES[0] else f"linux-headers-{line}-{flavour}"
    return _depends(meta, package_version(source_package(line)))[0]


def _unpack(folder: Path, packages: list[str], version: str) -> None:
    log = folder / ".build.log"
    # apt drops its privileges to a user who cannot write here; the file is checked by its hash all the same.
    run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *(f"{name}={version}" for name in packages)],
        log, cwd=folder, what=f"download of {', '.join(packages)}")
    for archive in folder.glob("*.deb"):
        run(["dpkg-deb", "-x", str(archive), str(folder)], log)
        archive.unlink()


def module_build(line: str, flavour: str) -> ModuleBuild:
    headers = _headers_package(line, flavour)
    version = package_version(source_package(line))

    def build(folder: Path) -> None:
        shared = [name for name in _depends(headers, version) if re.match(r"linux-headers-.*-common$|linux-kbuild-", name)]
        _unpack(folder, [headers, *shared], version)
        makefile = folder / "usr/src" / headers / "Makefile"
        makefile.write_text(makefile.read_text().replace("include /usr/src/", f"include {folder}/usr/src/"))

    folder = cache.product(f"headers-{line}-{flavour}", [headers, version, LAB / "elisalab/debian_kernel.py"], build)
    return ModuleBuild(folder / "usr/src" / headers, source_tree(line))


def host_kernel(line: str, flavour: str) -> HostKernel:
    release = _headers_package(line, flavour).removeprefix("linux-headers-")
    version = package_version(source_package(line))

    def build(folder: Path) -> None:
        _unpack(folder, [f"linux-image-{release}"], version)
        log = folder / ".build.log"
        for module in folder.rglob("*.ko.xz"):
            run(["xz", "-d", str(module)], log)
        run(["depmod", "-b", str(folder), release], log)
        _make_initrd(folder, release)

    code = [LAB / "host/initrd-init", LAB / "elisalab/debian_kernel.py"]
    folder = cache.product(f"kernel-debian-{line}-{flavour}", [release, version, *code], build)
    return HostKernel(
        name=f"Debian's {release}",
        image=folder / f"boot/vmlinuz-{release}",
        modules=tuple(_with_dependencies(folder, release, _HOST_MODULES)),
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
