# SPDX-License-Identifier: Apache-2.0
"""Many queues, many ports, and what is counted for each; through stock testpmd."""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from bed import Process, until  # noqa: E402
from case import BUILD, A, B, DirectCase, xstats  # noqa: E402


class QueuesTest(DirectCase):
    def of_manager(self) -> dict[str, Any]:
        """What it has counted for each label."""
        done = subprocess.run([str(BUILD / "host/bin/elisactl"), "--socket", f"{self.bed.socket}.control", "stats", "--json"],
                              capture_output=True, text=True, timeout=60, check=True)
        return {port["label"]: port for port in json.loads(done.stdout)["ports"]}

    def test_each_queue_has_its_own_counters(self) -> None:
        """Of what is sent, received, wrong at the receiver and refused by the switch; the driver's, the switch's and the manager's
        are the same."""
        self.bed.manager("--config", self.config("[[guest]]\nlabel = 'a'\nmacs = ['" + A + "']\n[[guest]]\nlabel = 'b'\n"))
        # Without RSS: a tx queue's frames go to the rx queue of its number.
        sink = self.interactive("b", ["net_rvif0,backend=direct,label=b,mac=" + B], "--forward-mode=rxonly", "--rxq=4", "--txq=4",
                                "--disable-rss", mbufs=16384)
        sink.say("start")
        source = self.interactive("a", ["net_rvif0,backend=direct,label=a,mac=" + A], "--forward-mode=txonly", "--eth-peer=0," + B,
                                  "--rxq=4", "--txq=4", mbufs=16384)

        def send(*settings: str) -> None:
            before = xstats(source)
            for line in (*settings, "start"):
                source.say(line)
            source.until("frames of each queue", lambda: all(
                after[name := f"tx_q{queue}_packets"] + after[f"tx_q{queue}_drop_spoofed"]
                > before[name] + before[f"tx_q{queue}_drop_spoofed"] + 1000
                for after in [xstats(source)] for queue in range(4)))
            self.stopped(source)

        send("set txpkts 200")
        sent, seen = xstats(source), xstats(sink)
        for queue in range(4):
            self.assertEqual(200 * sent[f"tx_q{queue}_packets"], sent[f"tx_q{queue}_bytes"])
            self.assertEqual(200 * seen[f"rx_q{queue}_packets"], seen[f"rx_q{queue}_bytes"])
            self.assertGreater(seen[f"rx_q{queue}_packets"], 100)
            self.assertEqual(0, seen[f"rx_q{queue}_errors"])
        # Longer than the receiver's MTU: each queue's errors, with their reason.
        send("set txpkts 1700")
        until("the last frames", lambda: (last := xstats(sink))["switch_rx_frames"] == last["rx_good_packets"] + last["rx_errors"])
        seen = xstats(sink)
        for queue in range(4):
            self.assertGreater(seen[f"rx_q{queue}_errors"], 100)
            self.assertEqual(seen[f"rx_q{queue}_errors"], seen[f"rx_q{queue}_oversize"])
        for name in ("errors", "oversize", "packets", "no_mbuf"):
            whole = {"packets": "rx_good_packets"}.get(name, f"rx_{name}")
            self.assertEqual(seen[whole], sum(seen[f"rx_q{queue}_{name}"] for queue in range(4)), name)
        # Under a name that the manager does not grant: no output, but a drop of each queue.
        good = xstats(source)["tx_good_packets"]
        subprocess.run([str(BUILD / "host/bin/elisactl"), "--socket", f"{self.bed.socket}.control", "port", "set", "a",
                        "macs=['02:00:00:00:00:77']"], check=True, timeout=60)
        send("set txpkts 64")
        sent, told = xstats(source), self.of_manager()["a"]
        self.assertEqual(good, sent["tx_good_packets"])
        self.assertEqual(sent["drop_spoofed"], sum(sent[f"tx_q{queue}_drop_spoofed"] for queue in range(4)))
        self.assertEqual([0, 1, 2, 3], [of["queue"] for of in told["by_tx_queue"]])
        for of in told["by_tx_queue"]:
            queue = of["queue"]
            self.assertGreater(of["drops"]["spoofed"], 100)
            self.assertEqual(sent[f"tx_q{queue}_drop_spoofed"], of["drops"]["spoofed"])
            self.assertEqual(sent[f"tx_q{queue}_packets"], of["tx_frames"])
        self.assertEqual(told["tx_frames"], sum(of["tx_frames"] for of in told["by_tx_queue"]))
        # And all from the beginning.
        source.say("clear port xstats 0")
        sent = xstats(source)
        self.assertEqual({}, {name: value for name, value in sent.items() if name.startswith("tx_q") and value != 0})
        self.assertIn("tx_q3_drop_spoofed", sent)

    def bounces(self, one: Process, other: Process, ports: int, queues: int) -> None:
        """Both have begun to forward. Each queue of each port sends and receives, and none counts an error."""
        for process in (one, other):
            for port in range(ports):
                def moves() -> bool:
                    seen = xstats(process, port)
                    return all(seen[f"{way}_q{queue}_packets"] >= 100 for way in ("tx", "rx") for queue in range(queues))
                process.until(f"frames in every queue of port {port}", moves)
        for process in (one, other):
            self.stopped(process)
            for port in range(ports):
                seen = xstats(process, port)
                self.assertEqual(0, seen["rx_errors"] + seen["drop_not_ready"] + seen["drop_rx_bad_buffer"])
                for queue in range(queues):
                    self.assertLess(0, seen[f"rx_q{queue}_packets"])

    def test_eight_queues_each_way_carry_frames(self) -> None:
        self.bed.manager()
        queues = ("--rxq=8", "--txq=8", "--rxd=128", "--port-topology=loop")
        swap = self.interactive("b", ["net_rvif0,backend=direct,mac=" + B], "--forward-mode=macswap", *queues, mbufs=24576)
        swap.say("start")
        source = self.interactive("a", ["net_rvif0,backend=direct,mac=" + A], "--forward-mode=flowgen", "--eth-peer=0," + B, *queues,
                                  mbufs=24576)
        source.say("start")
        self.bounces(source, swap, 1, 8)

    def test_as_many_ports_as_the_switch_has_forward(self) -> None:
        """64, of two processes: DPDK as Debian builds it has room for 32 in each."""
        self.bed.manager()

        def mac(process: int, port: int) -> str:
            return f"02:72:76:67:{process:02x}:{port:02x}"

        def ports(process: int) -> list[str]:
            return [f"net_rvif{port},backend=direct,mac={mac(process, port)}" for port in range(32)]

        # A queue has buffers posted for each source, of which there are 64.
        usual = ("--port-topology=loop", "--rxd=64", "--mbuf-size=512", "--enable-scatter")
        peers = [f"--eth-peer={port},{mac(2, port)}" for port in range(32)]
        swap = self.interactive("b", ports(2), "--forward-mode=macswap", *usual, mbufs=150_000, memory_mb=256)
        source = self.interactive("a", ports(1), "--forward-mode=macswap", *usual, *peers, mbufs=150_000, memory_mb=256)
        swap.say("start")
        # Each with a port of its own in the other: two bursts that go to and fro.
        source.say("start tx_first 2")
        self.bounces(source, swap, 32, 1)
        late = self.bed.testpmd("late", ["net_rvif0,backend=direct"])
        late.until_says("all of the switch's ports are taken")

    def test_testpmd_attaches_and_detaches_ports(self) -> None:
        manager = self.bed.manager()
        port = self.interactive("b", ["net_rvif0,backend=direct,mac=" + B])
        for round_ in range(1, 4):
            port.say(f"port attach net_rvif{round_},backend=direct,socket={self.bed.socket}")
            port.until_says("Port 1 is attached. Now total ports is 2", times=round_)
            port.say("port start 1")
            port.say("set fwd mac")
            port.say("set promisc all on")
            port.say("start tx_first 4")
            # Those frames go round for ever: out of one port, into the other, back.
            port.until("frames through both", lambda: all(xstats(port, each)["rx_good_packets"] > 10_000 for each in (0, 1)))
            self.stopped(port)
            port.say("clear port xstats all")
            port.say("port stop 1")
            port.say("port detach 1")
            port.until_says("Device is detached", times=round_)
            port.until_says("Now total ports is 1", times=round_)
            manager.until_says("closed", times=round_)
        port.say("port attach net_rvif9,backend=direct,socket=/nowhere/rvs.sock")
        port.until_says("use one socket= for all ports of a process")
        self.assertTrue(port.running())


if __name__ == "__main__":
    unittest.main(verbosity=2)
