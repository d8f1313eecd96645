# SPDX-License-Identifier: Apache-2.0
"""The copy of the tree in which mutants are applied and built. Kept from run to run, so that only what a mutant
changes is compiled."""

from __future__ import annotations

import filecmp
import os
import shutil
import tomllib
from pathlib import Path

from . import process
from .mutant import Mutant, MutantError

_ROOMS = ("apps", "bench", "kvm-patch", "lab", "libelisa", "pmd_rvif", "rvs", "scripts", "tests")


class Workshop:
    def __init__(self, root: Path, place: Path, kernel: str, kernel_dir: str, kernel_source: str) -> None:
        self._root = root
        self.tree = place / "tree"
        self.build = place / "build"
        self.modules = place / "modules"
        self.logs = place / "logs"
        self._objects = place / f"module-objects-{kernel}"
        self._kernel_dir, self._kernel_source = kernel_dir, kernel_source
        for folder in (self.tree, self.logs):
            folder.mkdir(parents=True, exist_ok=True)

    def restore(self) -> None:
        """The tree as it is outside. A file that is the same keeps its time stamp."""
        for entry in [*_ROOMS, *(p.name for p in self._root.iterdir() if p.is_file())]:
            if (self._root / entry).exists():
                _mirror(self._root / entry, self.tree / entry)

    def make_modules(self, variant: str, log: Path) -> None:
        """Into self.modules; a variant's (tests/lab/VARIANT/module) beside it, where the lab looks for it."""
        out = self.modules.with_name(f"{self.modules.name}-{variant}") if variant else self.modules
        extra = ["--extra", str(self.tree / "tests/lab" / variant / "module")] if variant else []
        shutil.rmtree(out, ignore_errors=True)
        self._run(["bash", str(self.tree / "kvm-patch/build.sh"), "--kernel-dir", self._kernel_dir,
                   "--source", self._kernel_source, "--out", str(out), "--objects", str(self._objects), *extra], log)

    def make_programs(self, target: str, log: Path) -> None:
        if not (self.build / "build.ninja").exists():
            self._run(["cmake", "-S", str(self.tree), "-B", str(self.build), "-G", "Ninja",
                       "-D", "CMAKE_C_COMPILER_LAUNCHER=ccache", "-D", "CMAKE_CXX_COMPILER_LAUNCHER=ccache"], log)
        self._run(["cmake", "--build", str(self.build), "--target", target], log)

    def make(self, mutant: Mutant, log: Path) -> None:
        """What this mutant's check needs, with the mutant in it."""
        if mutant.check.kind == "ctest":
            self.make_programs(mutant.check.what, log)
            return
        if mutant.changes_modules:
            scenario = tomllib.loads((self.tree / "lab/scenarios" / f"{mutant.check.what}.toml").read_text())
            kind = scenario.get("modules", "elisa")
            self.make_modules("", log)
            if kind not in ("elisa", "stock"):
                self.make_modules(kind, log)
        if mutant.changes_programs:
            self.make_programs("appliance", log)

    def _run(self, command: list[str], log: Path) -> None:
        with log.open("a") as out:
            out.write(f"+ {' '.join(command)}\n")
            out.flush()
            status = process.run(command, out, {**os.environ, "CCACHE_BASEDIR": str(self.tree)})
        if status != 0:
            end = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise MutantError(f"it does not build; the end of {log}:\n{end}")


def _mirror(source: Path, copy: Path) -> None:
    if source.is_file():
        if not copy.is_file() or not filecmp.cmp(source, copy, shallow=False):
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, copy)  # a new time stamp: what is built of it must be built again
        return
    copy.mkdir(parents=True, exist_ok=True)
    names = {entry.name for entry in source.iterdir() if entry.name != "__pycache__"}
    for entry in copy.iterdir():
        if entry.name not in names:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name in names:
        _mirror(source / name, copy / name)
