# SPDX-License-Identifier: Apache-2.0
"""./elisa bench profile: instructions a frame at each end of rvif or a peer, and whose they are. Counted by callgrind: what else runs on
the machine does not matter, and nothing is said about time."""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from switchbench.cases import SHALLOW
from switchbench.machine import BenchError, two_cpus
from switchbench.process import Program, Traffic
from switchbench.systems import SYSTEMS, Setup
from switchbench.systems.base import Place, System

_ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(_ROOT / "scripts"))
from dpdk_plugins import PluginError, plugin_folder  # noqa: E402

_POINT_TO_POINT = ("rvif", "memif", "memif-zc", "vhost")
_FUNCTION = re.compile(r"^\s*([\d,]+) \([\s\d.]+%\)\s+[^:]+:(.+?)(?: \[[^\]]+\])?$")
_FEW_FRAMES = 20_000


@dataclass
class End:
    """Instructions of one end while it was at work."""

    title: str
    frames: int
    by_function: dict[str, int]

    def table(self, least: float) -> list[str]:
        total = sum(self.by_function.values()) / self.frames
        lines = [f"{self.title}: {total:.1f} instructions a frame, {self.frames} frames"]
        ranked = sorted(self.by_function.items(), key=lambda item: -item[1])
        rest = 0.0
        for function, count in ranked:
            share = count / self.frames
            if share < least:
                rest += share
            else:
                lines.append(f"  {share:9.1f}  {function}")
        return [*lines, f"  {rest:9.1f}  the rest"] if rest else lines


def _callgrind(out: Path, function: str) -> tuple[str, ...]:
    """Counts what happens in a call of that function."""
    return ("valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--collect-atstart=no", f"--toggle-collect={function}")


def _prepared(system: System, folder: Path) -> None:
    """Both ends under callgrind, and without hugepages."""
    def traffic(name: str, *rest: object, **options: object) -> Traffic:
        end = "sink" if options.get("sinks") else "source"
        system.enter = _callgrind(folder / f"{end}.cg", f"traffic::{end.capitalize()}::step*")
        try:
            return System.traffic(system, name, *rest, **options)  # type: ignore[arg-type]
        finally:
            system.enter = ()

    def program(name: str, command: list[str], *rest: object) -> Program:
        return System.program(system, name, [word for word in command if word != "--huge"], *rest)  # type: ignore[arg-type]

    system.traffic = traffic  # type: ignore[method-assign]
    system.program = program  # type: ignore[method-assign]
    system.until_socket = lambda program, path: program.until(  # type: ignore[method-assign]
        f"socket {path.name}", path.is_socket, 120)  # they start slowly
    system.eal = lambda cpu: ["--lcores", f"0@{cpu}", "--no-pci", "--no-telemetry", "--no-huge", "--no-shconf",  # type: ignore[method-assign]
                              "--log-level", "lib.*:error"]


def _counted(path: Path) -> dict[str, int]:
    done = subprocess.run(["callgrind_annotate", "--threshold=100", "--auto=no", str(path)], capture_output=True, text=True, check=False)
    found: dict[str, int] = {}
    for line in done.stdout.splitlines():
        match = _FUNCTION.match(line)
        if match is None:
            continue
        function = re.sub(r"\(.*", "", match.group(2).replace("(anonymous namespace)::", "")).split(" ")[-1]
        found[function] = found.get(function, 0) + int(match.group(1).replace(",", ""))
    if not found:
        raise BenchError(f"callgrind says nothing about {path}: {done.stderr.strip() or done.stdout.strip()[-300:]}")
    return found


def profile(system: System, folder: Path, size: int, burst: int, flows: int, macs: int) -> list[End]:
    _prepared(system, folder)
    with system:
        if system.switches:
            for end in system.ends:
                end.tell("announce", macs=macs)
                end.hear("done", 60)
        for end in system.ends:
            end.tell("load", size=size, dirty=1, burst=burst, flows=flows, macs=macs, warm_ms=100, ms=3000)
            end.hear("running", 60)
        system.sink.hear("begin", 60)
        system.sink.hear("end", 120)
        system.source.tell("stop")
        sent = system.source.hear("stopped", 60)["sent"]
        time.sleep(0.2)
        system.sink.tell("stop")
        received = system.sink.hear("stopped", 60)["received"]
        for end in system.ends:
            end.end(60)
    if received < _FEW_FRAMES:
        raise BenchError(f"only {received} frames arrived: too few to count")
    return [End("source", sent, _counted(folder / "source.cg")), End("sink", received, _counted(folder / "sink.cg"))]


def main() -> int:
    parser = argparse.ArgumentParser(prog="elisa bench profile", description=" ".join(__doc__.split()))
    parser.add_argument("--system", choices=_POINT_TO_POINT, default="rvif")
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--burst", type=int, default=32)
    parser.add_argument("--many-flows", action="store_true", help="1024 flows over 256 MACs")
    parser.add_argument("--ports", type=int, default=1, help="at each end, busy (rvif: with lanes that are 128 deep if several)")
    parser.add_argument("--least", type=float, default=1.0, help="instructions a frame of a function that is shown")
    parser.add_argument("--build", type=Path, default=_ROOT / "build")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("profile: valgrind is not there: apt-get install valgrind", file=sys.stderr)
        return 1
    flows, macs = (1024, 256) if arguments.many_flows else (1, 2)
    build = arguments.build.resolve()
    logs = build / "logs/bench-profile"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    try:
        with tempfile.TemporaryDirectory(prefix="elisa-profile-") as folder, plugin_folder(build) as plugins:
            place = Place(build, plugins, Path(folder), logs, two_cpus())
            system = SYSTEMS[arguments.system](place, Setup(macs=macs, ports=arguments.ports, **({"descriptors": SHALLOW} if arguments.ports > 1 else {})))
            for end in profile(system, logs, arguments.size, arguments.burst, flows, macs):
                print("\n".join(end.table(arguments.least)))
    except (BenchError, PluginError) as error:
        print(f"profile: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
