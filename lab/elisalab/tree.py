# SPDX-License-Identifier: Apache-2.0
"""Small root file systems made of files of this Debian system: programs with the libraries they need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from .log import LabError

_LDD_LINE = re.compile(r"(?:=>\s*)?(/\S+)\s+\(0x[0-9a-f]+\)")


def libraries(binary: Path, search: Path | None = None) -> list[Path]:
    """The shared libraries (loader included) that a dynamic program or library needs, as found by ldd."""
    env = dict(os.environ)
    if search is not None:
        env["LD_LIBRARY_PATH"] = str(search)
    done = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, env=env, check=False)
    if "not found" in done.stdout:
        missing = ", ".join(line.split()[0] for line in done.stdout.splitlines() if "not found" in line)
        raise LabError(f"{binary} needs libraries that are not on this machine: {missing}")
    return [Path(match.group(1)) for match in _LDD_LINE.finditer(done.stdout)]


class Tree:
    """A root file system being put together in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("bin", "sbin", "usr/bin", "dev", "proc", "sys", "tmp", "run", "etc", "root"):
            (root / folder).mkdir(parents=True, exist_ok=True)
        # As on Debian: /lib and /lib64 are /usr/lib and /usr/lib64, so that a path works either way.
        for folder in ("lib", "lib64"):
            (root / "usr" / folder).mkdir(exist_ok=True)
            if not (root / folder).is_symlink():
                (root / folder).symlink_to(f"usr/{folder}")

    def add(self, source: Path, target: str | None = None, mode: int | None = None) -> Path:
        """Copy one file (what a link points to) to the same path, or to `target`."""
        place = self.root / (target or str(source)).lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        place.chmod(mode if mode is not None else source.stat().st_mode & 0o777)
        return place

    def add_tree(self, source: Path, target: str | None = None, skip: tuple[str, ...] = ()) -> None:
        """Copy a folder, links as links."""
        place = self.root / (target or str(source)).lstrip("/")
        shutil.copytree(source, place, symlinks=True, dirs_exist_ok=True, ignore=shutil.ignore_patterns(*skip))

    def add_program(self, source: Path, target: str | None = None) -> None:
        """Copy a program or plugin with all its libraries."""
        self.add(source, target)
        self.add_libraries_of(source)

    def add_libraries_of(self, source: Path, search: Path | None = None) -> None:
        for library in libraries(source, search):
            self.add_library(library)

    def add_library(self, library: Path) -> None:
        """Copy a library, and keep the link if that is what its name is: EAL must see that a driver that is linked
        and the same driver in the plugin folder are one file."""
        real = library.resolve()
        if not (self.root / str(real).lstrip("/")).exists():
            self.add(real)
        name = self.root / str(library).lstrip("/")
        if not name.is_symlink() and not name.exists():
            name.parent.mkdir(parents=True, exist_ok=True)
            name.symlink_to(real)

    def add_busybox(self) -> None:
        """The static busybox under every name it answers to."""
        self.add(Path("/bin/busybox"))
        names = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split()
        for name in names:
            link = self.root / "bin" / name
            if name != "busybox" and not link.exists():
                link.symlink_to("busybox")

    def write(self, target: str, text: str, mode: int = 0o644) -> None:
        place = self.root / target.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)


def make_ext4(root: Path, image: Path, spare_mib: int, log: Path) -> None:
    """An ext4 image of a folder, without mounting anything. Sized to whole Bochs cylinders (16 heads x 63 sectors)."""
    from .log import run

    used = sum(p.lstat().st_size + 4096 for p in root.rglob("*"))
    cylinder = 16 * 63 * 512
    size = (int(used * 1.05) + (spare_mib << 20) + cylinder - 1) // cylinder * cylinder
    image.unlink(missing_ok=True)
    with image.open("wb") as handle:
        handle.truncate(size)
    # No journal and no checksums: fewer emulated instructions, and the image is thrown away after a run.
    options = ["-q", "-F", "-t", "ext4", "-b", "4096", "-O", "^has_journal,^metadata_csum", "-E", "root_owner=0:0"]
    run(["mke2fs", *options, "-d", str(root), str(image)], log, what="mke2fs")


def make_cpio(root: Path, archive: Path) -> None:
    """A newc archive of a folder, for use as (part of) an initramfs."""
    with archive.open("wb") as out:
        names = subprocess.run(["find", ".", "-mindepth", "1", "-print0"], cwd=root, capture_output=True, check=True)
        done = subprocess.run(
            ["cpio", "--null", "--create", "--format=newc", "--owner=0:0", "--quiet"],
            cwd=root, input=names.stdout, stdout=out, stderr=subprocess.PIPE, check=False,
        )
    if done.returncode != 0:
        raise LabError(f"cpio failed: {done.stderr.decode(errors='replace')}")
