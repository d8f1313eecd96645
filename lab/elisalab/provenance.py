# SPDX-License-Identifier: Apache-2.0
"""What was measured where: machine, CPU, kernels, and the tree that it was measured with."""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import Any

from . import kernels
from .log import LabError

EMULATED = "an emulated Intel host (Bochs {}), where instructions and VM exits are exact and time means nothing"
LOCAL = "this machine, not emulated"


def of(results: dict[str, dict[str, Any]], machine: str, root: Path) -> dict[str, str]:
    """Of scenarios that were played on `machine`, "lab" or "local"."""
    hosts = [result["machine"] for result in results.values() if result.get("machine")]
    return {
        "machine": LOCAL if machine == "local" else EMULATED.format(_version_of("bochs")),
        "cpu": _each(host["cpu"] for host in hosts),
        "host_kernel": _each(host["kernel"] for host in hosts),
        "guest_kernel": _release_of(kernels.guest_kernel()),
        "commit": _commit(root),
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def cpus(results: dict[str, dict[str, Any]], names: list[str]) -> str:
    """CPUs of the hosts of these scenarios: "2", or "1, 2"."""
    return _each(str(results[name]["machine"]["cpus"]) for name in names if results.get(name, {}).get("machine"))


def words(found: dict[str, str], cpus_: str) -> str:
    """A sentence for a table."""
    shown = f"{cpus_} CPU{'' if cpus_ == '1' else 's'} ({found['cpu']})"
    return (f"Measured on {found['machine']}: {shown}, Linux {found['host_kernel']}, guests' Linux {found['guest_kernel']}; "
            f"commit {found['commit']}, {found['date']}.")


def caption(found: dict[str, str], cpus_: str) -> str:
    """The same in a line under a plot's title."""
    machine = found["machine"].split(",")[0]
    return f"{machine}, {cpus_} CPU{'' if cpus_ == '1' else 's'}, Linux {found['host_kernel']}; {found['commit']}, {found['date'][:10]}"


def _each(values: Any) -> str:
    return ", ".join(dict.fromkeys(values)) or "unknown"


def _version_of(package: str) -> str:
    try:
        return kernels.package_version(package)
    except LabError:
        return "of unknown version"


def _release_of(vmlinux: Path) -> str:
    found = re.search(rb"Linux version (\S+)", vmlinux.read_bytes())
    return found[1].decode() if found else "unknown"


def _commit(root: Path) -> str:
    """Of the tree, and whether it had changes since."""
    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False)

    try:
        head = git("rev-parse", "--short=12", "HEAD")
        if head.returncode != 0:
            return "unknown (not a git tree)"
        changed = git("status", "--porcelain", "--untracked-files=no").stdout.strip()
    except OSError:
        return "unknown (no git)"
    return head.stdout.strip() + (" with changes" if changed else "")
