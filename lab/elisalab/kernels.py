# SPDX-License-Identifier: Apache-2.0
"""The two tiny kernels, host (L1) and guest (L2), from Debian's own kernel source."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .log import LabError, run

LAB = Path(__file__).resolve().parent.parent
KERNEL_LINE = "6.1"
_TARBALL = Path(f"/usr/src/linux-source-{KERNEL_LINE}.tar.xz")


@dataclass(frozen=True)
class HostKernel:
    """A host kernel that can boot in the lab, and what is needed to build modules for it."""

    name: str
    image: Path  # what GRUB loads
    build_tree: Path  # make -C here M=... builds modules for it
    source_tree: Path  # the whole source, of exactly this version
    modules: tuple[Path, ...]  # stock modules, in load order, kvm.ko and kvm-intel.ko last
    initrd: Path | None = None  # where the disk drivers are modules


def package_version(package: str) -> str:
    """The installed version of a Debian package."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not done.stdout:
        raise LabError(f"Debian package {package} is not installed: run scripts/install-packages")
    return done.stdout


def _source_parts() -> list[str]:
    return [KERNEL_LINE, package_version(f"linux-source-{KERNEL_LINE}")]


def source_tree() -> Path:
    """Debian's kernel source, unpacked."""

    def unpack(folder: Path) -> None:
        run(["tar", "-C", str(folder), "--strip-components=1", "-xf", str(_TARBALL)], folder / ".unpack.log")

    return cache.product(f"linux-source-{KERNEL_LINE}", _source_parts(), unpack)


def _settings(fragment: Path) -> str:
    """A fragment without its comments: rewording one must not rebuild a kernel."""
    return "\n".join(line for line in fragment.read_text().splitlines() if line and not line.startswith("#"))


def _configure(source: Path, out: Path, fragments: list[Path], log: Path) -> None:
    run(["make", "-C", str(source), f"O={out}", "tinyconfig"], log)
    merge = [str(source / "scripts/kconfig/merge_config.sh"), "-O", str(out), "-m", str(out / ".config")]
    run([*merge, *map(str, fragments)], log, cwd=source)
    run(["make", "-C", str(source), f"O={out}", "olddefconfig"], log)


def _build(name: str, fragments: list[Path], targets: list[str]) -> Path:
    source = source_tree()
    jobs = f"-j{os.cpu_count() or 1}"

    def make(folder: Path) -> None:
        log = folder / ".build.log"
        _configure(source, folder, fragments, log)
        run(["nice", "-n", "5", "make", "-C", str(source), f"O={folder}", jobs, *targets], log, what=f"kernel {name}")

    parts = [*_source_parts(), name, *map(_settings, fragments), *targets, package_version("gcc")]
    return cache.product(f"kernel-{name}", parts, make, about="4 minutes on 2 cores")


def guest_kernel() -> Path:
    """The guests' vmlinux, booted by QEMU through PVH."""
    return _build("l2", [LAB / "kernel/guest.fragment"], ["vmlinux"]) / "vmlinux"


def tiny_host_kernel() -> HostKernel:
    """The emulated host's own small kernel, with KVM as modules."""
    tree = _build("l1", [LAB / "kernel/guest.fragment", LAB / "kernel/host.fragment"], ["bzImage", "modules"])
    return HostKernel(
        name="tiny",
        image=tree / "arch/x86/boot/bzImage",
        build_tree=tree,
        source_tree=source_tree(),
        modules=_tiny_modules(tree),
    )


def _tiny_modules(tree: Path) -> tuple[Path, ...]:
    names = ["virt/lib/irqbypass.ko", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-intel.ko"]
    return tuple(tree / name for name in names if (tree / name).exists())
