# SPDX-License-Identifier: Apache-2.0
"""Playing one scenario: its steps in order, every wait bounded, and a result whatever happens."""

from __future__ import annotations

import json
import re
import select
import shutil
import subprocess
import tempfile
import time
import traceback
from pathlib import Path

from host import Host, HostError
from kernel_log import excerpt, trouble
from vm import Vm

# A serial port passes its output on byte by byte, and each of our wakings costs an emulated CPU more than a guest's line
# does: output is let gather. Not for long after a silence, for it may be a mark, whose counters are to be read before the
# guests go on to what they measure.
_SILENCE = 0.02  # seconds
_GATHER = 0.005
_GATHER_LONG = 0.05


class StepFailed(Exception):
    """A step did not go as the scenario says."""


class Stage:
    """The VMs of a scenario while it is played."""

    def __init__(self, scenario: dict, host: Host, events, scratch: Path) -> None:
        self.scenario = scenario
        self.host = host
        self.events = events
        self.vms = {spec["name"]: Vm(spec, host, events, scratch) for spec in scenario["vm"]}
        self.started: list[Vm] = []
        self.runs: list[dict] = []
        self.kernel: list[str] = []  # the host's kernel log since the scenario began
        self.trouble: list[str] = []
        self.awaited = list(scenario["expect_kernel"])
        self.hangs: dict[str, int] = {}  # resets of VMs that said nothing
        self.deadline = time.monotonic() + scenario["timeout"]
        self._drained = 0.0  # when there was something to take in last

    # --- time ------------------------------------------------------------------------------------------------

    def pump(self, seconds: float) -> None:
        """Let time pass, taking in what VMs and the kernel say."""
        # Of an output that was closed there is always something to read, the end of it: that would be a busy wait, and
        # nobody has the CPU before us.
        speaking = [vm for vm in self.started if vm.running and not vm.silenced]
        seconds = max(0.0, seconds)
        ready, _, _ = select.select(speaking, [], [], seconds)
        if ready:
            silence = time.monotonic() - self._drained
            time.sleep(min(_GATHER if silence >= _SILENCE else _GATHER_LONG, seconds))
        for vm in ready:
            vm.drain()
        if ready:
            self._drained = time.monotonic()
        for vm in self.started:
            if vm.qemu_status is None:
                vm.poll()
        self.check_kernel()
        self.events.alive()

    def check_kernel(self) -> None:
        lines = self.host.kernel_lines()
        self.kernel += lines
        complaints = trouble(lines, self.scenario["allow_kernel"])
        expected = self.scenario["expect_kernel"]
        self.trouble += [line for line in complaints if not any(re.search(each, line) for each in expected)]
        self.awaited = [each for each in self.awaited if not any(re.search(each, line) for line in complaints)]

    def until(self, done, seconds: float, what: str, said: list[Vm]) -> None:
        """Pump until `done()`; StepFailed with the last words of `said` after the bound."""
        limit = min(time.monotonic() + seconds, self.deadline)
        while not done():
            left = limit - time.monotonic()
            if left <= 0:
                raise StepFailed(f"{what}: not within {seconds:g} s" + self.last_words(said))
            if self.trouble:
                raise StepFailed(f"{what}: the host kernel complained meanwhile" + self.last_words(said))
            self.pump(min(left, 0.2))

    @staticmethod
    def last_words(vms: list[Vm]) -> str:
        return "".join(f"\n  VM {vm.name} said last:\n{vm.last_words()}" for vm in vms)

    # --- steps -----------------------------------------------------------------------------------------------

    def step(self, step: dict) -> None:
        verb = next(key for key in step if hasattr(self, f"do_{key}"))
        getattr(self, f"do_{verb}")(step)

    def do_start(self, step: dict) -> None:
        for name in _names(step["start"]):
            vm = self.vms[name]
            if vm not in self.started:
                self.started.append(vm)
            vm.start()
            vm.snapshot("start")
            self.pump(0)  # the next may take long, with all those before it booting

    def do_wait(self, step: dict) -> None:
        vm = self.vms[step["wait"]]
        pattern = re.compile(step["pattern"])
        missing = step.get("count", 1)
        if step.get("fresh", False):
            self.pump(0)
            vm.read_to = len(vm.lines)

        def seen() -> bool:
            nonlocal missing
            while vm.read_to < len(vm.lines):
                vm.read_to += 1
                if pattern.search(vm.lines[vm.read_to - 1]):
                    missing -= 1
                    if missing <= 0:
                        return True
            if not vm.running and vm.qemu_status is not None:
                raise StepFailed(f"VM {vm.name} ended without saying /{step['pattern']}/" + self.last_words([vm]))
            return False

        self.until(seen, step["timeout"], f"waiting for VM {vm.name} to say /{step['pattern']}/",
                   [vm, *(other for other in self.started if other is not vm)])

    def do_wait_exit(self, step: dict) -> None:
        for name in _names(step["wait_exit"]):
            vm = self.vms[name]
            others = [other for other in self.started if other is not vm and other.running]
            silence = step.get("silence")

            def ended(vm: Vm = vm) -> bool:
                if vm.running and silence is not None:
                    quiet = time.monotonic() - vm.heard
                    if quiet > silence or (vm.stopped and quiet > 0.1):
                        self.events.emit("host-line", line=f"VM {vm.name} {'was stopped' if vm.stopped else 'hangs'}: reset")
                        self.hangs[vm.name] = self.hangs.get(vm.name, 0) + 1
                        vm.reset()
                return not vm.running and vm.qemu_status is not None

            self.until(ended, step["timeout"], f"waiting for VM {name} to end", [vm, *others])
            wanted = step.get("status", 0)
            if wanted is not None and wanted != "any" and vm.exit_status != wanted:
                got = "no status (it was reset or killed)" if vm.exit_status is None else f"status {vm.exit_status}"
                raise StepFailed(f"VM {name}'s program ended with {got}, wanted {wanted}" + self.last_words([vm]))

    def do_keep_running(self, step: dict) -> None:
        """What a management layer does for its VMs, until one of them has said enough."""
        vms = [self.vms[name] for name in _names(step["keep_running"])]
        pattern = re.compile(step["pattern"])

        def enough() -> bool:
            for vm in vms:
                while vm.read_to < len(vm.lines):
                    vm.read_to += 1
                    if pattern.search(vm.lines[vm.read_to - 1]):
                        return True
                if vm.running and time.monotonic() - vm.heard > step.get("silent", 10):
                    vm.kill()
                if not vm.running:
                    if vm not in self.started:
                        self.started.append(vm)
                    elif vm.qemu_status is None:
                        vm.poll()
                    vm.start()
            return False

        self.until(enough, step["timeout"], f"waiting for one VM to say /{step['pattern']}/", vms)

    def do_kill(self, step: dict) -> None:
        for name in _names(step["kill"]):
            self.vms[name].kill()
            self.vms[name].poll()

    def do_pause(self, step: dict) -> None:
        self.vms[step["pause"]].qmp("stop")

    def do_resume(self, step: dict) -> None:
        self.vms[step["resume"]].qmp("cont")

    def do_qmp(self, step: dict) -> None:
        answer = self.vms[step["vm"]].qmp(step["qmp"], **step.get("arguments", {}))
        text = answer if isinstance(answer, str) else json.dumps(answer)
        if (never := step.get("never")) and (found := re.search(never, text)):
            raise StepFailed(f"QMP {step['qmp']} of VM {step['vm']} said '{found.group()}':\n{text[:2000]}")

    def do_mark(self, step: dict) -> None:
        for vm in self.started:
            vm.snapshot(step["mark"])

    def do_sleep(self, step: dict) -> None:
        limit = time.monotonic() + step["sleep"]
        while (left := limit - time.monotonic()) > 0:
            self.pump(min(left, 0.2))

    def do_run(self, step: dict) -> None:
        """A command on the host. VM pids are in $PID_<name>."""
        environment = dict(self.host.environment)
        for vm in self.started:
            environment[f"PID_{vm.name}"] = str(vm.pid)
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(["sh", "-c", step["run"]], stdin=subprocess.DEVNULL, stdout=out,
                                       stderr=subprocess.STDOUT, env=environment, start_new_session=True)
            try:
                self.until(lambda: process.poll() is not None, step["timeout"], f"host command `{step['run']}`", [])
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
                out.seek(0)
                output = out.read().decode(errors="replace")
                for line in output.splitlines():
                    self.events.emit("host-line", line=line)
        self.runs.append({"run": step["run"], "name": step.get("name"), "status": process.returncode,
                          "output": output[-20000:]})
        wanted = step.get("status", 0)
        if wanted != "any" and process.returncode != wanted:
            raise StepFailed(f"host command `{step['run']}` ended with status {process.returncode}, wanted {wanted}:\n"
                             f"{output[-2000:]}")
        if (expected := step.get("expect")) and not re.search(expected, output):
            raise StepFailed(f"host command `{step['run']}` did not print /{expected}/ but:\n{output[-2000:]}")

    # --- end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        for vm in self.started:
            if vm.running:
                vm.snapshot("killed")
                vm.kill()
            if vm.qemu_status is None:
                vm.poll()
        self.check_kernel()

    def result(self) -> dict:
        return {
            "vms": {
                vm.name: {"status": vm.exit_status, "qemu": vm.qemu_status, "results": vm.results,
                          "kvm": vm.counters, "hangs": self.hangs.get(vm.name, 0)}
                for vm in self.vms.values()
            },
            "machine": self.host.facts(),
            "host": self.runs,
            "trouble": self.trouble,
        }


def _names(value: object) -> list[str]:
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]


def describe(step: dict) -> str:
    verb, value = next(iter(step.items()))
    rest = " ".join(f"{key}={value}" for key, value in list(step.items())[1:] if key in ("pattern", "status"))
    return f"{verb} {value} {rest}".strip()


def play(scenario: dict, host: Host, events) -> bool:
    """Play one scenario; True when every step went well and the host kernel had nothing to complain about."""
    began = time.monotonic()
    events.emit("begin", scenario=scenario["name"])
    scratch = Path(tempfile.mkdtemp(prefix="lab-"))
    host.kernel_lines()
    stage = Stage(scenario, host, events, scratch)
    error: str | None = None
    try:
        host.load_modules(scenario["modules"])
        for number, step in enumerate(scenario["step"], 1):
            events.emit("step", number=number, of=len(scenario["step"]), text=describe(step))
            if time.monotonic() > stage.deadline:
                raise StepFailed(f"the scenario's own bound of {scenario['timeout']} s is over")
            stage.step(step)
    except (StepFailed, HostError) as failure:
        error = f"step {describe(step)}: {failure}" if stage.started else str(failure)
    except Exception:  # a mistake in the lab itself must not look like a pass, nor stop the next scenario
        error = "the lab's own mistake: " + traceback.format_exc()
    finally:
        stage.close()
        shutil.rmtree(scratch, ignore_errors=True)
    if stage.trouble:
        report = f"the host kernel complained:\n{excerpt(stage.kernel, stage.trouble[0])}"
        error = report if error is None else f"{error}\n{report}"
    elif error is None and stage.awaited:
        error = f"the host kernel was expected to complain and did not: /{'/, /'.join(stage.awaited)}/"
    events.emit("result", scenario=scenario["name"], ok=error is None, error=error,
                seconds=round(time.monotonic() - began, 2), result=stage.result())
    return error is None
