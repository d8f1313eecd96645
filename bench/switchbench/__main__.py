# SPDX-License-Identifier: Apache-2.0
"""./elisa bench switch: frames between processes, rvif against its peers, in one run."""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import cases, plot, report
from .machine import BenchError, Hugepages, description, two_cpus
from .measure import Runner
from .systems import SYSTEMS
from .systems.base import Place

_ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(_ROOT / "scripts"))
from dpdk_plugins import PluginError, plugin_folder  # noqa: E402

_HUGEPAGES_MB = 3072


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="elisa bench switch", description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="kind", action="store_const", const="quick", help="what the targets need")
    size.add_argument("--full", dest="kind", action="store_const", const="full", help="every combination: many hours")
    parser.set_defaults(kind="default")
    parser.add_argument("--systems", default=",".join(SYSTEMS), help="which, separated by commas (default: all)")
    parser.add_argument("--repetitions", type=int, help="starts of each system")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, help="folder for the Markdown page and the plots (default: build/bench-switch)")
    parser.add_argument("--build", type=Path, default=_ROOT / "build")
    arguments = parser.parse_args()
    arguments.systems = arguments.systems.split(",")
    unknown = [name for name in arguments.systems if name not in SYSTEMS]
    if unknown:
        parser.error(f"no system {', '.join(unknown)}; there are: {', '.join(SYSTEMS)}")
    return arguments


def _run(arguments: argparse.Namespace) -> int:
    build: Path = arguments.build.resolve()
    for program in ("guest/dpdk/traffic", "guest/bin/vmnet", "bench/limit", "bench/distance"):
        if not (build / program).exists():
            raise BenchError(f"{build / program} is not there: build first (./elisa bench switch does)")
    plan = cases.plan(arguments.kind, arguments.systems)
    if arguments.repetitions:
        plan = cases.Plan(**{**vars(plan), "repetitions": arguments.repetitions})
    print(f"at least {plan.seconds() / 60:.0f} minutes; longer where others use the machine, or where its CPUs are moved about", file=sys.stderr)
    logs = build / "logs/bench-switch"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(Hugepages(_HUGEPAGES_MB))
        plugins = stack.enter_context(plugin_folder(build))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elisa-bench-")))
        measured = Runner(plan, Place(build, plugins, folder, logs, two_cpus())).run()
    found = report.as_json(measured, description())
    out: Path = arguments.out or build / "bench-switch"
    out.mkdir(parents=True, exist_ok=True)
    page = report.markdown(found, plot.draw(found, out))
    (out / "switch.md").write_text(page)
    if arguments.json is not None:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    print(page)
    print(f"{out}/switch.md and plots are written; logs of all processes are in {logs}", file=sys.stderr)
    return 0


def _interrupted(*_: object) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGINT, _interrupted)
    try:
        return _run(_arguments())
    except (BenchError, PluginError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; everything is taken down", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
