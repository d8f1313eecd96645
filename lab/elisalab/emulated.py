# SPDX-License-Identifier: Apache-2.0
"""Running a job in the emulated host."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from . import bochs, cache, images, kernels
from .log import LabError, say, tail
from .report import Report

# mitigations=off: the CPU is emulated. lpj, tsc: no calibration. quiet: each console character costs emulated time.
_COMMAND_LINE = (
    "console=ttyS0 root=/dev/sda rw quiet loglevel=4 mitigations=off tsc=reliable lpj=4000000 random.trust_cpu=on "
    "panic=-1"
)


class Lab:
    """The images for one job, in a folder of their own that goes away afterwards."""

    def __init__(self, build: Path, host_kernel: str, modules: Path | None) -> None:
        self.binaries = images.Binaries(build)
        self.kernel = host_kernel_by_name(host_kernel)
        self.modules = modules
        runs = cache.cache_root() / "runs"
        runs.mkdir(parents=True, exist_ok=True)
        self.run_dir = Path(tempfile.mkdtemp(prefix="run-", dir=runs))

    def __enter__(self) -> "Lab":
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.run_dir, ignore_errors=True)

    def prepare(self, job: dict[str, Any], shell: bool = False) -> bochs.Machine:
        kinds = {vm["image"] for scenario in job["scenarios"] for vm in scenario["vm"]} or {"plain"}
        log = self.run_dir / "images.log"
        staged = self.run_dir / "payload"
        images.stage(staged, self.binaries, kernels.guest_kernel(), self.kernel, self.modules, job, kinds)
        images.payload_disk(staged, self.run_dir / "payload.img", log)
        shutil.rmtree(staged)
        cpus = max([scenario["host_cpus"] for scenario in job["scenarios"]], default=1)
        return bochs.Machine(
            run_dir=self.run_dir, root_image=images.host_root(), kernel=self.kernel.image, initrd=None,
            command_line=_COMMAND_LINE + (" elisa.shell" if shell else ""), cpus=cpus,
        )

    def run(self, job: dict[str, Any], report: Report, bound: float) -> None:
        machine = self.prepare(job)
        say(f"emulated host boots ({self.kernel.name} kernel, {machine.cpus} CPU)")
        console: list[str] = []
        with bochs.Emulator(machine) as emulator:
            try:
                emulator.wait(bound, lambda line: self._console(line, console, report), report.event)
            finally:
                report.logs.mkdir(parents=True, exist_ok=True)
                for name in ("console.log", "bochs.log", "bochs.out"):
                    if (self.run_dir / name).exists():
                        shutil.copy(self.run_dir / name, report.logs / name)
        if not report.ended:
            raise LabError(
                "the emulated host went down before the job was over; its console's end:\n" + "\n".join(console[-25:])
                + f"\nthe emulator's own log ends:\n{tail(report.logs / 'bochs.out', 5)}"
            )

    @staticmethod
    def _console(line: str, kept: list[str], report: Report) -> None:
        kept.append(line)
        if report.verbose or line.startswith("lab: "):
            say(f"console| {line}")


def host_kernel_by_name(name: str) -> kernels.HostKernel:
    if name == "tiny":
        return kernels.tiny_host_kernel()
    raise LabError(f"unknown host kernel '{name}': tiny or debian")
