# SPDX-License-Identifier: Apache-2.0
"""Command line of the lab: see `./elisa lab --help`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable

from . import campaigns, emulated, figures, host_kernels, kernels, kvs_figures, local, modules, paper, provenance, scenario, vm_figures
from .log import LabError, say
from .report import Report

_ROOT = kernels.LAB.parent
# Emulated seconds take up to four real ones on a busy two-core machine, and twice that with more emulated CPUs.
_REAL_PER_HOST_SECOND = 6


def _bound(scenarios: list[dict[str, Any]]) -> float:
    """Real seconds that a boot with these scenarios may take."""
    return 120 + _REAL_PER_HOST_SECOND * sum(s["timeout"] * (2 if s["host_cpus"] > 1 else 1) for s in scenarios)


def _built_modules(build: Path, host_kernel: str) -> Path | None:
    """Patched modules for this host kernel, if they have been built."""
    folder = build / "modules" / host_kernel
    return folder if (folder / "elisa.ko").exists() else None


def _play(scenarios: list[dict[str, Any]], arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Play scenarios on the machine that was asked for; their results by name."""
    build: Path = arguments.build
    patched = arguments.modules or _built_modules(build, arguments.host_kernel)
    wanting = [s["name"] for s in scenarios if s["modules"] != "stock"]
    if wanting and patched is None and arguments.machine == "lab":
        raise LabError(
            f"no patched kernel modules in {build / 'modules' / arguments.host_kernel} "
            f"(needed by {', '.join(wanting)}): run ./elisa build modules --host-kernel {arguments.host_kernel}"
        )
    report = Report(arguments.logs or build / "logs/lab", arguments.verbose)
    try:
        if arguments.machine == "local":
            local.run({"scenarios": scenarios}, build, report, _bound(scenarios))
        else:
            emulated.run_all(scenarios, build, arguments.host_kernel, patched, report, _bound)
    finally:
        report.close()
    return report.results


def _write_json(path: Path | None, value: object) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(value, indent=1) + "\n")


def run(arguments: argparse.Namespace) -> int:
    names = list(arguments.scenario)
    if arguments.suite:
        names += scenario.names(arguments.suite)
    if arguments.part:
        names = scenario.part(names, *arguments.part)
    if not names:
        raise LabError("no scenario: name one, or a --suite")
    scenarios = [scenario.load(name) for name in names]
    results = _play(scenarios, arguments)
    _write_json(arguments.json, results)
    failed = [s["name"] for s in scenarios if not results.get(s["name"], {}).get("ok")]
    say(f"{len(scenarios) - len(failed)} of {len(scenarios)} scenarios passed"
        + (f"; failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed and not arguments.verdicts_later else 0


def _play_one(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    result = _play([scenario.load(name)], arguments)[name]
    if not result["ok"]:
        raise LabError(f"{name} failed (see above); logs: {arguments.logs or arguments.build / 'logs/lab'}/{name}")
    return result


def demo(arguments: argparse.Namespace) -> int:
    shown = "this machine" if arguments.machine == "local" else "an emulated Intel host (Bochs)"
    found = figures.demo(_play_one("demo", arguments), "elisa", shown)
    _write_json(arguments.json, found)
    print(figures.demo_table(found))
    problems = figures.demo_problems(found)
    for problem in problems:
        say(f"demo: {problem}")
    return 1 if problems else 0


def bench(arguments: argparse.Namespace) -> int:
    return {"roundtrip": _bench_roundtrip, "vm": _bench_vm, "kvs": _bench_kvs, "paper": _bench_paper}[arguments.name](arguments)


def _hardware(arguments: argparse.Namespace) -> bool:
    """The emulator's TSC counts instructions; a CPU's, time."""
    return bool(arguments.machine == "local")


def _where(played: dict[str, dict[str, Any]], arguments: argparse.Namespace) -> dict[str, str]:
    return provenance.of(played, arguments.machine, _ROOT)


def _bench_vm(arguments: argparse.Namespace) -> int:
    scenarios = [(system, scenario.load(name)) for system, names in vm_figures.SCENARIOS.items() for name in names]
    played, rows, lost = _of_each_system(scenarios, vm_figures.results, arguments)
    cpus = max(one["host_cpus"] for _, one in scenarios)
    names = [one["name"] for _, one in scenarios]
    _write_json(arguments.json, {"provenance": _where(played, arguments), "cpus": provenance.cpus(played, names), "results": rows})
    print(vm_figures.table(rows, cpus))
    return _told(lost)


def _bench_kvs(arguments: argparse.Namespace) -> int:
    scenarios = [(system, scenario.load(name)) for system, name in kvs_figures.SCENARIOS.items()]
    played, rows, lost = _of_each_system(scenarios, kvs_figures.results, arguments)
    names = [one["name"] for _, one in scenarios]
    _write_json(arguments.json, {"provenance": _where(played, arguments), "cpus": provenance.cpus(played, names), "results": rows})
    print(kvs_figures.table(rows))
    return _told(lost)


def _bench_paper(arguments: argparse.Namespace) -> int:
    hardware = _hardware(arguments)
    played = _play(paper.scenarios(hardware), arguments)
    found, missing = paper.collect(played, _where(played, arguments), hardware)
    path = paper.write(found, arguments.build / "paper")
    _write_json(arguments.json, found)
    print(path.read_text())
    say(f"tables and plots: {path.parent}")
    return _told([f"missing in the tables: {why}" for why in missing])


_Results = Callable[[str, dict[str, Any], dict[str, Any], bool], list[dict[str, Any]]]


def _of_each_system(
    scenarios: list[tuple[str, dict[str, Any]]], results: _Results, arguments: argparse.Namespace
) -> tuple[dict[str, dict[str, Any]], list[dict[str, Any]], list[str]]:
    """How they were played, what each gives, and why some give nothing: of some is better than of none, after so long a run."""
    played = _play([one for _, one in scenarios], arguments)
    rows: list[dict[str, Any]] = []
    lost = []
    for system, one in scenarios:
        try:
            if not played[one["name"]]["ok"]:
                raise LabError(f"{one['name']} failed (see above); logs: {arguments.logs or arguments.build / 'logs/lab'}/{one['name']}")
            rows += results(system, one, played[one["name"]], _hardware(arguments))
        except LabError as error:
            lost.append(f"no figures of {system}: {error}")
    return played, rows, lost


def _told(lost: list[str]) -> int:
    for why in lost:
        say(f"error: {why}")
    return 1 if lost else 0


def _bench_roundtrip(arguments: argparse.Namespace) -> int:
    names = ["roundtrip"] if _hardware(arguments) else ["roundtrip", "crossing"]
    played = _play([scenario.load(name) for name in names], arguments)
    for name in names:
        if not played[name]["ok"]:
            raise LabError(f"{name} failed (see above); logs: {arguments.logs or arguments.build / 'logs/lab'}/{name}")
    found = figures.roundtrip(played["roundtrip"], _hardware(arguments))
    if not _hardware(arguments):
        found["crossing"]["vmfuncs"] = figures.vmfuncs(played["crossing"])
    _write_json(arguments.json, {"provenance": _where(played, arguments), **found})
    print(figures.roundtrip_table(found))
    return 0


def campaign(arguments: argparse.Namespace) -> int:
    scenarios = [scenario.load(name) for name in scenario.of_campaign(arguments.name)]
    results = _play(scenarios, arguments)
    collect, table = campaigns.KINDS[arguments.name]
    found = collect(scenarios, results)
    _write_json(arguments.json, found)
    print(table(found, scenarios))
    return 1 if campaigns.failed(found) else 0


def verdict(arguments: argparse.Namespace) -> int:
    """How one scenario of an earlier run went: a test of its own for ctest, without a boot of its own."""
    try:
        results = {name: each for path in arguments.json for name, each in json.loads(path.read_text()).items()}
        result = results[arguments.scenario]
    except (OSError, ValueError, KeyError) as error:
        raise LabError(f"no result of {arguments.scenario}: {error}") from None
    print("passed" if result["ok"] else result["error"])
    return 0 if result["ok"] else 1


def shell(arguments: argparse.Namespace) -> int:
    patched = _built_modules(arguments.build, arguments.host_kernel)
    with emulated.Lab(arguments.build, arguments.host_kernel, patched) as lab:
        machine = lab.prepare({"events": "-", "scenarios": []}, shell=True)
        say("emulated host boots; Ctrl-] ends it")
        from .bochs import Emulator

        with Emulator(machine) as emulator:
            emulator.interact()
    return 0


def listing(_arguments: argparse.Namespace) -> int:
    for name in scenario.names():
        print(f"{name:24} {scenario.load(name)['description']}")
    return 0


def build_modules(arguments: argparse.Namespace) -> int:
    """Patched kvm-intel.ko and elisa.ko for the host kernel; that kernel too, if it is not in the cache."""
    modules.build(arguments.host_kernel, arguments.variant, arguments.build / "modules")
    return 0


def dkms(arguments: argparse.Namespace) -> int:
    """The DKMS package, tested against a Debian kernel's headers; nothing to do if it is known to work."""
    modules.dkms(arguments.host_kernel)
    return 0


def paths(arguments: argparse.Namespace) -> int:
    """What modules for the host kernel are built from."""
    inputs = host_kernels.module_build(arguments.host_kernel)
    print(f"kernel_dir={inputs.build_tree}\nsource={inputs.source_tree}")
    return 0


def _part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"'{text}': want N/PARTS, such as 1/2")
    return int(number), int(parts)


def _interrupted(*_: object) -> None:
    """The first Ctrl-C (or kill) cleans up; a second one must not interrupt that."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(prog="elisa lab", description="Scenarios with real VMs on an emulated Intel host.")
    parser.add_argument("--build", type=Path, default=_ROOT / "build", help="build folder (default: build)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    runs = verbs.add_parser("run", help="run scenarios, in one boot of the host")
    runs.add_argument("scenario", nargs="*")
    runs.add_argument("--suite", choices=("test", "debug", "demo", "bench", "hand"), help="all scenarios of this suite")
    runs.add_argument("--part", type=_part, metavar="N/PARTS", help="of what is named: part N of so many equal ones")
    runs.add_argument("--verdicts-later", action="store_true",
                      help="exit 0 if every scenario was played, however it went; `verdict` tells")
    demos = verbs.add_parser("demo", help="frames between two guests through the switch")
    benches = verbs.add_parser("bench", help="run a bench")
    benches.add_argument("name", choices=("roundtrip", "vm", "kvs", "paper"))
    campaigns_ = verbs.add_parser("campaign", help="all scenarios about one thing, and a table")
    campaigns_.add_argument("name", choices=tuple(campaigns.KINDS))
    for verb in (runs, demos, benches, campaigns_):
        verb.add_argument("--json", type=Path, help="write the results here")
        verb.add_argument("--modules", type=Path, help="folder of the patched modules (default: as built by ./elisa build)")
        verb.add_argument("--logs", type=Path, help="folder for logs (default: build/logs/lab)")
        verb.add_argument("--verbose", "-v", action="store_true", help="show what VMs, host and kernel say, live")
        verb.add_argument("--machine", choices=("lab", "local"), default="lab", help="emulated host, or this machine")
    shells = verbs.add_parser("shell", help="a shell on the emulated host")
    builds = verbs.add_parser("modules", help="build patched kvm-intel.ko and elisa.ko for the host kernel")
    builds.add_argument("--variant", default="", help="with what is in tests/lab/VARIANT/module, too")
    pathss = verbs.add_parser("paths", help="build tree and source of the host kernel, building them if need be")
    dkmss = verbs.add_parser("dkms", help="test the DKMS package against the host kernel's headers")
    for verb in (runs, demos, benches, campaigns_, shells, builds, pathss, dkmss):
        verb.add_argument("--host-kernel", choices=host_kernels.NAMES, default="tiny")
    verdicts = verbs.add_parser("verdict", help="how a scenario of an earlier run went")
    verdicts.add_argument("scenario")
    verdicts.add_argument("--json", type=Path, nargs="+", required=True, help="what the runs have written")
    verbs.add_parser("list", help="list the scenarios")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupted)
    try:
        verb = {"run": run, "demo": demo, "bench": bench, "campaign": campaign, "shell": shell, "modules": build_modules,
                "dkms": dkms, "paths": paths, "list": listing,
                "verdict": verdict}[arguments.verb]
        return verb(arguments)
    except LabError as error:
        say(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    except BrokenPipeError:
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
