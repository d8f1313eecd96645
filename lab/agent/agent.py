# SPDX-License-Identifier: Apache-2.0
"""The scenario agent. Runs on the host that has the VMs: the emulated one, or this machine with --machine local.

    agent.py run JOB.json            run the scenarios of a job, one after the other
    agent.py vm [options] PROGRAM    run one guest by hand, its console shown here (for `lab shell`)
    agent.py modules stock|elisa     load KVM as shipped, or the patched kvm-intel and elisa.ko
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from events import Events  # noqa: E402
from host import Host, HostError  # noqa: E402
from play import play  # noqa: E402

PAYLOAD = Path(__file__).resolve().parent.parent


def run_job(job: dict) -> int:
    events = Events(job["events"])
    host = Host(PAYLOAD, job, events)
    failed = 0
    try:
        for scenario in job["scenarios"]:
            failed += 0 if play(scenario, host, events) else 1
    finally:
        events.emit("end", failed=failed)
        events.close()
    return 1 if failed else 0


def run_one(arguments: argparse.Namespace) -> int:
    scenario = {
        "name": "by-hand", "modules": arguments.modules, "timeout": 3600, "allow_kernel": [], "expect_kernel": [],
        "vm": [{
            "name": "vm", "role": arguments.role, "label": arguments.label, "memory": arguments.memory,
            "vcpus": 1, "machine": arguments.machine, "hugepages": arguments.hugepages, "program": arguments.program,
            "qemu": [], "cpu": "host,-pcid", "append": "",
            "reboots": False,
        }],
        "step": [{"start": "vm"}, {"wait_exit": "vm", "timeout": 3600, "status": 0}],
    }
    job = json.loads((PAYLOAD / "job.json").read_text())
    events = Events("-")
    return 0 if play(scenario, Host(PAYLOAD, job, events), events) else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("run").add_argument("job", type=Path)
    verbs.add_parser("modules").add_argument("modules", choices=("stock", "elisa"))
    one = verbs.add_parser("vm")
    one.add_argument("program")
    one.add_argument("--role", choices=("guest", "manager", "none"), default="none")
    one.add_argument("--label", default="vm")
    one.add_argument("--memory", type=int, default=256)
    one.add_argument("--hugepages", type=int, default=0)
    one.add_argument("--machine", choices=("microvm", "pc", "q35"), default="microvm")
    one.add_argument("--modules", choices=("stock", "elisa", "as-is"), default="as-is")
    arguments = parser.parse_args()
    # Ended in order, VMs are ended too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if arguments.verb == "run":
            # What is read at a mark must not wait for VMs, however many want the CPU. Children do not inherit this.
            os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
            return run_job(json.loads(arguments.job.read_text()))
        if arguments.verb == "modules":
            job = json.loads((PAYLOAD / "job.json").read_text())
            Host(PAYLOAD, job, Events("-")).load_modules(arguments.modules)
            return 0
        return run_one(arguments)
    except HostError as error:
        print(f"lab agent: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
