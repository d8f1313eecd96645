# SPDX-License-Identifier: Apache-2.0
"""./elisa bench soak: processes join, leave, are killed and frozen at random around a pair that must not notice."""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from switchbench.machine import BenchError
from switchbench.process import Program, Traffic

_ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(_ROOT / "scripts"))
from dpdk_plugins import PluginError, plugin_folder  # noqa: E402

_MOST_OTHERS = 6
_BURST = 64  # of those who mingle: the most frames of a call
_RECEIVERS = _MOST_OTHERS + 1  # of a frame
_GROWTH_KB = 4096  # of a process that stays: its allocator's, and what it counts of those who have gone
_MOST_JOINS = 990  # the manager keeps the records of the last 1000 ports that have gone
# Where somebody's packet memory was, scratch memory stays mapped until the place is used again: two lines in
# /proc/PID/maps for each process that there was at the same time.
_SCRATCH = 2 * _MOST_OTHERS + 4
_OF_RECEIVER = ("no_buffer", "not_ready", "rx_too_big", "rx_bad_buffer")
_CHANGING = re.compile(r"\[(heap|stack|vdso|vvar|vsyscall)")


class Other:
    """A process that is not of the steady pair."""

    def __init__(self, process: Traffic, device: str) -> None:
        self.process = process
        self.label = f"{process.pid}:{device}"  # as the manager calls its port
        self.thaw_at: float | None = None  # frozen until then


class Soak:
    def __init__(self, build: Path, plugins: Path, folder: Path, logs: Path, seed: int) -> None:
        self.build, self.plugins, self.folder, self.logs = build, plugins, folder, logs
        self.random = random.Random(seed)
        self.socket = folder / "rvs.sock"
        self.counters = folder / "counters.json"
        self.others: list[Other] = []
        self.left: dict[str, dict[str, Any]] = {}  # what those who left in peace had counted, by their port's label
        self.done = {"joins": 0, "leaves": 0, "kills": 0, "freezes": 0}
        self.started: list[Program] = []
        self._serial = 0
        self._cpus = sorted(os.sched_getaffinity(0))

    # --- processes -------------------------------------------------------------------------------------------

    def _traffic(self, name: str, role: str, mbufs: int, descriptors: int) -> Other:
        device = f"net_rvif{self._serial}"
        cpu = self._cpus[self._serial % len(self._cpus)]
        self._serial += 1
        command = [str(self.build / "guest/dpdk/traffic"), "--lcores", f"0@{cpu}", "--no-huge", "-m", str(mbufs // 256 + 32), "--no-pci",
                   "--no-shconf", "--no-telemetry", "--log-level", "lib.*:error", "-d", str(self.plugins / "librte_net_rvif.so"),
                   "--vdev", f"{device},backend=direct,socket={self.socket}",
                   "--", role, device, "--mbufs", str(mbufs), "--descriptors", str(descriptors)]
        process = Traffic(name, command, self.logs / f"{name}.log")
        self.started.append(process)
        return Other(process, device)

    def start(self) -> None:
        self.manager = Program("manager", [str(self.build / "guest/bin/vmnet"), "--backend", "direct", "--socket", str(self.socket),
                                           "--json", str(self.counters)], self.logs / "manager.log")
        self.started.append(self.manager)
        self.manager.until("socket", self.socket.is_socket)
        # Lanes for a tenth of a second: who has no CPU for so long loses frames, and they are counted.
        self.sink = self._traffic("steady-sink", "--sink", 24576, 1024)
        self.source = self._traffic("steady-source", "--source", 24576, 1024)
        for end in (self.sink, self.source):
            end.process.hear("ready", 60)
            end.process.tell("steady")
            end.process.hear("running")

    def join(self) -> None:
        number = self._serial
        other = self._traffic(f"other-{number}", "--source", 16384, 256)
        self.others.append(other)
        self.done["joins"] += 1
        # Somebody who is frozen is waited for, 5 s each.
        other.process.hear("ready", 120)
        other.process.tell("mingle", number=number, others=_MOST_OTHERS)
        other.process.hear("running", 60)

    def leave(self, other: Other) -> None:
        self._thaw(other)
        other.process.tell("stop")
        self.left[other.label] = other.process.hear("stopped", 60)
        other.process.end(60)
        self.others.remove(other)
        self.done["leaves"] += 1

    def kill(self, other: Other) -> None:
        os.kill(other.process.pid, signal.SIGKILL)
        other.process.end()
        self.others.remove(other)
        self.done["kills"] += 1

    def freeze(self, other: Other) -> None:
        if other.thaw_at is None:
            os.kill(other.process.pid, signal.SIGSTOP)
            # Now and then longer than the manager waits for anybody.
            other.thaw_at = time.monotonic() + self.random.choice((0.02, 0.1, 0.5, 2, 8))
            self.done["freezes"] += 1

    def _thaw(self, other: Other) -> None:
        if other.thaw_at is not None:
            os.kill(other.process.pid, signal.SIGCONT)
            other.thaw_at = None

    # --- the run ---------------------------------------------------------------------------------------------

    def run(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        said = 0.0
        while (now := time.monotonic()) < end:
            for other in list(self.others):
                if other.thaw_at is not None and now > other.thaw_at:
                    self._thaw(other)
                if not other.process.running():
                    raise other.process.failure("ended on its own")
            self._act()
            for process in (self.manager, self.source.process, self.sink.process):
                if not process.running():
                    raise process.failure("ended on its own")
            if now - said > 20:
                said = now
                print(f"soak: {end - now:.0f} s to go, {self.done}", file=sys.stderr, flush=True)
            time.sleep(self.random.uniform(0.02, 0.4))

    def _act(self) -> None:
        if len(self.others) < 2:
            self.join()
            return
        if self.done["joins"] >= _MOST_JOINS:
            self.freeze(self.random.choice(self.others))
            return
        actions = [self.leave, self.kill, self.freeze, self.freeze]
        if len(self.others) < _MOST_OTHERS:
            actions += [lambda _: self.join()] * 3
        self.random.choice(actions)(self.random.choice(self.others))

    def everybody_leaves(self) -> None:
        for other in list(self.others):
            self.leave(other)

    def finish(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        """What source, sink and manager counted."""
        self.source.process.tell("stop")
        source = self.source.process.hear("stopped")
        time.sleep(0.2)
        self.sink.process.tell("stop")
        sink = self.sink.process.hear("stopped")
        for end in (self.source, self.sink):
            end.process.end(60)
        os.kill(self.manager.pid, signal.SIGTERM)
        self.manager.until("counters", self.counters.exists)
        self.manager.end(60)
        counted: dict[str, Any] = json.loads(self.counters.read_text())
        return source, sink, counted

    def close(self) -> None:
        for process in reversed(self.started):
            if process.running():
                os.kill(process.pid, signal.SIGKILL)
            process.end()

    # --- leaks -----------------------------------------------------------------------------------------------

    def holdings(self) -> dict[str, int]:
        """What the processes that stay hold, once it does not change any more."""
        last: dict[str, int] = {}
        for _ in range(100):
            now = self._holdings()
            if now == last:
                return now
            last = now
            time.sleep(0.3)
        return last

    def _holdings(self) -> dict[str, int]:
        found = {}
        for name, pid in self._stay().items():
            found[f"{name} fds"] = len(list(Path(f"/proc/{pid}/fd").iterdir()))
            maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
            found[f"{name} mappings"] = sum(1 for line in maps if not _CHANGING.search(line))
        return found

    def _stay(self) -> dict[str, int]:
        return {"manager": self.manager.pid, "sink": self.sink.process.pid, "source": self.source.process.pid}

    def memory_kb(self) -> dict[str, int]:
        """Memory of the processes that stay, but packet memory: that is shared, and touched bit by bit."""
        return {name: int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text()).group(1))  # type: ignore[union-attr]
                for name, pid in self._stay().items()}


@dataclass(frozen=True)
class Books:
    """Every copy that a sender's call made out of a frame has one outcome, which the call counts, both at its end. Who is killed
    inside a call may have delivered and not counted: the switch knows whose claim was held when its port was closed."""

    copies: int
    outcomes: int
    killed_inside: int  # calls

    @classmethod
    def of(cls, ports: list[dict[str, Any]]) -> Books:
        return cls(sum(port["copies"] for port in ports),
                   sum(port["rx_frames"] + sum(port["drops"].get(reason, 0) for reason in _OF_RECEIVER) for port in ports),
                   sum(port["inside"] for port in ports))

    @property
    def unaccounted(self) -> int:
        return abs(self.copies - self.outcomes)

    @property
    def explained(self) -> int:
        """At most: what those calls can have had."""
        return self.killed_inside * _BURST * _RECEIVERS

    def problems(self) -> list[str]:
        if self.unaccounted <= self.explained:
            return []
        return [f"{self.copies} copies but {self.outcomes} deliveries and drops: {self.unaccounted} unaccounted for, "
                f"{self.killed_inside} calls in which somebody was killed explain {self.explained} at most"]

    def as_json(self) -> dict[str, int]:
        return {"copies": self.copies, "outcomes": self.outcomes, "unaccounted": self.unaccounted,
                "killed_inside": self.killed_inside, "unaccounted_allowed": self.explained}


def problems(soak: Soak, books: Books, source: dict[str, Any], sink: dict[str, Any], counted: dict[str, Any],
             before: dict[str, int], after: dict[str, int], growth_kb: dict[str, int]) -> list[str]:
    ports = counted["ports"]
    by_label = {port["label"]: port for port in ports}
    found = books.problems()
    # Who was not killed knows what it sent.
    ends = {soak.source.label: source, soak.sink.label: sink, **soak.left}
    for label, own in ends.items():
        port = by_label.get(label)
        if port is None:
            found.append(f"the manager knows nothing of {label}")
            continue
        seen = port["tx_frames"] + sum(count for reason, count in port["drops"].items()
                                       if reason not in (*_OF_RECEIVER, "no_destination", "same_port", "isolated", "vlan_egress", "storm"))
        if seen != own["sent"]:
            found.append(f"{label} sent {own['sent']} frames, the switch counts {seen}")
        if own["received"] > port["rx_frames"]:
            found.append(f"{label} received {own['received']} frames, the switch delivered {port['rx_frames']}")

    if sink["reordered"]:
        found.append(f"{sink['reordered']} steady frames came out of order")
    if sink["steady"] == 0:
        found.append("no steady frame arrived")
    dropped = sum(by_label.get(soak.sink.label, {"drops": {}})["drops"].values())
    if sink["lost"] > dropped:
        found.append(f"{sink['lost']} steady frames were lost, {dropped} drops are counted at their receiver")
    for what, count in after.items():
        if count > before[what] + (_SCRATCH if what.endswith("mappings") else 0):
            found.append(f"leak: {what} were {before[what]} before, {count} after")
    found += [f"leak: the {name} grew by {kb} kB" for name, kb in growth_kb.items() if kb > _GROWTH_KB]
    return found


def stalls(source: dict[str, Any], sink: dict[str, Any]) -> list[str]:
    """What a machine that is taken away from under us (a hypervisor's steal) can cause, too."""
    found: list[str] = []
    for name, end in (("source", source), ("sink", sink)):
        if end["stalled_calls"]:
            found.append(f"steady {name}: {end['stalled_calls']} calls took more than 10 ms, the longest {end['worst_call_us'] / 1000:.1f} ms, "
                         "without the time it had no CPU")
    if sink["stalled_deliveries"]:
        found.append(f"{sink['stalled_deliveries']} steady frames were late by more than 10 ms, up to {sink['worst_delivery_us'] / 1000:.1f} ms")
    if sink["lost"] and max(sink["worst_scheduler_us"], source["worst_scheduler_us"]) < 50_000:
        found.append(f"{sink['lost']} steady frames were dropped although nobody of the pair was long without a CPU")
    return found


def _run(arguments: argparse.Namespace, folder: Path, plugins: Path) -> int:
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1 << 32)
    seconds = arguments.seconds or 60 * arguments.minutes
    print(f"soak: {seconds:g} s, --seed {seed}", file=sys.stderr)
    logs = arguments.build.resolve() / "logs/soak"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    soak = Soak(arguments.build.resolve(), plugins, folder, logs, seed)
    try:
        soak.start()
        # One of each first, so that what is made once is there.
        soak.join()
        soak.join()
        soak.kill(soak.others[0])
        soak.everybody_leaves()
        before, memory = soak.holdings(), soak.memory_kb()
        soak.run(seconds)
        soak.everybody_leaves()
        after = soak.holdings()
        growth = {name: kb - memory[name] for name, kb in soak.memory_kb().items()}
        source, sink, counted = soak.finish()
    finally:
        soak.close()
    ports = counted["ports"]
    books = Books.of(ports)
    found = problems(soak, books, source, sink, counted, before, after, growth)
    late = stalls(source, sink)
    if not arguments.stalls_allowed:
        found += late
    summary = {
        "seconds": seconds, "seed": seed, **soak.done,
        "frames": sum(port["tx_frames"] for port in ports), "delivered": sum(port["rx_frames"] for port in ports),
        "drops": _sum_drops(ports), **books.as_json(), "source": source, "sink": sink, "before": before, "after": after,
        "growth_kb": growth, "problems": found, "stalls": late,
    }
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(summary, indent=1) + "\n")
    print(json.dumps({key: summary[key] for key in ("joins", "leaves", "kills", "freezes", "frames", "delivered", "drops")}))
    print(f"books: {books.copies} copies, {books.outcomes} deliveries and drops, {books.unaccounted} unaccounted for; "
          f"{books.killed_inside} of {soak.done['kills']} kills were inside a call and explain {books.explained} at most; "
          f"growth {', '.join(f'{name} {kb} kB' for name, kb in growth.items())}")
    print(f"steady pair: {sink['steady']} frames, {sink['lost']} lost (all counted as drops); longest call "
          f"{max(source['worst_call_us'], sink['worst_call_us']) / 1000:.2f} ms, latest delivery {sink['worst_delivery_us'] / 1000:.2f} ms; "
          f"longest without a CPU {max(source['worst_scheduler_us'], sink['worst_scheduler_us']) / 1000:.1f} ms (the scheduler's doing)")
    for problem in dict.fromkeys(found + late):
        print(f"soak: {problem}", file=sys.stderr)
    print("soak: " + ("passed" if not found else f"{len(found)} problems; --seed {seed} repeats the sequence; logs: {logs}"))
    return 1 if found else 0


def _sum_drops(ports: list[dict[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for port in ports:
        for reason, count in port["drops"].items():
            total[reason] = total.get(reason, 0) + count
    return total


def main() -> int:
    parser = argparse.ArgumentParser(prog="elisa bench soak", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seconds", type=float, help="instead of minutes")
    parser.add_argument("--seed", type=int, help="of an earlier run, to repeat what it did")
    parser.add_argument("--stalls-allowed", action="store_true", help="stalls are said but are no failure")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--build", type=Path, default=_ROOT / "build")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="elisa-soak-") as folder, plugin_folder(arguments.build) as plugins:
            return _run(arguments, Path(folder), plugins)
    except (BenchError, PluginError) as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("soak: interrupted; everything is taken down", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
