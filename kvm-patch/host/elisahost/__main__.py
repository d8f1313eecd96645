# SPDX-License-Identifier: Apache-2.0
"""Command line: see `./elisa host --help`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from . import build, checks, install, modules
from .commands import HostError
from .machine import Machine

_SIGNS = {"ok": "ok  ", "note": "note", "problem": "NO  "}


def say(text: str) -> None:
    print(f"host: {text}", file=sys.stderr, flush=True)


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=1))


def check(machine: Machine, arguments: argparse.Namespace) -> int:
    findings = checks.check(machine)
    able = checks.can_run(findings)
    if arguments.json:
        _print_json({"can_run": able, "checks": [vars(finding) for finding in findings]})
    else:
        for finding in findings:
            print(f"[{_SIGNS[finding.status]}] {finding.name}: {finding.text}")
        print("This machine can be a host." if able else "This machine cannot be a host (see NO above).")
    return 0 if able else 1


def _need_root(machine: Machine) -> None:
    if os.geteuid() != 0 or machine.root != Path("/"):
        raise HostError("needs root")


def _put_modules(machine: Machine, arguments: argparse.Namespace) -> None:
    if arguments.prebuilt is not None:
        build.ready(machine, arguments.prebuilt)
    elif arguments.direct:
        build.directly(machine)
    else:
        build.with_dkms(machine)


def do_install(machine: Machine, arguments: argparse.Namespace) -> int:
    _need_root(machine)
    in_the_way = [finding for finding in checks.check(machine)
                  if finding.status == "problem" and finding.name not in arguments.despite]
    if in_the_way:
        raise HostError("this machine cannot be a host:\n" + "\n".join(f"  {each.name}: {each.text}" for each in in_the_way))
    install.install(machine, lambda: _put_modules(machine, arguments), say)
    say("installed. Next: elisactl host add --pid QEMU --role ... for each VM that takes part")
    return 0


def status(machine: Machine, arguments: argparse.Namespace) -> int:
    found = install.status(machine)
    if arguments.json:
        _print_json(found)
        return 0
    running = ", ".join(f"{name} (pid {pid})" for pid, name in machine.vms()) or "none"
    print(f"kernel             {found['kernel']}")
    print(f"patched modules    {'installed' if found['installed'] else 'not installed'} in "
          f"{modules.folder(machine)}/{modules.UPDATES}")
    print(f"kvm_intel          {found['kvm_intel']}")
    print(f"elisa              {'loaded' if found['elisa'] else 'not loaded'}")
    print(f"at boot            {'elisa is loaded' if found['at_boot'] else 'nothing'}")
    print(f"virtual machines   {running}")
    return 0


def uninstall(machine: Machine, _arguments: argparse.Namespace) -> int:
    _need_root(machine)
    install.uninstall(machine)
    say("uninstalled; the stock kvm_intel is loaded")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="elisa host", description="Make this machine a host for the appliance.")
    parser.add_argument("--root", type=Path, default=Path("/"), help="look at a copy of a machine's files (check, status)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    looks = verbs.add_parser("check", help="can this machine be a host, and if not, why not")
    installs = verbs.add_parser("install", help="replace kvm-intel by the patched one, load elisa")
    how = installs.add_mutually_exclusive_group()
    how.add_argument("--direct", action="store_true", help="without DKMS: for the running kernel only")
    how.add_argument("--prebuilt", type=Path, metavar="DIR", help="kvm-intel.ko and elisa.ko, built for this kernel")
    installs.add_argument("--despite", action="append", default=[], metavar="CHECK", help="install although this check fails")
    shows = verbs.add_parser("status", help="what is installed and loaded")
    verbs.add_parser("uninstall", help="the stock kvm-intel again, and nothing left behind")
    for verb in (looks, shows):
        verb.add_argument("--json", action="store_true", help="for programs")
    arguments = parser.parse_args()
    machine = Machine(arguments.root)
    if machine.root == Path("/") and not machine.exists("/dev/cpu/0/msr") and os.geteuid() == 0:
        subprocess.run(["modprobe", "msr"], capture_output=True, check=False)  # without it, /proc/cpuinfo must do
    verb = {"check": check, "install": do_install, "status": status, "uninstall": uninstall}[arguments.verb]
    try:
        return verb(machine, arguments)
    except HostError as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
