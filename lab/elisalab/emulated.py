# SPDX-License-Identifier: Apache-2.0
"""Running a job in the emulated host."""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from pathlib import Path
from typing import Any, Callable

from . import bochs, cache, host_kernels, images, kernels, scenario, tree
from .log import LabError, say, tail
from .report import Report

# mitigations=off: the CPU is emulated. lpj, tsc: no calibration. quiet: each console character costs emulated time.
# kasan_multi_shot: every scenario's own report, not only the first.
# idle=halt: an idle CPU in MWAIT makes Bochs with two CPUs 30 times slower.
_COMMAND_LINE = (
    "console=ttyS0 root=/dev/sda rw quiet loglevel=4 mitigations=off tsc=reliable lpj=4000000 idle=halt "
    "random.trust_cpu=on panic=-1 kasan_multi_shot"
)


class Lab:
    """The images for one job, in a folder of their own that goes away afterwards."""

    def __init__(self, build: Path, host_kernel: str, modules: Path | None) -> None:
        self.binaries = images.Binaries(build)
        self.kernel = host_kernels.host_kernel(host_kernel)
        self.modules = modules
        runs = cache.cache_root() / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        _remove_dead(runs)
        self.run_dir = Path(tempfile.mkdtemp(prefix=f"run-{os.getpid()}-", dir=runs))

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def prepare(self, job: dict[str, Any], shell: bool = False) -> bochs.Machine:
        log = self.run_dir / "images.log"
        staged = self.run_dir / "payload"
        images.stage(staged, self.binaries, kernels.guest_kernel(), self.kernel, self.modules, job)
        tree.make_ext4(staged, self.run_dir / "payload.img", spare_mib=4, log=log)
        shutil.rmtree(staged)
        cpus = max([each["host_cpus"] for each in job["scenarios"]], default=1)
        return bochs.Machine(
            run_dir=self.run_dir, root_image=images.host_root(), kernel=self.kernel.image,
            initrd=self.kernel.initrd,
            command_line=_COMMAND_LINE + (" elisa.shell" if shell else ""), cpus=cpus,
        )

    def run(self, job: dict[str, Any], report: Report, bound: float) -> None:
        """One boot of the host. LabError when it went down or hung before the job was over."""
        machine = self.prepare(job)
        say(f"emulated host boots (kernel: {self.kernel.name}; CPUs: {machine.cpus})")
        report.ended = False
        with bochs.Emulator(machine) as emulator:
            try:
                emulator.wait(bound, lambda line: self._console(line, report), report.event)
            except LabError as error:
                raise LabError(f"{error}; the end of what was said:\n{self._console_end()}") from None
            finally:
                self._keep_logs(report.logs)
        if not report.ended:
            raise LabError(
                f"the emulated host went down before its job was over (the emulator ended with status {emulator.status}; "
                f"-9 is a SIGKILL from outside, -11 a crash of its own); the end of what was said:\n{self._console_end()}"
            )

    def _keep_logs(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("console.log", "bochs.log", "bochs.out"):
            if (self.run_dir / name).exists():
                shutil.copy(self.run_dir / name, folder / name)

    def _console_end(self) -> str:
        ends = {"console": tail(self.run_dir / "console.log", 30), "emulator": tail(self.run_dir / "bochs.out", 8)}
        return "\n".join(f"{name}:\n{textwrap.indent(text or '(nothing)', '    ')}" for name, text in ends.items())

    @staticmethod
    def _console(line: str, report: Report) -> None:
        if report.verbose or line.startswith("lab: "):
            say(f"console| {line}")


def _remove_dead(runs: Path) -> None:
    """Folders of runs that were killed before they could clean up."""
    for folder in runs.glob("run-*-*"):
        if not Path("/proc", folder.name.split("-")[1]).exists():
            shutil.rmtree(folder, ignore_errors=True)


def run_all(
    scenarios: list[dict[str, Any]], build: Path, host_kernel: str, modules: Path | None, report: Report,
    bound: Callable[[list[dict[str, Any]]], float],
) -> None:
    """Run scenarios in as few boots as can be: one for each number of emulated CPUs, and one more after each host
    that did not survive a scenario."""
    slowness = host_kernels.host_kernel(host_kernel).slowness
    scenarios = [scenario.patient(each, slowness) for each in scenarios]
    for cpus in sorted({each["host_cpus"] for each in scenarios}):
        left = [each for each in scenarios if each["host_cpus"] == cpus]
        while left:
            try:
                with Lab(build, host_kernel, modules) as lab:
                    lab.run({"events": "/dev/lab/events", "scenarios": left}, report, bound(left))
            except LabError as error:
                if report.playing is None:
                    raise  # not a scenario's fault
                lost = report.playing
                report.lost(lost, str(error))
                # The next boot writes its own logs to report.logs; those of this one belong to what ended it.
                for name in ("console.log", "bochs.log", "bochs.out"):
                    if (report.logs / name).exists():
                        shutil.copy(report.logs / name, report.logs / lost / name)
            left = [each for each in left if each["name"] not in report.results]
