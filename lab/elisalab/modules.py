# SPDX-License-Identifier: Apache-2.0
"""The patched kvm-intel.ko and elisa.ko for a host kernel, built by kvm-patch/build.sh, and modules of the lab's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from . import cache, host_kernels
from .kernels import KVM_PATCH, LAB, package_version
from .log import run

_OWN = LAB / "kernel/test"


def build(host_kernel: str, variant: str, out: Path) -> None:
    """Puts the patched ones into `out`/NAME, the lab's into `out`/NAME/test. `variant`, if not empty, is the folder of
    tests/lab whose module/ is built into elisa.ko; NAME is then host_kernel-variant."""
    inputs = host_kernels.module_build(host_kernel)
    name = f"{host_kernel}-{variant}" if variant else host_kernel
    extra = [LAB.parent / "tests/lab" / variant / "module"] if variant else []

    def make(folder: Path) -> None:
        script = ["bash", str(KVM_PATCH / "build.sh"), "--kernel-dir", str(inputs.build_tree)]
        script += ["--source", str(inputs.source_tree), "--out", str(folder)]
        # What was compiled for this checkout before is used again.
        script += ["--objects", str(out / f"objects-{host_kernel}"), *(word for path in extra for word in ("--extra", str(path)))]
        run(script, folder / "build.log", what=f"kvm-patch for {name}")
        _build_own(inputs.build_tree, folder)

    # What goes in; the cache's folders are named by a hash of what they hold.
    sources = [KVM_PATCH / part for part in ("abi", "hooks", "module", "patches", "build.sh")] + [_OWN, *extra]
    made_of = [*sources, str(inputs.build_tree), str(inputs.source_tree), package_version("gcc")]
    # Modules that do not match the source must not be run by mistake.
    shutil.rmtree(out / name, ignore_errors=True)
    made = cache.product(f"modules-{name}", made_of, make, about="40 seconds on 2 cores")
    shutil.copytree(made, out / name, ignore=shutil.ignore_patterns(".*"))


def _build_own(build_tree: Path, folder: Path) -> None:
    test = folder / "test"
    shutil.copytree(_OWN, test)
    run(["make", "-C", str(build_tree), f"M={test}", "modules"], folder / "build.log", what="the lab's own modules")
    for file in test.iterdir():
        if file.suffix != ".ko":
            shutil.rmtree(file) if file.is_dir() else file.unlink()


def dkms(host_kernel: str) -> None:
    """The DKMS package's own test, against this kernel's headers package."""
    inputs = host_kernels.module_build(host_kernel)
    release = inputs.build_tree.name.removeprefix("linux-headers-")

    def make(folder: Path) -> None:
        run(["bash", str(KVM_PATCH / "dkms/test.sh"), release, str(inputs.build_tree)], folder / "dkms.log",
            what=f"DKMS test for {release}")

    names = ("abi", "hooks", "module", "patches", "build.sh", "source.sh", "dkms", "host/elisahost")
    made_of = [*(KVM_PATCH / name for name in names), str(inputs.build_tree), package_version("dkms")]
    cache.product(f"dkms-{host_kernel}", made_of, make, about="3 minutes on 2 cores")
