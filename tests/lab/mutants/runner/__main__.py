# SPDX-License-Identifier: Apache-2.0
"""`./elisa test --mutants`: see ../README.md."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from pathlib import Path

from . import checks
from .mutant import Check, Mutant, MutantError, load_all
from .workshop import Workshop

_ROOT = Path(__file__).resolve().parents[4]
_START = time.monotonic()


def _say(text: str) -> None:
    elapsed = int(time.monotonic() - _START)
    print(f"[{elapsed // 60:3}:{elapsed % 60:02}] {text}", file=sys.stderr, flush=True)


def _applies(mutants: list[Mutant]) -> int:
    """Every patch still fits the tree: cheap, so that it can be part of the ordinary tests."""
    bad = 0
    for mutant in mutants:
        with tempfile.TemporaryDirectory() as scratch:
            for name in mutant.files:
                copy = Path(scratch, name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                if (_ROOT / name).exists():
                    copy.write_bytes((_ROOT / name).read_bytes())
            try:
                mutant.apply(Path(scratch))
            except MutantError as error:
                print(f"{mutant.name}: {error}")
                bad += 1
    return bad


class Run:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.build: Path = arguments.build.resolve()
        self.kernel: str = arguments.host_kernel
        self.shop = Workshop(_ROOT, self.build / "mutants", self.kernel, arguments.kernel_dir, arguments.source)
        self.survived: list[str] = []
        self.errors: dict[str, str] = {}
        self.killed: dict[str, str] = {}

    def control(self, mutants: list[Mutant]) -> None:
        """Every check must pass without a mutant: else it would kill anything."""
        self.shop.restore()
        wanted = sorted({mutant.check for mutant in mutants})
        scenarios = [check.what for check in wanted if check.kind == "lab"]
        failed: dict[Check, str] = {}
        if scenarios:
            _say(f"control: {', '.join(scenarios)}")
            modules = self.build / "modules" / self.kernel
            verdicts = checks.play(scenarios, self.build, self.kernel, modules, self.shop.logs / "control")
            failed = {Check("lab", name): error for name, error in verdicts.items() if error is not None}
        for check in wanted:
            if check.kind == "ctest":
                _say(f"control: {check}")
                log = self.shop.logs / "control.log"
                self.shop.make_programs(check.what, log)
                error = checks.ctest(self.shop.build, check, self.shop.logs / "control-ctest.log")
                if error is not None:
                    failed[check] = error
        for mutant in mutants:
            if mutant.check in failed:
                self.errors[mutant.name] = f"'{mutant.check}' fails without the mutant, too: {failed[mutant.check][:400]}"

    def mutate(self, mutant: Mutant) -> None:
        log = self.shop.logs / f"{mutant.name}.log"
        log.unlink(missing_ok=True)
        self.shop.restore()
        mutant.apply(self.shop.tree)
        self.shop.make(mutant, log)
        if mutant.check.kind == "ctest":
            complaint = checks.ctest(self.shop.build, mutant.check, log)
        else:
            programs = self.shop.build if mutant.changes_programs else self.build
            modules = self.shop.modules if mutant.changes_modules else self.build / "modules" / self.kernel
            logs = self.shop.logs / mutant.name
            complaint = checks.play([mutant.check.what], programs, self.kernel, modules, logs)[mutant.check.what]
        if complaint is None:
            self.survived.append(mutant.name)
            _say(f"{mutant.name}: SURVIVED '{mutant.check}'")
        elif mutant.sign and not re.search(mutant.sign, complaint):
            raise MutantError(f"'{mutant.check}' failed, but its complaint does not match /{mutant.sign}/:\n"
                              f"{complaint[:1500]}")
        else:
            self.killed[mutant.name] = str(mutant.check)
            _say(f"{mutant.name}: killed by '{mutant.check}': {_gist(complaint)}")

    def all(self, mutants: list[Mutant]) -> None:
        try:
            self.control(mutants)
        except MutantError as error:
            _say(f"control: {error}")
            self.errors.update({mutant.name: "there is no control" for mutant in mutants})
        try:
            # Those that need the same things built one after the other.
            for mutant in sorted(mutants, key=lambda m: (m.check.kind, m.changes_programs, m.check.what, m.files)):
                if mutant.name in self.errors:
                    continue
                _say(f"{mutant.name}: without {mutant.removes}")
                try:
                    self.mutate(mutant)
                except MutantError as error:
                    self.errors[mutant.name] = str(error)
                    _say(f"{mutant.name}: ERROR: {error}")
        finally:
            self.shop.restore()


def _gist(complaint: str) -> str:
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    failed = [line for line in lines if re.search(r"\*\*\*Failed|Failure|ERROR:|FAILED", line)]
    return (failed or lines or [""])[0][:160]


def main() -> int:
    parser = argparse.ArgumentParser(prog="elisa test --mutants", description=__doc__)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--host-kernel", default="tiny", help="what the emulated host runs; as for elisa lab run")
    parser.add_argument("--kernel-dir", default="", help="as for kvm-patch/build.sh")
    parser.add_argument("--source", default="")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--applies", action="store_true", help="only see whether every patch applies")
    parser.add_argument("name", nargs="*")
    arguments = parser.parse_args()
    try:
        mutants = load_all(arguments.name)
    except MutantError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 1
    if arguments.applies:
        return 1 if _applies(mutants) else 0

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = Run(arguments)
    elsewhere = [mutant for mutant in mutants if mutant.only_on not in ("", run.kernel)]
    mutants = [mutant for mutant in mutants if mutant not in elsewhere]
    if not mutants:
        print(f"mutants: nothing to play on {run.kernel}; --host-kernel {elsewhere[0].only_on}", file=sys.stderr)
        return 1
    run.all(mutants)
    print(f"\n{'mutant':32} {'verdict':9} removes")
    for mutant in mutants:
        verdict = "survived" if mutant.name in run.survived else "ERROR" if mutant.name in run.errors else "killed"
        print(f"{mutant.name:32} {verdict:9} {mutant.removes}")
    for name, error in run.errors.items():
        print(f"\n{name}: {error}")
    for mutant in elsewhere:
        print(f"\n{mutant.name}: not played, only on {mutant.only_on}")
    print(f"\n{len(mutants)} mutants: {len(run.killed)} killed, {len(run.survived)} survived, {len(run.errors)} errors")
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(
            {"mutants": len(mutants), "survived": run.survived, "killed": run.killed, "errors": run.errors,
             "elsewhere": {mutant.name: mutant.only_on for mutant in elsewhere}}, indent=1) + "\n")
    return 1 if run.survived or run.errors else 0


if __name__ == "__main__":
    sys.exit(main())
