# SPDX-License-Identifier: Apache-2.0
"""Stock testpmd processes exchange frames through the switch with the direct backend."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from bed import HUGEPAGES_CAN_BE_HAD, Process  # noqa: E402
from case import BUILD, B, C, DirectCase  # noqa: E402


class DirectTest(DirectCase):
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

    @unittest.skipUnless(HUGEPAGES_CAN_BE_HAD, "only root can reserve hugepages")
    def test_an_applications_memory_grows_and_shrinks(self) -> None:
        self.bed.manager()
        self.bed.hugepages(340)
        test = self.bed.dpdk(str(BUILD / "tests/direct/rvif_memory_test"), "memory_test",
                             ["net_rvif0,backend=direct", "net_rvif1,backend=direct"], first=[str(self.bed.socket)], huge=[])
        self.ends_well(test)
        self.assertIn("all passed", test.output())
        # What to do about too much of it is said.
        self.assertIn("stop and start the first ones, or use EAL's -m", test.output())

    @unittest.skipUnless(HUGEPAGES_CAN_BE_HAD, "only root can reserve hugepages")
    def test_hugepages_of_every_kind_are_shared(self) -> None:
        """--legacy-mem has as many pieces as the machine has in a row; not testpmd, which wants more than a page in one piece."""
        self.bed.manager()
        self.bed.hugepages(160)
        for huge in ([], ["--legacy-mem", "-m", "128"], ["--single-file-segments"], ["--in-memory"]):
            test = self.bed.dpdk(str(BUILD / "tests/direct/rvif_driver_test"), "driver_test",
                                 ["net_rvif0,backend=direct", "net_rvif1,backend=direct"], huge=huge)
            self.ends_well(test)
            self.assertIn("all passed", test.output(), huge)

    @unittest.skipUnless(HUGEPAGES_CAN_BE_HAD, "only root can reserve hugepages")
    def test_the_switch_may_lie_in_hugepages_too(self) -> None:
        self.bed.hugepages(64)
        before = self.bed.free_hugepages()
        self.bed.manager("--huge")
        echo = self.bed.echo("b")
        generator = self.bed.generator("a", [(64, 20_000), (1500, 5_000)])
        for flow, sent in zip(self.bed.report(generator)["flows"], (20_000, 20_000, 5_000, 5_000)):
            self.check_flow(flow, sent)
        self.assertLess(self.bed.free_hugepages(), before)
        self.ends_well(generator, echo)

    @unittest.skipUnless(HUGEPAGES_CAN_BE_HAD, "only root can reserve hugepages")
    def test_too_few_hugepages_for_the_switch_are_said(self) -> None:
        self.bed.hugepages(-self.bed.free_hugepages())
        manager = self.bed.program("manager", [str(BUILD / "guest/bin/vmnet"), "--backend", "direct", "--huge", "--socket",
                                               str(self.bed.socket)])
        self.assertEqual(1, manager.wait())
        self.assertRegex(manager.output(), r"--huge needs \d+ free pages of 2 MB .* echo N > /proc/sys/vm/nr_hugepages")

    def test_a_number_that_is_none_is_said(self) -> None:
        manager = self.bed.program("manager", [str(BUILD / "guest/bin/vmnet"), "--backend", "direct", "--socket",
                                               str(self.bed.socket), "--stats", "often"])
        self.assertNotEqual(0, manager.wait())
        self.assertIn("--stats: Value often not in range", manager.output())

    def test_nobody_elses_socket_is_taken(self) -> None:
        def refusal(*arguments: str) -> str:
            manager = self.bed.program("second", [str(BUILD / "guest/bin/vmnet"), "--backend", "direct", *arguments])
            self.assertEqual(1, manager.wait())
            return manager.output()

        path, control = str(self.bed.socket), f"{self.bed.socket}.control"
        self.assertIn(f"{path} is in use: stop the program that listens there, or choose another path (--control PATH",
                      refusal("--socket", path, "--control", path))
        first = self.bed.manager()
        for arguments in (("--socket", path), ("--socket", control), ("--socket", path + "2", "--control", path),
                          ("--socket", path + "2", "--control", control)):
            self.assertIn("is in use", refusal(*arguments))
        file = self.bed.folder / "file"
        file.write_text("something else")
        for arguments in (("--socket", str(file)), ("--socket", path + "2", "--control", str(file))):
            self.assertIn("is no socket: remove it, or choose another path", refusal(*arguments))
        self.assertEqual("something else", file.read_text())
        self.assertTrue(first.running())
        for socket_path in (path, control):
            self.assertEqual(0o600, os.stat(socket_path).st_mode & 0o777)

        first.kill()
        self.bed.manager()
        self.ends_well(self.bed.program("elisactl", [str(BUILD / "host/bin/elisactl"), "--socket", control, "port", "list"]))

    @unittest.skipUnless(HUGEPAGES_CAN_BE_HAD, "only root can reserve hugepages")
    def test_a_secondary_process_is_refused(self) -> None:
        self.bed.manager()
        self.bed.hugepages(80)
        primary = self.bed.testpmd("a", ["net_rvif0,backend=direct"], "--forward-mode=rxonly", huge=[])
        primary.until_says("Press enter to exit")
        secondary = self.bed.testpmd("a", ["net_rvif9,backend=direct"], huge=["--proc-type=secondary"])
        secondary.until_says("net_rvif9: a secondary process cannot use this port")
        self.assertTrue(primary.running())

    def test_every_forwarding_mode_moves_frames(self) -> None:
        self.bed.manager()
        # testpmd's shared_rxq knows its streams only if it was told to share, and crashes otherwise, whatever the port.
        port = self.bed.testpmd("b", ["net_rvif0,backend=direct,mac=" + B], "-i", "--rxq-share=1")
        port.until_says("testpmd>")
        source = self.bed.testpmd("a", ["net_rvif0,backend=direct"], "--forward-mode=txonly", "--eth-peer=0," + B)
        source.until_says("Press enter to exit")
        modes = ("io", "mac", "macswap", "flowgen", "rxonly", "txonly", "csum", "icmpecho", "noisy", "5tswap", "shared_rxq")
        for nth, mode in enumerate(modes, 1):
            port.say(f"set fwd {mode}")
            port.say("start")
            port.until_says(f"{mode} packet forwarding", bound=20)
            time.sleep(0.2)
            port.say("stop")
            port.until_says("Accumulated forward statistics", times=nth)
            totals = re.findall(r"RX-packets: (\d+).*?TX-packets: (\d+)", port.output().rpartition("Accumulated")[2], re.DOTALL)
            received, sent = map(int, totals[0])
            if mode not in ("flowgen", "txonly"):
                self.assertGreater(received, 100, mode)
            if mode not in ("rxonly", "shared_rxq", "icmpecho"):  # icmpecho_answers_... has what that one answers
                self.assertGreater(sent, 100, mode)

    def test_testpmd_sees_flows_in_all_of_its_queues(self) -> None:
        self.bed.manager()
        sink = self.bed.testpmd("b", ["net_rvif0,backend=direct,mac=" + B], "-i", "--forward-mode=rxonly", "--rxq=4", "--txq=4",
                                "--rss-udp", mbufs=16384)
        sink.until_says("testpmd>")
        sink.say("start")
        source = self.bed.testpmd("a", ["net_rvif0,backend=direct"], "-i", "--forward-mode=txonly", "--txonly-multi-flow",
                                  "--eth-peer=0," + B)
        source.until_says("testpmd>")
        source.say("start")
        time.sleep(0.5)
        source.say("stop")
        source.until_says("Accumulated forward statistics")
        sink.say("stop")
        sink.until_says("Accumulated forward statistics")
        queues = dict(re.findall(r"Forward Stats for RX Port= 0/Queue= ?(\d+).*?RX-packets: (\d+)", sink.output(), re.DOTALL))
        self.assertEqual(["0", "1", "2", "3"], sorted(queues))
        for queue, packets in queues.items():
            self.assertGreater(int(packets), 100, queue)

    def test_csum_mode_leaves_checksums_to_the_port(self) -> None:
        """That they are right is the concern of a_nic_does_what_is_expected."""
        self.bed.manager()
        sink = self.bed.testpmd("c", ["net_rvif0,backend=direct,mac=" + C], "-i", "--forward-mode=csum")
        sink.until_says("testpmd>")
        middle = self.bed.testpmd("b", ["net_rvif0,backend=direct,mac=" + B], "-i", "--forward-mode=csum", "--eth-peer=0," + C)
        middle.until_says("testpmd>")
        for line in ("port stop 0", "csum set ip hw 0", "csum set udp hw 0", "port start 0", "start"):
            middle.say(line)
        middle.until_says("csum packet forwarding")
        sink.say("set fwd csum")
        sink.say("start")
        source = self.bed.testpmd("a", ["net_rvif0,backend=direct"], "-i", "--forward-mode=txonly", "--eth-peer=0," + B)
        source.until_says("testpmd>")
        source.say("start")
        time.sleep(0.5)
        source.say("stop")
        source.until_says("Accumulated forward statistics")
        time.sleep(0.2)
        sink.say("stop")
        sink.until_says("Accumulated forward statistics")
        middle.say("stop")
        middle.until_says("Accumulated forward statistics")
        middle.say("show port xstats 0")
        middle.until_says("tx_busy_calls")
        self.assertGreater(int(re.findall(r"TX-packets: (\d+)", middle.output())[-1]), 1000)
        seen = sink.output()
        self.assertGreater(int(re.findall(r"RX-packets: (\d+)", seen)[-1]), 1000)
        self.assertIn("drop_bad_offload: 0", middle.output())
        self.assertIn("UDP checksum offload is hw", middle.output())

    def test_telemetry_answers(self) -> None:
        self.bed.manager()
        prefix = f"elisa-{os.getpid()}"
        port = self.bed.dpdk("dpdk-testpmd", "a", ["net_rvif0,backend=direct"], "--", "--nb-cores=1", "--total-num-mbufs=4096",
                             "--forward-mode=rxonly", first=["--file-prefix", prefix], telemetry=True)
        port.until_says("Press enter to exit")
        runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/tmp") if os.getuid() else Path("/var/run")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(10)
            client.connect(str(runtime / "dpdk" / prefix / "dpdk_telemetry.v2"))
            client.recv(16384)

            def ask(question: str) -> Any:
                client.send(question.encode())
                return json.loads(client.recv(65536))[question.partition(",")[0]]

            info = ask("/net_rvif/info,0")
            self.assertEqual(("direct", 2, 0, 1), (info["backend"], info["rvif_version"], info["switch_port"], info["reachable"]))
            self.assertEqual(str(self.bed.socket), info["socket"])
            self.assertIn("drop_no_buffer", ask("/ethdev/xstats,0"))
            self.assertEqual("UP", ask("/ethdev/link_status,0")["status"])
            self.assertIsNone(ask("/net_rvif/info,9"))

    # ------------------------------------------------------------ policies

    def test_ports_have_the_vlans_of_the_configuration(self) -> None:
        self.bed.manager("--config", self.config(
            "[[guest]]\nlabel = 'a'\nvlan = 10\n[[guest]]\nlabel = 'b'\nvlan = 10\n[[guest]]\nlabel = 'c'\nvlan = 20\n"))
        other = self.bed.testpmd("c", ["net_rvif0,backend=direct,label=c"], "-i", "--forward-mode=rxonly")
        other.until_says("testpmd>")
        other.say("start")
        echo = self.bed.testpmd("b", [f"net_rvgen0,mode=echo,name=b,report={self.bed.report_path('b')}",
                                      "net_rvif0,backend=direct,label=b"], "--forward-mode=io")
        generator = self.bed.testpmd(
            "a", [f"net_rvgen0,name=a,flow=64:20000,report={self.bed.report_path('a')}", "net_rvif0,backend=direct,label=a"],
            "--forward-mode=io")
        for flow in self.bed.report(generator)["flows"]:
            self.check_flow(flow, 20_000)
        self.ends_well(generator, echo)
        other.say("stop")
        other.until_says("Accumulated forward statistics")
        self.assertEqual("0", re.findall(r"RX-packets: (\d+)", other.output())[-1])
        stranger = self.bed.testpmd("d", ["net_rvif0,backend=direct,label=d"])
        stranger.until_says("there is no [[guest]] with the label 'd'")

    def test_a_link_follows_the_manager(self) -> None:
        self.bed.manager("--config", self.config("[[guest]]\nlabel = 'a'\n[[guest]]\nlabel = 'b'\n"))
        sink = self.bed.testpmd("b", ["net_rvif0,backend=direct,label=b,mac=" + B], "-i", "--forward-mode=rxonly")
        sink.until_says("testpmd>")
        sink.say("start")
        source = self.bed.testpmd("a", ["net_rvif0,backend=direct,label=a"], "-i", "--forward-mode=txonly", "--eth-peer=0," + B)
        source.until_says("testpmd>")
        source.say("start")
        source.until_says("txonly packet forwarding")

        def xstat(process: Process, name: str) -> int:
            found = len(re.findall(rf"^{name}: ", process.output(), re.MULTILINE))
            process.say("show port xstats 0")
            process.until(name, lambda: len(re.findall(rf"^{name}: \d+$", process.output(), re.MULTILINE)) > found)
            return int(re.findall(rf"^{name}: (\d+)", process.output(), re.MULTILINE)[-1])

        def operator(verb: str) -> None:
            subprocess.run([str(BUILD / "host/bin/elisactl"), "--socket", f"{self.bed.socket}.control", "port", verb, "a"],
                           check=True, timeout=60)

        def link(process: Process, state: str, changes: int) -> None:
            process.until_says("Port 0: link state change event", times=changes)
            seen = process.output().count("Link status: ")
            process.say("show port info 0")
            process.until_says("Link status: ", times=seen + 1)
            self.assertEqual(state, re.findall(r"Link status: (\w+)", process.output())[-1])

        sink.until("frames", lambda: xstat(sink, "rx_good_packets") > 0)
        self.assertEqual(0, xstat(source, "drop_link_down"))
        operator("down")
        link(source, "down", 1)
        self.assertGreater(xstat(source, "drop_link_down"), 0)
        time.sleep(0.1)
        before = xstat(sink, "rx_good_packets")
        time.sleep(0.3)
        self.assertEqual(before, xstat(sink, "rx_good_packets"))
        link(sink, "up", 0)
        operator("up")
        link(source, "up", 2)
        sink.until("frames again", lambda: xstat(sink, "rx_good_packets") > before)

    def test_a_refused_mac_is_not_the_ports(self) -> None:
        own = "02:00:00:00:00:0a"
        self.bed.manager("--config", self.config(f"[[guest]]\nlabel = 'a'\nmac = '{own}'\n"))
        port = self.bed.testpmd("a", ["net_rvif0,backend=direct,label=a"], "-i")
        port.until_says("testpmd>")
        port.say("mac_addr set 0 02:00:00:00:00:0b")
        port.until_says(f"the switch gives this port {own.upper()} and no other")
        port.say("show port info 0")
        port.until_says("Link status: ")
        self.assertEqual([own.upper()], re.findall(r"MAC address: (\S+)", port.output())[-1:])
        port.say("port stop 0")
        port.until_says("Stopping ports")
        port.say("port start 0")
        port.until_says("Port 0: " + own.upper(), times=2)

    def test_a_mirror_gets_every_frame_of_its_port(self) -> None:
        self.bed.manager("--config", self.config(
            "[[guest]]\nlabel = 'a'\nmirror = 'tap'\n[[guest]]\nlabel = 'b'\n[[guest]]\nlabel = 'tap'\ncapture = true\n"))
        tap = self.bed.testpmd("tap", ["net_rvif0,backend=direct,label=tap"], "-i", "--forward-mode=rxonly", "--rxd=4096",
                               mbufs=24576)
        tap.until_says("testpmd>")
        tap.say("start")
        echo = self.bed.testpmd("b", [f"net_rvgen0,mode=echo,name=b,report={self.bed.report_path('b')}",
                                      "net_rvif0,backend=direct,label=b"], "--forward-mode=io")
        generator = self.bed.testpmd(
            "a", [f"net_rvgen0,name=a,flow=64:5000,report={self.bed.report_path('a')}", "net_rvif0,backend=direct,label=a"],
            "--forward-mode=io")
        for flow in self.bed.report(generator)["flows"]:
            self.check_flow(flow, 5_000)
        self.ends_well(generator, echo)
        tap.say("stop")
        tap.until_says("Accumulated forward statistics")
        tap.say("show port xstats 0")
        tap.until_says("tx_busy_calls")

        def xstat(name: str) -> int:
            return int(re.findall(rf"^{name}: (\d+)", tap.output(), re.MULTILINE)[-1])

        # Both directions, and what the generators say to each other; what it was too slow for is counted.
        self.assertGreaterEqual(xstat("rx_good_packets") + xstat("drop_no_buffer"), 10_000)
        self.assertGreater(xstat("rx_good_packets"), 1000)

    def test_a_rate_is_kept(self) -> None:
        self.bed.manager("--config", self.config(
            "[[guest]]\nlabel = 'a'\nrate = 100\n[[guest]]\nlabel = 'b'\n"))
        sink = self.bed.testpmd("b", ["net_rvif0,backend=direct,label=b,mac=" + B], "-i", "--forward-mode=rxonly")
        sink.until_says("testpmd>")
        sink.say("start")
        source = self.bed.testpmd("a", ["net_rvif0,backend=direct,label=a"], "-i", "--forward-mode=txonly", "--eth-peer=0," + B,
                                  "--txpkts=1000")
        source.until_says("testpmd>")
        began = time.monotonic()
        source.say("start")
        time.sleep(1)
        source.say("stop")
        source.until_says("Accumulated forward statistics")
        took = time.monotonic() - began
        source.say("show port xstats 0")
        source.until_says("tx_busy_calls")

        def xstat(name: str) -> int:
            return int(re.findall(rf"^{name}: (\d+)", source.output(), re.MULTILINE)[-1])

        self.assertGreater(xstat("drop_rate"), 1000)
        passed = xstat("switch_tx_bytes")
        # No more than the rate and its burst allow in the time that it took at most.
        self.assertLessEqual(passed, 12_500_000 * (took + 0.05) + 125_000)
        self.assertGreater(passed, 100_000)

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
