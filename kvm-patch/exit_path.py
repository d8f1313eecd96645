#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the hooks cost every VM of the host: the static-key branches on a VM exit's way.

    exit_path.py KVM_INTEL.KO

Fails if the functions that each entry and exit goes through look at elisa.ko's static key more than once.
Each look is an entry in the module's jump table: the relocations of the branch, of its target, and of the key.
"""
import re
import subprocess
import sys

EACH_EXIT = {"vmx_vcpu_run", "vmx_handle_exit", "__vmx_handle_exit", "vmx_handle_exit_irqoff"}
KEY = "elisa_key"

_RELOCATION = re.compile(r"^[0-9a-f]{16}\s+[0-9a-f]{16}\s+\S+\s+[0-9a-f]{16}\s+(\S+)\s\+\s([0-9a-f]+)")
_FUNCTION = re.compile(r"^([0-9a-f]+) ([0-9a-f]+) [tTwW] (\S+)$")


def _said_by(*command: str) -> list[str]:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()


def branches(relocations: list[str]) -> list[int]:
    """Where in .text the key is looked at, of `readelf -rW`."""
    found, place, inside = [], [], False
    for line in relocations:
        if line.startswith("Relocation section"):
            inside = ".rela__jump_table" in line
        match = inside and _RELOCATION.match(line)
        if not match:
            continue
        place.append((match[1], int(match[2], 16)))
        if len(place) == 3:
            (section, code), _, (key, _) = place
            if key == KEY and section == ".text":
                found.append(code)
            place = []
    return found


def function_at(functions: list[str], address: int) -> str:
    """Of `nm -S`."""
    for line in functions:
        match = _FUNCTION.match(line)
        if match and 0 <= address - int(match[1], 16) < int(match[2], 16):
            return match[3]
    return "?"


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    functions = _said_by("nm", "-S", sys.argv[1])
    names = [function_at(functions, code) for code in branches(_said_by("readelf", "-rW", sys.argv[1]))]
    each_exit = [name for name in names if name in EACH_EXIT]
    for name in sorted(set(names)):
        print(f"{names.count(name)} in {name}{'  (each exit)' if name in EACH_EXIT else ''}")
    if "vmx_vcpu_run" not in each_exit:
        print(f"none in vmx_vcpu_run: this is no {sys.argv[1]} with hooks that were read aright", file=sys.stderr)
        return 1
    if len(each_exit) > 1:
        print(f"{len(each_exit)} static-key branches on the way of each VM exit, one is the limit", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
