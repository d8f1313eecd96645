# SPDX-License-Identifier: Apache-2.0
"""Scenarios: TOML files in lab/scenarios, read and checked here so that a mistake shows before anything boots.

    description = "one line"
    timeout = 120            # bound of the whole scenario, seconds of the VMs' host
    modules = "elisa"        # or "stock" (KVM as shipped), "sweep" (elisa.ko with the every-instruction sweep in it)
    host_cpus = 1            # emulated CPUs of the host
    suite = "test"           # test: part of `./elisa test`; "debug": needs the debug kernel; "demo", "bench": run by
                             # those commands; "hand"
    campaign = ""            # "attack", "lifecycle", "sweep": part of `./elisa test --suite NAME`, whatever its suite
    runs = 1                 # how many times it does what it is about, for a campaign's table
    allow_kernel = ["re"]    # lines of the host's kernel log that look like trouble and may come
    expect_kernel = ["re"]   # lines that look like trouble and must come
    host_programs = ["kvs"]  # programs of build/guest/bin, or of this machine by path, that `run` steps use

    [[vm]]
    name = "a"
    count = 1                # more: so many like this, named a0, a1, ...; {n} in their strings is that number, and a
                             # step that names "a" is about them all
    role = "guest"           # guest, manager, or none (not registered with elisa.ko)
    label = "a"              # default: the name
    memory = 256             # MiB
    vcpus = 1
    machine = "microvm"      # microvm, pc, q35
    hugepages = 0            # 2 MiB pages
    reboots = false          # a reset starts it again, memory as it was left; else it ends QEMU
    program = "uname -a"     # run by the guest's sh; its exit status is the VM's. The guest has the programs that it
                             # names: any of build/guest, dpdk-testpmd, iperf3, memccapable (elisalab/guests.py)
    kernel = ""              # an ELF of build/host/guests to boot (PVH) instead of Linux; program is its command line
    qemu = []                # more QEMU arguments
    cpu = "host,-pcid"       # QEMU's -cpu
    append = ""              # more of the guest kernel's command line

    [[step]]                 # without steps: start every VM, then wait for each to end with status 0
    start = "a"              # or a list
    wait = "a", pattern = "re", timeout = 30, count = 1    # so many lines like that, of those that no `wait` has read;
                             # fresh = true: of those that are said from now on
    wait_exit = "a", timeout = 60, status = 0      # or a list; status "any"; silence = 5: VMs that say nothing for
                             # so many seconds, or that QEMU has stopped, are reset
    keep_running = "a", pattern = "re", timeout = 60, silent = 10    # or a list: VMs that end are started again, and
                             # those that have been silent for so long killed first, until one says the pattern
    kill | pause | resume = "a"                    # SIGKILL QEMU; stop or continue its vCPUs
    run = "command on the host", timeout = 10, status = 0, expect = "re"    # pids of VMs are in $PID_<name>;
                             # name = "x": the log's name for it
    qmp = "command", vm = "a", arguments = {}, never = "re"     # a failure if the answer matches
    mark = "name"            # keep KVM's counters of every VM under this name
    sleep = 1
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from .kernels import LAB
from .log import LabError

SCENARIOS = LAB / "scenarios"

_TOP: dict[str, Any] = {
    "description": "", "timeout": 120, "modules": "elisa", "host_cpus": 1, "suite": "test", "campaign": "", "runs": 1,
    "allow_kernel": [], "expect_kernel": [], "host_programs": [], "vm": [], "step": [],
}
_VM: dict[str, Any] = {
    "name": "", "count": 1, "role": "none", "label": "", "memory": 256, "vcpus": 1, "machine": "microvm",
    "hugepages": 0, "program": "", "kernel": "", "qemu": [], "cpu": "host,-pcid", "append": "", "reboots": False,
}
_CHOICES = {
    "modules": ("elisa", "stock", "sweep"), "role": ("guest", "manager", "none"), "machine": ("microvm", "pc", "q35"),
    "suite": ("test", "debug", "demo", "bench", "hand"),
    "campaign": ("", "attack", "lifecycle", "sweep"),
}
# verb -> (type of its value, whether the value names VMs, other keys: required, optional)
_STEPS: dict[str, tuple[type | tuple[type, ...], bool, set[str], set[str]]] = {
    "start": ((str, list), True, set(), set()),
    "wait": (str, True, {"pattern"}, {"timeout", "count", "fresh"}),
    "wait_exit": ((str, list), True, set(), {"timeout", "status", "silence"}),
    "keep_running": ((str, list), True, {"pattern"}, {"timeout", "silent"}),
    "kill": ((str, list), True, set(), set()),
    "pause": (str, True, set(), set()),
    "resume": (str, True, set(), set()),
    "run": (str, False, set(), {"timeout", "status", "expect", "name"}),
    "qmp": (str, False, {"vm"}, {"arguments", "never"}),
    "mark": (str, False, set(), set()),
    "sleep": ((int, float), False, set(), set()),
}
_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "pattern": str, "timeout": (int, float), "count": int, "fresh": bool, "status": (int, str), "silence": (int, float),
    "silent": (int, float), "expect": str, "name": str, "vm": str, "arguments": dict, "never": str,
}
_DEFAULT_TIMEOUT = 60


def names(suite: str | None = None) -> list[str]:
    """The scenarios that there are, or those of one suite."""
    every = sorted(path.stem for path in SCENARIOS.glob("*.toml"))
    return every if suite is None else [name for name in every if load(name)["suite"] == suite]


def part(of: list[str], number: int, parts: int) -> list[str]:
    """One of `parts` parts that take about as long as each other, by the scenarios' timeouts. The first is 1."""
    shares: list[list[str]] = [[] for _ in range(parts)]
    sums = [0] * parts
    for name in sorted(of, key=lambda each: (-load(each)["timeout"], each)):
        least = sums.index(min(sums))
        shares[least].append(name)
        sums[least] += load(name)["timeout"]
    return sorted(shares[number - 1])


def of_campaign(campaign: str) -> list[str]:
    return [name for name in names() if load(name)["campaign"] == campaign]


def load(name: str) -> dict[str, Any]:
    """A scenario by name (lab/scenarios/NAME.toml) or by the path of a .toml file."""
    path = Path(name) if name.endswith(".toml") else SCENARIOS / f"{name}.toml"
    try:
        text = path.read_text()
    except OSError:
        raise LabError(f"no scenario {name}; there are: {', '.join(names())}") from None
    return parse(text, path.stem)


def parse(text: str, name: str) -> dict[str, Any]:
    """A checked scenario with every default filled in."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise LabError(f"scenario {name}: {error}") from None
    scenario = _filled(raw, _TOP, f"scenario {name}")
    scenario["name"] = name
    groups = [_vms(raw_vm, f"scenario {name}, vm {number}") for number, raw_vm in enumerate(scenario["vm"], 1)]
    several = {group: [vm["name"] for vm in vms] for group, vms in groups if len(vms) > 1}
    scenario["vm"] = [vm for _, vms in groups for vm in vms]
    known = [vm["name"] for vm in scenario["vm"]]
    if len(set(known)) != len(known):
        raise LabError(f"scenario {name}: two VMs have the same name")
    if not scenario["step"]:
        scenario["step"] = [{"start": known}, {"wait_exit": known, "timeout": scenario["timeout"]}]
    scenario["step"] = [
        _step(step, known, several, f"scenario {name}, step {number}") for number, step in enumerate(scenario["step"], 1)
    ]
    return scenario


def patient(scenario: dict[str, Any], slowness: int) -> dict[str, Any]:
    """The scenario with every bound multiplied, for a host on which all takes that much longer."""
    steps = [{**step, "timeout": step["timeout"] * slowness} if "timeout" in step else step
             for step in scenario["step"]]
    return {**scenario, "timeout": scenario["timeout"] * slowness, "step": steps}


def _filled(raw: dict[str, Any], defaults: dict[str, Any], where: str) -> dict[str, Any]:
    for key, value in raw.items():
        if key not in defaults:
            raise LabError(f"{where}: unknown key '{key}'; known: {', '.join(defaults)}")
        if type(value) is not type(defaults[key]):
            raise LabError(f"{where}: '{key}' must be of type {type(defaults[key]).__name__}")
        if key in _CHOICES and value not in _CHOICES[key]:
            raise LabError(f"{where}: '{key}' must be one of {', '.join(_CHOICES[key])}, not '{value}'")
    return {**defaults, **raw}


def _vms(raw: dict[str, Any], where: str) -> tuple[str, list[dict[str, Any]]]:
    """What the VMs are called together, and each of them."""
    one = _filled(raw, _VM, where)
    count = one.pop("count")
    if count == 1:
        return one["name"], [_vm(one, where)]
    if not 1 < count <= 64:
        raise LabError(f"{where}: 'count' must be from 1 to 64, not {count}")
    numbered = {**one, "name": one["name"] + "{n}"}
    return one["name"], [_vm(_with_number(numbered, str(number)), where) for number in range(count)]


def _with_number(value: Any, number: str) -> Any:
    """The value with {n} replaced in every string."""
    if isinstance(value, dict):
        return {key: _with_number(each, number) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_number(each, number) for each in value]
    return value.replace("{n}", number) if isinstance(value, str) else value


def _vm(vm: dict[str, Any], where: str) -> dict[str, Any]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", vm["name"]):
        raise LabError(f"{where}: a VM's name is of the form [a-z][a-z0-9_]*, not '{vm['name']}'")
    if not vm["program"]:
        raise LabError(f"{where}: no program")
    vm["label"] = vm["label"] or vm["name"]
    return vm


def _step(raw: dict[str, Any], known: list[str], several: dict[str, list[str]], where: str) -> dict[str, Any]:
    verbs = [key for key in raw if key in _STEPS]
    if len(verbs) != 1:
        raise LabError(f"{where}: exactly one of {', '.join(_STEPS)} is needed, found {', '.join(raw) or 'nothing'}")
    verb = verbs[0]
    kind, names_vms, required, optional = _STEPS[verb]
    if not isinstance(raw[verb], kind):
        raise LabError(f"{where}: the value of '{verb}' has the wrong type")
    for key in raw.keys() - {verb}:
        if key not in required | optional:
            raise LabError(f"{where}: '{verb}' does not know '{key}'")
        if not isinstance(raw[key], _OPTIONS[key]):
            raise LabError(f"{where}: the value of '{key}' has the wrong type")
    for key in required - raw.keys():
        raise LabError(f"{where}: '{verb}' needs '{key}'")
    if names_vms and list in (kind if isinstance(kind, tuple) else (kind,)):
        named = [raw[verb]] if isinstance(raw[verb], str) else raw[verb]
        raw = {**raw, verb: [vm for name in named for vm in several.get(name, [name])]}
    mentioned = raw[verb] if names_vms else raw.get("vm", [])
    for vm in [mentioned] if isinstance(mentioned, str) else mentioned:
        if vm not in known:
            raise LabError(f"{where}: there is no VM '{vm}'")
    for key in ("pattern", "expect", "never"):
        if key in raw:
            try:
                re.compile(raw[key])
            except re.error as error:
                raise LabError(f"{where}: '{key}' is not a regular expression: {error}") from None
    step = {verb: raw[verb], **{key: value for key, value in raw.items() if key != verb}}
    if "timeout" in optional:
        step.setdefault("timeout", _DEFAULT_TIMEOUT)
    return step
