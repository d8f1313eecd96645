#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Debian packages: lintian, then their life in a Debian 12 that knows nothing of us, and nothing left when they have gone.

The cached root is the lower layer of an overlay, whose upper one is what a test changed. All mounts are in a mount namespace
of this process, so that they end with it however it ends; there is no network.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import root

SOURCE = Path(__file__).resolve().parents[2]
# What Debian's programs note about having been at work: dpkg, apt, depmod (inside.py looks into its lists), DKMS (a signing
# key), DPDK's applications, systemd-analyze.
_NOTES = re.compile(r"(var/lib/(dpkg|apt)|var/cache|var/log|tmp|dev|run/(dpdk|systemd))(/|$)|etc/ld\.so\.cache$|"
                    r"var/lib/dkms/mok\.(key|pub)$|usr/lib/modules/[^/]+/modules\.[a-z.]+$")


class Problem(Exception):
    """What is wrong with the packages."""


def lintian(packages: list[Path]) -> None:
    """No errors; warnings are shown."""
    done = subprocess.run(["lintian", "--allow-root", "--fail-on", "error", *map(str, packages)],
                          capture_output=True, text=True, check=False)
    print(done.stdout + done.stderr, end="")
    if done.returncode != 0:
        raise Problem("lintian has found errors")


def _same(one: Path, other: Path) -> bool:
    if not os.path.lexists(other):
        return False
    a, b = one.lstat(), other.lstat()
    if (a.st_mode, a.st_uid, a.st_gid) != (b.st_mode, b.st_uid, b.st_gid):
        return False
    if stat.S_ISLNK(a.st_mode):
        return os.readlink(one) == os.readlink(other)
    return not stat.S_ISREG(a.st_mode) or filecmp.cmp(one, other, shallow=False)


def left(upper: Path, lower: Path) -> list[str]:
    """What is otherwise than it was before."""
    found = []
    for folder, folders, files in os.walk(upper):
        for name in [*folders, *files]:
            path = Path(folder, name)
            relative = path.relative_to(upper)
            if not _NOTES.match(str(relative)) and not _same(path, lower / relative):
                found.append(f"/{relative}")
    return sorted(found)


def live(lower: Path, packages: list[Path], work: Path) -> None:
    """Everything in a root, in namespaces of our own (see main)."""
    upper, place = work / "upper", work / "root"
    for folder in (upper, work / "overlay", place):
        folder.mkdir()
    options = f"lowerdir={lower},upperdir={upper},workdir={work / 'overlay'}"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(place)], check=True)
    for mount in (["-t", "proc", "proc", "proc"], ["-t", "sysfs", "-o", "ro", "sysfs", "sys"], ["-t", "tmpfs", "tmpfs", "mnt"],
                  ["-t", "tmpfs", "tmpfs", "dev/shm"]):
        subprocess.run(["mount", *mount[:-1], str(place / mount[-1])], check=True)
    for name, folder in (("source", SOURCE), ("packages", packages[0].parent)):
        (place / "mnt" / name).mkdir()
        subprocess.run(["mount", "--bind", "-o", "ro", str(folder), str(place / "mnt" / name)], check=True)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"}
    inside = ["chroot", str(place), "python3", "-B", "/mnt/source/tests/packages/inside.py"]
    if subprocess.run([*inside, *(f"/mnt/packages/{path.name}" for path in packages)], env=environment, check=False).returncode != 0:
        raise Problem("in the root something went wrong, see above")
    if remains := left(upper, lower):
        raise Problem("after the packages were purged this was not as before:\n    " + "\n    ".join(remains))
    print("purged: nothing is left")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--packages", type=Path, required=True, help="folder of the packages")
    parser.add_argument("--root", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    packages = sorted(arguments.packages.resolve().glob("*.deb"))
    try:
        if arguments.root is not None:
            live(arguments.root, packages, arguments.work)
            return 0
        if len(packages) != 4:
            raise Problem(f"{arguments.packages} has {len(packages)} packages, not 4: ./elisa package")
        if os.geteuid() != 0:
            raise Problem("run it as root: packages are installed in a root of their own")
        lintian(packages)
        lower = root.fetch()
        work = Path(tempfile.mkdtemp(prefix="elisa-packages-"))
        try:
            again = [sys.executable, "-B", __file__, "--packages", str(arguments.packages), "--root", str(lower), "--work", str(work)]
            return subprocess.run([*root.ALONE, "--net", *again], check=False).returncode
        finally:
            shutil.rmtree(work, ignore_errors=True)
    except (Problem, root.log.LabError) as problem:
        print(f"packages: {problem}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
