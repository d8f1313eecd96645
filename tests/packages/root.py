# SPDX-License-Identifier: Apache-2.0
"""A Debian 12 of its own for the packages to be installed in: what they depend on and nothing of ours, kept in the cache."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "lab"))
from elisalab import cache, log  # noqa: E402

# What the packages depend on, and what the tests in there use: cmake and g++ build a program, systemd says whether the
# unit is right. DKMS builds for the kernel whose headers are there.
_PACKAGES = ("bash-completion", "cmake", "dkms", "dpdk-dev", "g++", "linux-headers-cloud-amd64", "linux-source-6.1", "make",
             "pkgconf", "systemd", "xz-utils")
# Mounts of what runs in there are nobody else's, and end with it.
ALONE = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def _archives() -> list[tuple[str, str]]:
    """Where this machine's apt has Debian 12 from: address and suite."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(ORIGIN) $(REPO_URI) $(CODENAME) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True, check=True).stdout
    found = [line.split() for line in listed.splitlines()]
    archives = [(words[1], words[2]) for words in found
                if len(words) == 4 and words[0] == "Debian" and words[2].startswith("bookworm") and words[3] == "main"]
    if not any(suite == "bookworm" for _, suite in archives):
        raise log.LabError("apt knows no archive of Debian 12 (bookworm): apt-get update, or see /etc/apt/sources.list*")
    return archives


def _build(folder: Path) -> None:
    archives = _archives()
    mirror = next(address for address, suite in archives if suite == "bookworm")
    root, said = folder / "root", folder / ".build.log"
    inside = [*ALONE, "env", "DEBIAN_FRONTEND=noninteractive", "chroot", str(root)]
    log.run([*ALONE, "debootstrap", "--foreign", "--variant=minbase", "bookworm", str(root), mirror], said, what="debootstrap")
    # Nothing in here must outlive a power cut: what dpkg waits for the disk for is most of the time that it takes.
    (root / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
    log.run([*inside, "/debootstrap/debootstrap", "--second-stage"], said, what="debootstrap's second stage")
    (root / "etc/apt/sources.list").write_text("".join(f"deb {address} {suite} main\n" for address, suite in archives))
    apt = [*inside, "apt-get", "-q", "-y"]
    log.run([*apt, "update"], said, what="apt-get update")
    log.run([*apt, "install", "--no-install-recommends", *_PACKAGES], said, what="apt-get install")
    log.run([*apt, "clean"], said)


def fetch() -> Path:
    """Its folder, not to be written to."""
    parts = [Path(__file__)]
    return cache.product("packages-root", parts, _build, "6 minutes") / "root"
