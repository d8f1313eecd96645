# SPDX-License-Identifier: Apache-2.0
"""Applications that know nothing of this driver: dpdk-l2fwd from the distribution's source; testpmd as a packet generator and
as somebody who answers pings."""

from __future__ import annotations

import collections
import re
import struct
import subprocess
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import pcap  # noqa: E402
from bed import Process  # noqa: E402
from case import BUILD, A, B, DirectCase, xstats  # noqa: E402

L2FWD = BUILD / "tests/direct/dpdk-l2fwd"
# Two networks that nothing joins but a program with a port in each.
TWO_NETWORKS = "".join(f"[[guest]]\nlabel = '{label}'\nvlan = {vlan}\n" for label, vlan in
                       (("a", 10), ("left", 10), ("right", 20), ("b", 20)))


def octets(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class ApplicationsTest(DirectCase):
    # -------------------------------------------------------------- l2fwd

    def l2fwd(self, *arguments: str) -> Process:
        """Between the ports `left` and `right`, when its ports are up."""
        process = self.bed.dpdk(str(L2FWD), "l2fwd", ["net_rvif0,backend=direct,label=left", "net_rvif1,backend=direct,label=right"],
                                "--", "-p", "3", "-q", "2", "-T", "1", *arguments)
        process.until_says("Link up", times=2)
        process.until_says("Port statistics")
        return process

    def forwarded(self, process: Process) -> list[tuple[int, int]]:
        """Frames received and sent by each port, as it says itself once a second."""
        last = process.output().rpartition("Aggregate statistics")[0]
        return [(int(received), int(sent)) for sent, received in
                re.findall(r"Packets sent: +(\d+)\s+Packets received: +(\d+)", last)[-2:]]

    def test_l2fwd_of_the_distribution_forwards_verified_frames(self) -> None:
        self.bed.manager("--config", self.config(TWO_NETWORKS))
        l2fwd = self.l2fwd("--no-mac-updating", "-P")
        echo = self.bed.testpmd("b", [f"net_rvgen0,mode=echo,name=b,report={self.bed.report_path('b')}",
                                      "net_rvif0,backend=direct,label=b"], "--forward-mode=io")
        generator = self.bed.testpmd("a", [f"net_rvgen0,name=a,flow=64:50000,flow=1500:10000,report={self.bed.report_path('a')}",
                                           "net_rvif0,backend=direct,label=a"], "--forward-mode=io")
        for flow, sent in zip(self.bed.report(generator, 120)["flows"], (50_000, 50_000, 10_000, 10_000)):
            self.check_flow(flow, sent)
            self.assertEqual(sent, flow["verified"], flow)
        self.ends_well(generator, echo)
        # Each frame went through it, both ways.
        l2fwd.until("statistics", lambda: [port for port in self.forwarded(l2fwd) if min(port) >= 60_000][1:])
        l2fwd.terminate()
        self.ends_well(l2fwd)

    def test_l2fwd_gives_frames_the_addresses_of_the_next_hop(self) -> None:
        """Its usual mode. The receiver is not promiscuous: what reaches it bears the address that l2fwd writes."""
        self.bed.manager("--config", self.config(TWO_NETWORKS))
        l2fwd = self.l2fwd()
        out = self.bed.folder / "out.pcap"
        sink = self.interactive("b", ["net_rvif0,backend=direct,label=b,mac=02:00:00:00:00:01", f"net_pcap0,tx_pcap={out}"],
                                "--forward-mode=io", "--no-flush-rx")
        sink.say("set promisc all off")
        sink.say("start")
        left = re.findall(r"Port 0, MAC address: (\S+)", l2fwd.output())[0]
        right = re.findall(r"Port 1, MAC address: (\S+)", l2fwd.output())[0]
        source = self.interactive("a", [f"net_rvif0,backend=direct,label=a,mac={A}"], "--forward-mode=txonly", f"--eth-peer=0,{left}",
                                  "--txpkts=200")
        source.say("start")
        sink.until("frames", lambda: out.exists() and len(pcap.read(out)) >= 100)
        source.say("stop")
        self.stopped(sink)
        for frame in pcap.read(out):
            self.assertEqual(octets("02:00:00:00:00:01") + octets(right), frame[:12])
            self.assertEqual(200, len(frame))

    # ---------------------------------------------------- packet generators

    def test_a_packet_generator_has_its_flows_and_sizes_at_the_receiver(self) -> None:
        """Many flows, a mix of sizes, bursts as told, until a rate that is set while it sends holds it back; each frame is the
        receiver's or a drop with a reason."""
        self.bed.manager("--config", self.config("[[guest]]\nlabel = 'a'\n[[guest]]\nlabel = 'b'\n"))
        sink = self.interactive("b", ["net_rvif0,backend=direct,label=b,mac=" + B], "--forward-mode=rxonly", "--rxq=4", "--txq=4",
                                "--rss-udp", "--rxd=1024", mbufs=24576)
        sink.say("start")
        source = self.interactive("a", ["net_rvif0,backend=direct,label=a"], "--forward-mode=txonly", "--txonly-multi-flow",
                                  "--eth-peer=0," + B, "--txq=4", "--rxq=4", "--tx-offloads=0x8000", mbufs=16384)
        for line in ("set txpkts 64,200,500,700", "set txsplit rand", "set burst 16", "start"):
            source.say(line)
        source.until("frames without a rate", lambda: xstats(source)["tx_good_packets"] > 10_000)
        self.assertEqual(0, xstats(source)["drop_rate"])
        subprocess.run([str(BUILD / "host/bin/elisactl"), "--socket", f"{self.bed.socket}.control", "port", "set", "a", "rate=20"],
                       check=True, timeout=60)
        source.until("frames beyond the rate", lambda: xstats(source)["drop_rate"] > 1000)
        self.stopped(source)
        sent = xstats(source)
        accepted = sent["switch_tx_frames"]
        self.assertGreater(accepted, 1000)
        self.assertEqual(accepted, sent["tx_good_packets"])
        sink.until("each frame", lambda: (last := xstats(sink))["rx_good_packets"] + last["drop_no_buffer"] == accepted)
        self.stopped(sink)
        seen = xstats(sink)
        for queue in range(4):
            self.assertGreater(sent[f"tx_q{queue}_packets"], 100, queue)
            self.assertGreater(seen[f"rx_q{queue}_packets"], 100, queue)
        for way, stats in (("tx", sent), ("rx", seen)):
            self.assertEqual(stats[f"{way}_good_packets"], sum(stats[f"{way}_q{queue}_packets"] for queue in range(4)))
            self.assertEqual(stats[f"{way}_good_bytes"], sum(stats[f"{way}_q{queue}_bytes"] for queue in range(4)))
        # Sizes are from 64 to 1464: a mix has neither extreme's average.
        self.assertTrue(70 < seen["rx_good_bytes"] / seen["rx_good_packets"] < 1400, seen)

    def what_arrives(self, mode: str, *settings: str) -> list[bytes]:
        """Of a testpmd that generates frames."""
        self.bed.manager()
        out = self.bed.folder / "out.pcap"
        sink = self.interactive("b", ["net_rvif0,backend=direct,mac=" + B, f"net_pcap0,tx_pcap={out}"], "--forward-mode=io",
                                "--no-flush-rx", mbufs=16384)
        sink.say("start")
        source = self.interactive("a", [f"net_rvif0,backend=direct,mac={A}"], f"--forward-mode={mode}", "--eth-peer=0," + B,
                                  "--tx-offloads=0x8000", *(word for word in settings if word.startswith("--")))
        for line in settings:
            if not line.startswith("--"):
                source.say(line)
        source.say("start")
        sink.until("frames", lambda: out.exists() and len(pcap.read(out)) >= 4000)
        self.stopped(source)
        self.stopped(sink)
        return pcap.read(out)

    def test_txonly_sends_each_size_of_its_mix_and_many_flows(self) -> None:
        frames = self.what_arrives("txonly", "--txonly-multi-flow", "set txpkts 64,200,500,700", "set txsplit rand")
        self.assertEqual({64, 264, 764, 1464}, {len(frame) for frame in frames})
        self.assertGreater(len({frame[26:34] for frame in frames}), 50)

    def test_flowgen_sends_as_many_flows_as_it_is_told(self) -> None:
        frames = self.what_arrives("flowgen", "--flowgen-flows=256", "set txpkts 300")
        flows = collections.Counter(frame[26:34] for frame in frames)
        self.assertEqual(256, len(flows))
        for frame in frames:
            self.assertEqual(300 - 4, len(frame), "flowgen counts an FCS")
            self.assertEqual(0, checksum(frame[14:34]), "its IPv4 header is whole")

    # ------------------------------------------------------------ answers

    def test_icmpecho_answers_an_arp_request_and_a_ping(self) -> None:
        self.bed.manager()
        ours, theirs = bytes((10, 1, 2, 3)), bytes((10, 1, 2, 4))
        arp = (b"\xff" * 6 + octets(A) + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + octets(A) + ours + bytes(6) + theirs)
        arp += bytes(60 - len(arp))
        body = bytes(range(200))
        echo = struct.pack(">BBHHH", 8, 0, 0, 0x1234, 7) + body
        echo = echo[:2] + struct.pack(">H", checksum(echo)) + echo[4:]
        ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(echo), 5, 0, 64, 1, 0, ours, theirs)
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
        ping = octets(B) + octets(A) + b"\x08\x00" + ip + echo
        asked, answers = self.bed.folder / "asked.pcap", self.bed.folder / "answers.pcap"
        pcap.write(asked, [arp, ping])

        answering = self.interactive("b", ["net_rvif0,backend=direct,mac=" + B], "--forward-mode=icmpecho")
        answering.say("start")
        asking = self.interactive("a", [f"net_pcap0,rx_pcap={asked},infinite_rx=1,tx_pcap={answers}",
                                        f"net_rvif0,backend=direct,mac={A}"], "--forward-mode=io", "--no-flush-rx")
        asking.say("start")
        answering.until("questions", lambda: xstats(answering)["rx_good_packets"] > 1000)
        asking.until("both answers", lambda: answers.exists() and {frame[12:14] for frame in pcap.read(answers)} >= {b"\x08\x06", b"\x08\x00"})
        self.stopped(asking)
        seen = {frame[12:14]: frame for frame in pcap.read(answers)}
        self.assertEqual(octets(A) + octets(B) + struct.pack(">HHHBBH", 0x0806, 1, 0x0800, 6, 4, 2) + octets(B) + theirs + octets(A) + ours,
                         seen[b"\x08\x06"][:42])
        answer = seen[b"\x08\x00"]
        self.assertEqual(octets(A) + octets(B), answer[:12])
        self.assertEqual((theirs, ours), (answer[26:30], answer[30:34]))
        self.assertEqual(0, checksum(answer[14:34]))
        self.assertEqual((0, 0, 0x1234, 7), struct.unpack(">BBxxHH", answer[34:42]))
        self.assertEqual(0, checksum(answer[34:]))
        self.assertEqual(body, answer[42:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
