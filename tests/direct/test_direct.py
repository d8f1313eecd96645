# SPDX-License-Identifier: Apache-2.0
"""Stock testpmd processes exchange frames through the switch with the direct backend."""

from __future__ import annotations

import os
import re
import sys
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from bed import Bed, Process  # noqa: E402

BUILD = Path(os.environ.get("ELISA_BUILD_DIR", Path(__file__).parents[2] / "build"))
LOGS = BUILD / "logs/direct"

A, B, C = "02:72:76:67:00:01", "02:72:76:67:00:02", "02:72:76:67:00:03"


class DirectTest(unittest.TestCase):
    def setUp(self) -> None:
        self.bed = Bed(BUILD, LOGS / self.id().rpartition(".")[2])
        self.bed.__enter__()
        self.addCleanup(self.bed.__exit__)

    def check_flow(self, flow: dict[str, Any], sent: int) -> None:
        self.assertEqual(sent, flow["sent"], flow)
        self.check_honest(flow)

    def check_honest(self, flow: dict[str, Any]) -> None:
        """Nothing corrupted or doubled, and what is missing is counted somewhere."""
        self.assertEqual(0, flow["corrupted"], flow)
        self.assertEqual(0, flow["duplicated"], flow)
        self.assertEqual(flow["received"], flow["verified"], flow)
        self.assertEqual(flow["sent"], flow["received"] + sum(flow["drops"].values()), flow)

    def ends_well(self, *processes: Process) -> None:
        for process in processes:
            self.assertEqual(0, process.wait(), f"{process.name}:\n{process.tail()}")

    # ------------------------------------------------------------- frames

    def test_both_directions_are_verified_at_64_and_1500_bytes(self) -> None:
        self.bed.manager()
        echo = self.bed.echo("b")
        generator = self.bed.generator("a", [(64, 100_000), (1500, 20_000)])
        report, answer = self.bed.report(generator), self.bed.report(echo)
        self.ends_well(generator, echo)
        flows = report["flows"]
        self.assertEqual([("a", "b", 64), ("b", "a", 64), ("a", "b", 1500), ("b", "a", 1500)],
                         [(f["from"], f["to"], f["size"]) for f in flows])
        for flow, sent in zip(flows, (100_000, 100_000, 20_000, 20_000)):
            self.check_flow(flow, sent)
            self.assertEqual({}, flow["drops"], "the window keeps the run lossless")
        self.assertEqual(120_000, answer["echo"]["verified"])
        self.assertGreater(report["crossings"], 0)

    def test_stock_macswap_answers_too(self) -> None:
        self.bed.manager()
        swap = self.bed.testpmd("b", ["net_rvif0,backend=direct"], "--forward-mode=macswap")
        generator = self.bed.generator("a", [(64, 50_000), (1500, 10_000)])
        for flow, sent in zip(self.bed.report(generator)["flows"], (50_000, 10_000)):
            self.check_flow(flow, sent)
        self.ends_well(generator)
        swap.say("")
        self.ends_well(swap)
        received = int(re.search(r"RX-packets: (\d+)", swap.output()).group(1))  # type: ignore[union-attr]
        self.assertGreaterEqual(received, 60_000)

    def test_sizes_around_every_boundary(self) -> None:
        self.bed.manager()
        echo = self.bed.echo("b")
        sizes = (60, 61, 63, 65, 127, 128, 129, 255, 256, 1024, 1499, 1501, 1518)
        generator = self.bed.generator("a", [(size, 500) for size in sizes])
        for flow in self.bed.report(generator)["flows"]:
            self.check_flow(flow, 500)
        self.ends_well(generator, echo)

    def test_jumbo_frames_travel_in_chains(self) -> None:
        self.bed.manager()
        big = ("--max-pkt-len=9018", "--enable-scatter", "--tx-offloads=0x8000")
        echo = self.bed.echo("b", *big)
        generator = self.bed.generator("a", [(2049, 2000), (4000, 2000), (9000, 2000)], *big,
                                       options="window=32")
        for flow in self.bed.report(generator)["flows"]:
            self.check_flow(flow, 2000)
        self.ends_well(generator, echo)

    def test_a_frame_longer_than_the_mtu_is_dropped_and_counted(self) -> None:
        self.bed.manager()
        echo = self.bed.echo("b")
        generator = self.bed.generator("a", [(1800, 100)], options="lost_ms=200")
        there, back = self.bed.report(generator)["flows"]
        self.assertEqual({"rx_oversize": 100}, there["drops"])
        self.check_honest(there)
        self.assertEqual(0, back["sent"])
        self.ends_well(generator, echo)

    def test_an_overrun_receiver_counts_what_it_misses(self) -> None:
        self.bed.manager()
        echo = self.bed.echo("b", "--rxd=64", "--burst=8")
        generator = self.bed.generator("a", [(64, 50_000)], options="window=4000,lost_ms=200")
        for flow in self.bed.report(generator, 120)["flows"]:
            self.check_honest(flow)
        self.ends_well(generator, echo)

    # ---------------------------------------------------- several processes

    def test_two_generators_share_one_echo(self) -> None:
        self.bed.manager()
        echo = self.bed.echo("b", options="peers=2")
        one = self.bed.generator("a", [(64, 20_000)])
        two = self.bed.generator("c", [(1500, 5_000)], mac=C)
        for process, sent in ((one, 20_000), (two, 5_000)):
            for flow in self.bed.report(process)["flows"]:
                self.assertEqual(0, flow["corrupted"] + flow["duplicated"])
                self.assertEqual(sent, flow["verified"])
        self.ends_well(one, two, echo)

    def test_a_killed_sender_stops_nobody_and_is_replaced(self) -> None:
        manager = self.bed.manager()
        echo = self.bed.echo("b", options="peers=2")
        victim = self.bed.generator("a", [(64, 500_000_000)])
        victim.until_says("traffic-begin")
        third = self.bed.generator("c", [(64, 50_000), (1500, 10_000)], mac=C)
        third.until_says("traffic-begin")
        time.sleep(0.3)
        victim.kill()
        for flow in self.bed.report(third)["flows"]:
            self.assertEqual(0, flow["corrupted"] + flow["duplicated"], flow)
            self.assertEqual(flow["sent"], flow["verified"], flow)
        manager.until_says(f"(pid {victim.pid}) has gone")
        opened = re.search(rf"port (\d+) opened for \S+ \(pid {victim.pid},", manager.output())
        self.assertIsNotNone(opened)
        self.ends_well(third)

        again = self.bed.generator("a", [(64, 20_000)])
        for flow in self.bed.report(again)["flows"]:
            self.assertEqual(20_000, flow["verified"], flow)
            self.assertEqual(0, flow["corrupted"] + flow["duplicated"], flow)
        self.ends_well(again, echo)
        reopened = re.search(rf"port (\d+) opened for \S+ \(pid {again.pid},", manager.output())
        self.assertEqual(opened.group(1), reopened.group(1))  # type: ignore[union-attr]

    def test_a_killed_receiver_stops_nobody(self) -> None:
        manager = self.bed.manager()
        victim = self.bed.echo("v", options="mac=" + C)
        flooder = self.bed.generator("f", [(64, 500_000_000)], mac="02:72:76:67:00:04", options="lost_ms=100,peer=" + C)
        flooder.until_says("traffic-begin")
        victim.kill()
        manager.until_says(f"(pid {victim.pid}) has gone")
        echo = self.bed.echo("b")
        generator = self.bed.generator("a", [(1500, 10_000)])
        for flow in self.bed.report(generator)["flows"]:
            self.assertEqual(10_000, flow["verified"], flow)
        self.assertTrue(flooder.running())
        self.ends_well(generator, echo)

    def test_a_frozen_sender_stops_nobody(self) -> None:
        manager = self.bed.manager()
        echo = self.bed.echo("b", options="peers=3")
        # Long enough that it is still sending when the others have begun, on any machine.
        frozen = self.bed.generator("a", [(64, 20_000_000)], options="lost_ms=20000")
        frozen.until_says("traffic-begin")
        present = self.bed.generator("c", [(64, 100_000)], mac=C)
        present.until_says("traffic-begin")
        frozen.freeze()
        for flow in self.bed.report(present)["flows"]:
            self.assertEqual(100_000, flow["verified"], flow)
        # Its mappings cannot be changed while it is stopped, and yet others come and go.
        newcomer = self.bed.generator("d", [(1500, 5_000)], mac="02:72:76:67:00:04")
        for flow in self.bed.report(newcomer)["flows"]:
            self.assertEqual(5_000, flow["verified"], flow)
        self.ends_well(present, newcomer)
        manager.until_says("does not react")
        frozen.thaw()
        for flow in self.bed.report(frozen, 120)["flows"]:
            self.assertEqual(0, flow["corrupted"] + flow["duplicated"], flow)
            self.assertEqual(flow["sent"], flow["verified"], flow)
        self.ends_well(frozen, echo)

    def test_a_port_stops_while_its_peer_is_frozen(self) -> None:
        self.bed.manager()
        sink = self.bed.testpmd("b", ["net_rvif0,backend=direct,mac=" + B], "-i", "--forward-mode=rxonly", mbufs=4096)
        sink.until_says("testpmd>")
        sink.say("start")
        source = self.bed.testpmd("a", ["net_rvif0,backend=direct"], "--forward-mode=txonly", "--eth-peer=0," + B)
        source.until_says("Press enter to exit")
        for round_ in range(4):
            time.sleep(0.2)
            source.freeze()  # most likely inside the switch: it does nothing else
            sink.say("stop")
            sink.say("port stop all")
            sink.until_says("Stopping ports...", times=round_ + 1)
            time.sleep(2.5)
            source.thaw()
            sink.say("port start all")
            sink.say("start")
            sink.until_says("rxonly packet forwarding", times=round_ + 2)
        sink.say("stop")
        sink.say("port stop all")
        sink.say("dump_mempool mb_pool_0")
        sink.until_says("total_cache_count=")
        free = sum(int(re.findall(rf"{kind}=(\d+)", sink.output())[-1]) for kind in ("common_pool_count", "total_cache_count"))
        self.assertEqual(4096, free)

    def test_traffic_goes_on_without_the_manager(self) -> None:
        manager = self.bed.manager()
        echo = self.bed.echo("b")
        generator = self.bed.generator("a", [(64, 3_000_000)])
        generator.until_says("traffic-begin")
        manager.kill()
        generator.until_says("the manager at")
        for flow in self.bed.report(generator)["flows"]:
            self.check_flow(flow, 3_000_000)
        self.ends_well(generator, echo)
        late = self.bed.testpmd("late", ["net_rvif0,backend=direct"])
        late.until_says("start it first: vmnet --backend direct")

    def test_two_ports_of_one_process(self) -> None:
        manager = self.bed.manager()
        both = self.bed.testpmd("both", ["net_rvif0,backend=direct", "net_rvif1,backend=direct"], "--forward-mode=io",
                                "--tx-first")
        both.until_says("Press enter to exit")
        time.sleep(0.5)
        both.say("")
        self.ends_well(both)
        manager.until_says("closed", times=2)
        # What --tx-first sent goes round for ever: out of one port, into the other, back.
        total = re.findall(r"RX-packets: (\d+)", both.output())
        self.assertGreater(int(total[-1]), 32)

    # ------------------------------------------------------------- control

    def test_every_kind_of_mbuf_keeps_its_owner(self) -> None:
        self.bed.manager()
        test = self.bed.dpdk(str(BUILD / "tests/direct/rvif_driver_test"), "driver_test",
                             ["net_rvif0,backend=direct", "net_rvif1,backend=direct"])
        self.ends_well(test)
        self.assertIn("all passed", test.output())

    def test_a_nic_does_what_is_expected(self) -> None:
        self.bed.manager()
        test = self.bed.dpdk(str(BUILD / "tests/direct/rvif_nic_test"), "nic_test",
                             ["net_rvif0,backend=direct", "net_rvif1,backend=direct"], memory_mb=256, first=[str(self.bed.socket)])
        self.ends_well(test)
        self.assertIn("all passed", test.output())

    def test_ports_stop_and_start_without_a_leak(self) -> None:
        self.bed.manager()
        swap = self.bed.testpmd("b", ["net_rvif0,backend=direct"], "-i", "--forward-mode=macswap", mbufs=4096)
        swap.until_says("testpmd>")

        def free_mbufs(nth: int) -> int:
            swap.say("dump_mempool mb_pool_0")
            swap.until_says("total_cache_count=", times=nth)
            out = swap.output()
            return int(re.findall(r"common_pool_count=(\d+)", out)[-1]) + int(re.findall(r"total_cache_count=(\d+)", out)[-1])

        swap.say("port stop all")
        swap.until_says("Done")
        before = free_mbufs(1)
        self.assertEqual(4096, before)
        for round_ in range(3):
            swap.say("port start all")
            swap.say("start")
            generator = self.bed.generator("a", [(64, 20_000), (1500, 2_000)])
            for flow, sent in zip(self.bed.report(generator)["flows"], (20_000, 2_000)):
                self.check_flow(flow, sent)
            self.ends_well(generator)
            swap.say("stop")
            swap.until_says("Accumulated forward statistics", times=round_ + 1)
            swap.say("port stop all")
            self.assertEqual(before, free_mbufs(round_ + 2), "buffers are missing after a stop")
        swap.say("quit")
        self.ends_well(swap)

    def test_statistics_add_up(self) -> None:
        self.bed.manager()
        sink = self.bed.testpmd("b", ["net_rvif0,backend=direct,mac=" + B], "-i", "--forward-mode=rxonly")
        sink.until_says("testpmd>")
        sink.say("start")
        source = self.bed.testpmd("a", ["net_rvif0,backend=direct"], "-i", "--forward-mode=txonly", "--eth-peer=0," + B)
        source.until_says("testpmd>")
        source.say("start")
        time.sleep(0.5)
        source.say("stop")
        source.until_says("Accumulated forward statistics")
        time.sleep(0.3)
        sink.say("stop")
        sink.until_says("Accumulated forward statistics")
        for process in (source, sink):
            process.say("show port xstats 0")
            process.say("show port stats 0")
            process.until_says("Tx-pps:")

        def xstat(process: Process, name: str) -> int:
            return int(re.findall(rf"^{name}: (\d+)", process.output(), re.MULTILINE)[-1])

        sent = xstat(source, "tx_good_packets")
        self.assertGreater(sent, 1000)
        self.assertEqual(sent, xstat(source, "switch_tx_frames"))
        self.assertEqual(64 * sent, xstat(source, "tx_good_bytes"))
        received, missed = xstat(sink, "rx_good_packets"), xstat(sink, "rx_missed_errors")
        self.assertEqual(missed, xstat(sink, "drop_no_buffer") + xstat(sink, "drop_not_ready"))
        self.assertEqual(received, xstat(sink, "switch_rx_frames"))
        self.assertEqual(64 * received, xstat(sink, "rx_good_bytes"))
        self.assertEqual(sent, received + missed)
        sink.say("clear port stats 0")
        sink.say("show port xstats 0")
        sink.until("cleared counters", lambda: re.findall(r"^drop_no_buffer: (\d+)", sink.output(), re.MULTILINE)[1:])
        self.assertEqual(0, xstat(sink, "rx_good_packets") + xstat(sink, "drop_no_buffer") + xstat(sink, "switch_rx_frames"))

    def test_bad_device_arguments_are_explained(self) -> None:
        self.bed.manager()
        cases = {
            "backend=vhost": "want backend=elisa (in a guest VM) or backend=direct",
            "backend=direct": "backend=direct needs socket=<path>",
            "backend=direct,socket=/nowhere/rvs.sock": "cannot reach the manager at /nowhere/rvs.sock",
            "speed=10": "unknown argument 'speed': want backend=elisa|direct",
            "mac=ff:ff:ff:ff:ff:ff": "want a unicast address",
            "mac=house": "want a unicast address",
            "instance=two": "instance=two: want a number",
            "export=" + "x" * 40: "a name has at most 31 bytes",
            "socket=/tmp/x": "socket= is of backend=direct",
            "backend=direct,socket=/tmp/x,export=y": "export= is of backend=elisa",
            "mac=02:00:00:00:00:01,mac=02:00:00:00:00:02": "'mac' is given twice",
        }
        # One at a time would cost a start of EAL each; a device that fails does not keep EAL from the next.
        command = [f"net_rvif{i},{case}" for i, case in enumerate(cases)]
        process = self.bed.testpmd("bad", command, own_socket=False)
        process.until_says("No probed ethernet devices")
        for i, (case, message) in enumerate(cases.items()):
            self.assertRegex(process.output(), rf"net_rvif: net_rvif{i}: .*{re.escape(message)}", case)

    def test_descriptor_counts_are_explained(self) -> None:
        self.bed.manager()
        for wrong, advice in ((100, "such as 128 (testpmd: --rxd=128)"), (1000, "such as 1024")):
            process = self.bed.testpmd("wrong", ["net_rvif0,backend=direct"], f"--rxd={wrong}")
            process.wait()
            self.assertIn(f"{wrong} descriptors: want a power of two from 64 to 4096, {advice}", process.output())
        process = self.bed.testpmd("few", ["net_rvif0,backend=direct"], "--rxd=32")
        process.wait()
        self.assertRegex(process.output(), r"nb_rx_desc.* >= 64|below the (lower|minimal)|less than the minimum|< min")


if __name__ == "__main__":
    unittest.main(verbosity=2)
