# SPDX-License-Identifier: Apache-2.0
"""The kernels that the emulated host can run, by the names that --host-kernel takes."""

from __future__ import annotations

from . import debian_kernel, kernels
from .kernels import LINES, HostKernel, ModuleBuild

# tiny: boots in a second. debug: KASAN, lockdep and the like. debian: what users run, its cloud flavour or generic.
_KINDS = ("tiny", "debug", "debian", "debian-generic")
# "tiny" is of the first line, "tiny-6.12" of that one.
_BY_NAME = {
    kind if line == LINES[0] else f"{kind}-{line}": (kind, line) for kind in _KINDS for line in LINES
}
NAMES = tuple(_BY_NAME)


def _flavour(kind: str) -> str:
    return "amd64" if kind == "debian-generic" else "cloud-amd64"


def module_build(name: str) -> ModuleBuild:
    """What modules for this kernel are built from; built or fetched if need be."""
    kind, line = _BY_NAME[name]
    if kind.startswith("debian"):
        return debian_kernel.module_build(line, _flavour(kind))
    return kernels.module_build(kind, line)


def host_kernel(name: str) -> HostKernel:
    kind, line = _BY_NAME[name]
    if kind.startswith("debian"):
        return debian_kernel.host_kernel(line, _flavour(kind))
    return kernels.host_kernel(kind, line)
