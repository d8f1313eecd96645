# SPDX-License-Identifier: Apache-2.0
"""Where the patched modules come from: DKMS, a build of our own, or a folder with ready ones."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from . import modules
from .commands import HostError, run
from .machine import Machine

_KVM_PATCH = Path(__file__).resolve().parents[2]
# Debian's names for what a build needs.
_PACKAGES = {"make": "make", "gcc": "gcc", "patch": "patch", "xz": "xz-utils"}
NAMES = ("kvm-intel", "elisa")
_DKMS_NAME = "elisa-kvm"


def version() -> str:
    """The appliance's, from its top CMakeLists.txt."""
    for line in (_KVM_PATCH.parent / "CMakeLists.txt").read_text().splitlines():
        if line.startswith("project(elisa VERSION "):
            return line.split()[2]
    raise HostError(f"no version in {_KVM_PATCH.parent}/CMakeLists.txt")


def headers(machine: Machine) -> Path:
    tree = modules.folder(machine) / "build"
    missing = [package for program, package in _PACKAGES.items() if shutil.which(program) is None]
    if not (tree / "Makefile").exists():
        missing.append(f"linux-headers-{machine.release}")
    if missing:
        raise HostError(f"packages are missing for the build: apt-get install {' '.join(missing)}")
    return tree


def with_dkms(machine: Machine) -> None:
    """Built by DKMS, now and with every kernel that is installed later."""
    headers(machine)
    if shutil.which("dkms") is None:
        raise HostError("dkms is missing: apt-get install dkms; or build once, for this kernel only: install --direct")
    _remove_from_dkms(machine)  # an earlier installation
    stage(_dkms_source(machine, version()))
    module = f"{_DKMS_NAME}/{version()}"
    run("adding the modules to DKMS", ["dkms", "add", module])
    # --force: a file of the same name in kernel/ is what is to be replaced.
    try:
        run("building the modules", ["dkms", "install", "--force", module, "-k", machine.release])
    except HostError as error:
        # DKMS only says where its log is, and that is about to be removed.
        said = machine.text(f"/var/lib/dkms/{module}/build/make.log").splitlines()[-12:]
        raise HostError("\n".join([str(error), *(f"    {line}" for line in said)])) from None


def directly(machine: Machine) -> None:
    """Built here once, for this kernel only."""
    tree = headers(machine)
    with tempfile.TemporaryDirectory() as scratch:
        source, out = f"{scratch}/source", f"{scratch}/out"
        run("fetching the kernel's source",
            [str(_KVM_PATCH / "source.sh"), "--kernel-dir", str(tree), "--out", source])
        run("building the modules", ["bash", str(_KVM_PATCH / "build.sh"), "--kernel-dir", str(tree),
                                     "--source", source, "--out", out])
        ready(machine, Path(out))


def ready(machine: Machine, folder: Path) -> None:
    """Built elsewhere, for exactly this kernel: for hosts without compilers."""
    for name in NAMES:
        file = folder / f"{name}.ko"
        if not file.exists():
            raise HostError(f"there is no {file}")
        built_for = run(f"reading {file}", ["modinfo", "-F", "vermagic", str(file)]).split()[:1]
        if built_for != [machine.release]:
            raise HostError(f"{file} was built for {' '.join(built_for) or 'no kernel'}, but {machine.release} runs")
    place = modules.folder(machine) / modules.UPDATES
    place.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        shutil.copy(folder / f"{name}.ko", place)
    modules.index(machine)


def remove(machine: Machine) -> None:
    """However they were built, and of whatever version."""
    _remove_from_dkms(machine)
    for name in NAMES:
        file = modules.installed_file(machine, name)
        if file is not None:
            file.unlink()
    modules.index(machine)


def _dkms_source(machine: Machine, number: str) -> Path:
    return machine.path(f"/usr/src/{_DKMS_NAME}-{number}")


def _remove_from_dkms(machine: Machine) -> None:
    for source in _dkms_source(machine, "").parent.glob(f"{_DKMS_NAME}-*"):
        module = f"{_DKMS_NAME}/{source.name.removeprefix(_DKMS_NAME + '-')}"
        if run("asking DKMS", ["dkms", "status", module]).strip():
            run("removing the modules from DKMS", ["dkms", "remove", module, "--all"])
        shutil.rmtree(source)


def stage(place: Path) -> None:
    """A source tree as DKMS wants it."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for name in ("abi", "hooks", "module", "patches"):
        shutil.copytree(_KVM_PATCH / name, place / name)
    for name in ("build.sh", "source.sh"):
        shutil.copy(_KVM_PATCH / name, place)
    text = (_KVM_PATCH / "dkms/dkms.conf").read_text().replace("@VERSION@", version())
    (place / "dkms.conf").write_text(text)
