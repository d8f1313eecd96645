# SPDX-License-Identifier: Apache-2.0
"""The lab's own small kernels, of hosts (L1) and guests (L2), from Debian's kernel source."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import cache
from .log import LabError, run

LAB = Path(__file__).resolve().parent.parent
KVM_PATCH = LAB.parent / "kvm-patch"
# The lines that kvm-patch/patches has hooks for; guests run the first.
LINES = ("6.1", "6.12")


@dataclass(frozen=True)
class ModuleBuild:
    """What modules for a kernel are built from."""

    build_tree: Path  # make -C here M=... builds modules for it
    source_tree: Path  # the source, of exactly this version


@dataclass(frozen=True)
class HostKernel:
    """A host kernel that can boot in the lab."""

    name: str
    image: Path  # what GRUB loads
    modules: tuple[Path, ...]  # stock modules, in load order, kvm.ko and kvm-intel.ko last
    initrd: Path | None = None  # where the disk drivers are modules
    slowness: int = 1  # how much longer than on the tiny kernel things take, for bounds


def package_version(package: str) -> str:
    """The installed version of a Debian package."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not done.stdout:
        raise LabError(f"Debian package {package} is not installed: run scripts/install-packages")
    return done.stdout


def source_package(line: str) -> str:
    return f"linux-source-{line}"


def _source_parts(line: str) -> list[str]:
    return [line, package_version(source_package(line))]


def source_tree(line: str) -> Path:
    """Debian's kernel source, unpacked."""

    def unpack(folder: Path) -> None:
        tarball = f"/usr/src/{source_package(line)}.tar.xz"
        run(["tar", "-C", str(folder), "--strip-components=1", "-xf", tarball], folder / ".unpack.log")

    return cache.product(source_package(line), _source_parts(line), unpack)


def _settings(fragment: Path) -> str:
    """A fragment without its comments: rewording one must not rebuild a kernel."""
    return "\n".join(line for line in fragment.read_text().splitlines() if line and not line.startswith("#"))


def _configure(source: Path, out: Path, fragments: list[Path], log: Path) -> None:
    run(["make", "-C", str(source), f"O={out}", "tinyconfig"], log)
    merge = [str(source / "scripts/kconfig/merge_config.sh"), "-O", str(out), "-m", str(out / ".config")]
    run([*merge, *map(str, fragments)], log, cwd=source)
    run(["make", "-C", str(source), f"O={out}", "olddefconfig"], log)


def _build(name: str, line: str, fragments: list[Path], targets: list[str], variables: tuple[str, ...] = ()) -> Path:
    source = source_tree(line)
    jobs = f"-j{os.cpu_count() or 1}"

    def make(folder: Path) -> None:
        log = folder / ".build.log"
        _configure(source, folder, fragments, log)
        command = ["nice", "-n", "5", "make", "-C", str(source), f"O={folder}", jobs, *variables, *targets]
        run(command, log, what=f"kernel {name}")

    parts = [*_source_parts(line), name, *map(_settings, fragments), *targets, *variables, package_version("gcc")]
    return cache.product(f"kernel-{name}", parts, make, about="4 minutes on 2 cores")


def guest_kernel() -> Path:
    """The guests' vmlinux, booted by QEMU through PVH."""
    fragments = [LAB / "kernel/guest.fragment", LAB / "kernel/guest-only.fragment"]
    return _build("l2", LINES[0], fragments, ["vmlinux"]) / "vmlinux"


def _host_tree(kind: str, line: str) -> Path:
    """Build tree of a host kernel of ours: `tiny`, or `debug`, which watches itself and is slow."""
    fragments = [LAB / "kernel/guest.fragment", LAB / "kernel/host.fragment"]
    if (LAB / f"kernel/host-{line}.fragment").exists():
        fragments.append(LAB / f"kernel/host-{line}.fragment")
    variables: tuple[str, ...] = ()
    if kind == "debug":
        fragments.append(LAB / "kernel/debug.fragment")
        # Lockdep is in every lock's way; what checks need not be checked itself.
        variables = ("KASAN_SANITIZE_lockdep.o=n", "UBSAN_SANITIZE_lockdep.o=n")
    name = {"tiny": "l1", "debug": "l1-debug"}[kind]
    return _build(name if line == LINES[0] else f"{name}-{line}", line, fragments, ["bzImage", "modules"], variables)


def module_build(kind: str, line: str) -> ModuleBuild:
    return ModuleBuild(_host_tree(kind, line), source_tree(line))


def host_kernel(kind: str, line: str) -> HostKernel:
    """A kernel of our own for the emulated host, with KVM as modules."""
    tree = _host_tree(kind, line)
    names = ["virt/lib/irqbypass.ko", "arch/x86/kvm/kvm.ko", "arch/x86/kvm/kvm-intel.ko"]
    return HostKernel(
        name=f"{kind}, Linux {line}",
        image=tree / "arch/x86/boot/bzImage",
        modules=tuple(tree / name for name in names if (tree / name).exists()),
        slowness=4 if kind == "debug" else 1,
    )
