#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The demo with the direct backend: two stock testpmd processes exchange verified frames through the switch.

Starts the manager and two testpmd, one that generates and checks and one that checks and answers, prints the table and
writes the JSON that `./elisa demo` promises. Needs neither root nor hugepages.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/direct"), str(ROOT / "lab")]
from bed import Bed, BedError  # noqa: E402
from elisalab import figures  # noqa: E402

FLOWS = [(64, 100_000), (1500, 20_000)]


def machine() -> str:
    model = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    return f"this machine ({model}, {len(os.sched_getaffinity(0))} CPUs)"


def run(build: Path | None, logs: Path) -> dict[str, Any]:
    with Bed(build, logs) as bed:
        bed.manager()
        answering = bed.echo("guest-b")
        answering.until_says("Press enter to exit")
        sending = bed.generator("guest-a", FLOWS)
        begun = time.monotonic()
        report = bed.report(sending)
        answer = bed.report(answering)
        for process in (sending, answering):
            if process.wait() != 0:
                raise BedError(f"{process.name} ended badly. It said last:\n{process.tail()}")
        if "error" in report:
            raise BedError(f"{sending.name}: {report['error']}")
        print(f"traffic took {time.monotonic() - begun:.1f} s; logs of the processes are in {logs}", file=sys.stderr)
    return {
        "backend": "direct",
        "machine": machine(),
        "flows": report["flows"],
        "crossings": report["crossings"] + answer["crossings"],
        "exits_per_crossing": None,
        "instructions_per_frame": None,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--installed", action="store_true", help="not what was built, but what Debian packages installed")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    try:
        found = (run(None, Path(tempfile.mkdtemp(prefix="elisa-demo-"))) if arguments.installed else
                 run(arguments.build, arguments.build / "logs/demo-direct"))
    except BedError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    print(figures.demo_table(found))
    problems = figures.demo_problems(found)
    for problem in problems:
        print(f"demo: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
