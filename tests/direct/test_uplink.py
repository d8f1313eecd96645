# SPDX-License-Identifier: Apache-2.0
"""Ordinary sockets reach each other, and another network, through the switch: elisa-uplink."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from bed import Bed, Process, until  # noqa: E402
from network import Namespace, why_not  # noqa: E402

BUILD = Path(os.environ.get("ELISA_BUILD_DIR", Path(__file__).parents[2] / "build"))
LOGS = BUILD / "logs/direct"
UPLINK = BUILD / "guest/dpdk/elisa-uplink"
NOT_HERE = why_not()
AF_XDP = 44  # not in Python's socket

A, B = "02:72:76:67:00:0a", "02:72:76:67:00:0b"


@unittest.skipIf(NOT_HERE, f"needs root, network namespaces, TUN and veth: {NOT_HERE}")
class UplinkTest(unittest.TestCase):
    def setUp(self) -> None:
        self.stack = contextlib.ExitStack()
        self.addCleanup(self.stack.close)
        self.bed = self.stack.enter_context(Bed(BUILD, LOGS / self.id().rpartition(".")[2]))

    def namespace(self, name: str) -> Namespace:
        return self.stack.enter_context(Namespace(name))

    def uplink(self, where: Namespace, name: str, other: list[str], *, rvif: str = "", options: tuple[str, ...] = (),
               bed: Bed | None = None) -> Process:
        bed = bed or self.bed
        process = bed.program(name, [
            *where.prefix, str(UPLINK), "--driver", bed.plugins[1], "--json",
            "--name", f"elisa-test-{name}", "--rvif", f"backend=direct,socket={bed.socket}" + (rvif and "," + rvif),
            *other, *options, "--", "--no-huge", "-m", "96", "--no-shconf", "--no-telemetry"])
        process.until_says("are joined")
        return process

    def tap(self, name: str, *addresses: str, rvif: str = "", options: tuple[str, ...] = (),
            mtu: int | None = None, bed: Bed | None = None) -> tuple[Namespace, Process]:
        """A machine whose sockets use the switch."""
        where = self.namespace(name)
        process = self.uplink(where, name, ["--tap", "rvif0"], rvif=rvif, options=options, bed=bed)
        where.up("rvif0", *addresses, mtu=mtu)
        return where, process

    def machine(self, bridge: Namespace, name: str, nic: str) -> Namespace:
        """One whose interface is a port of the bridge."""
        where = self.namespace(name)
        where.run("ip", "link", "add", nic, "type", "veth", "peer", "name", name, "netns", bridge.name)
        bridge.run("ip", "link", "set", name, "master", "br0")
        bridge.up(name)
        where.up(nic)
        return where

    def bridge(self) -> Namespace:
        """Another network."""
        where = self.namespace("bridge")
        where.run("ip", "link", "add", "br0", "type", "bridge")
        where.up("br0")
        return where

    def ends(self, process: Process) -> dict[str, Any]:
        """Ends it, and looks whether it can account for each frame."""
        process.terminate()
        self.assertEqual(0, process.wait(), process.tail())
        summary: dict[str, Any] = json.loads(process.output().splitlines()[-1])
        for one in summary["directions"]:
            self.assertEqual(one["received"], one["sent"] + sum(one["drops"].values()), one)
            self.assertNotIn("bad_offload", one["drops"])
            self.assertNotIn("refused", one["drops"])
        return summary

    def moves(self, client: Namespace, server: Namespace, address: str, *options: str) -> dict[str, Any]:
        """A run of iperf3; the kernel counts what it is given with a wrong checksum."""
        report = client.iperf3(server, address, "--bytes", "2M" if "--udp" in options else "32M", *options)
        self.assertEqual((0, 0), (client.checksum_errors(), server.checksum_errors()))
        received: dict[str, Any] = report["end"]["sum" if "--udp" in options else "sum_received"]
        self.assertGreater(received["bytes"], 100_000, report["end"])
        return received

    def operator(self, *command: str) -> None:
        subprocess.run([str(BUILD / "host/bin/elisactl"), "--socket", f"{self.bed.socket}.control", *command],
                       check=True, timeout=60, stdout=subprocess.DEVNULL)

    # ------------------------------------------------------------- sockets

    def test_sockets_reach_each_other(self) -> None:
        self.bed.manager()
        a, program_a = self.tap("a", "10.9.0.1/24", "fd00::1/64", rvif="mac=" + A)
        b, program_b = self.tap("b", "10.9.0.2/24", "fd00::2/64", rvif="mac=" + B)
        self.assertEqual((A, B), (a.link("rvif0")["address"], b.link("rvif0")["address"]))
        a.answers("10.9.0.2")
        self.assertEqual((5, 5), a.ping("10.9.0.2"))
        self.assertEqual((5, 5), b.ping("fd00::1"))
        self.assertEqual((3, 3), a.ping("10.9.0.2", "-s", "30000", count=3), "fragments")
        self.moves(a, b, "10.9.0.2")
        self.moves(a, b, "fd00::2", "--reverse")
        self.moves(a, b, "10.9.0.2", "--udp", "--bitrate", "50M")
        summary = self.ends(program_a)
        # TCP's frames travelled as the kernel makes them, not cut to the MTU.
        longest = max(one["sent_bytes"] / one["sent"] for one in summary["directions"])
        self.assertGreater(longest, 3000)
        self.ends(program_b)

    def test_checksums_are_computed_for_who_wants_them(self) -> None:
        self.bed.manager()
        a, program_a = self.tap("a", "10.9.0.1/24", "fd00::1/64")
        b, program_b = self.tap("b", "10.9.0.2/24", "fd00::2/64", options=("--no-offloads",))
        a.answers("10.9.0.2")
        for server, client, address in ((b, a, "10.9.0.2"), (a, b, "fd00::1")):
            self.moves(client, server, address)
        self.moves(a, b, "10.9.0.2", "--udp", "--bitrate", "50M")
        summary = self.ends(program_b)
        longest = max(one["received_bytes"] / max(one["received"], 1) for one in summary["directions"])
        self.assertLessEqual(longest, 1518)
        self.ends(program_a)

    def test_jumbo_frames_reach_sockets(self) -> None:
        self.bed.manager()
        a, program_a = self.tap("a", "10.9.0.1/24", options=("--mtu", "9000"))
        b, program_b = self.tap("b", "10.9.0.2/24", mtu=9000)  # set with ip link, the port follows
        self.assertEqual(9000, a.link("rvif0")["mtu"])
        a.answers("10.9.0.2")
        until("jumbo frames", lambda: a.ping("10.9.0.2", "-M", "do", "-s", "8972", count=1) == (1, 1))
        self.assertEqual((5, 5), b.ping("10.9.0.1", "-M", "do", "-s", "8972"))
        self.ends(program_a)
        self.ends(program_b)

    def test_a_tap_and_its_port_are_as_one(self) -> None:
        """Address, link and its loss, whoever changes them; an address that the manager does not allow is taken back."""
        config = self.bed.folder / "vmnet.toml"
        config.write_text(f"[[guest]]\nlabel = 'a'\n[[guest]]\nlabel = 'b'\nmac = '{B}'\n")
        self.bed.manager("--config", str(config))
        a, program_a = self.tap("a", "10.9.0.1/24", rvif="label=a,mac=" + A)
        b, program_b = self.tap("b", "10.9.0.2/24", rvif="label=b,mac=" + B)
        a.answers("10.9.0.2")

        a.run("ip", "link", "set", "rvif0", "address", "02:72:76:67:00:1a")
        a.answers("10.9.0.2")
        b.run("ip", "link", "set", "rvif0", "address", "02:72:76:67:00:1b")
        until("its own address", lambda: b.link("rvif0")["address"] == B)
        program_b.until_says("the port cannot follow interface rvif0")

        self.assertNotIn("NO-CARRIER", a.link("rvif0")["flags"])
        self.operator("port", "down", "a")
        until("no carrier", lambda: "NO-CARRIER" in a.link("rvif0")["flags"])
        self.operator("port", "up", "a")
        until("a carrier", lambda: "NO-CARRIER" not in a.link("rvif0")["flags"])
        a.answers("10.9.0.2")

        b.run("ip", "link", "set", "rvif0", "down")
        program_b.until_says("tap rvif0: link down", times=2)  # it was until it was set up for the first time
        b.run("ip", "link", "set", "rvif0", "up")
        a.answers("10.9.0.2")
        self.ends(program_a)
        self.ends(program_b)

    def test_a_deleted_tap_ends_its_program(self) -> None:
        self.bed.manager()
        a, program = self.tap("a", "10.9.0.1/24")
        a.run("ip", "link", "del", "rvif0")
        program.until_says("the interface rvif0 has gone")
        self.assertEqual(1, program.wait())

    # -------------------------------------------------------------- uplink

    def trunk(self, bed: Bed, **guests: int) -> None:
        """A switch with guests in a VLAN each, and an uplink that has VLAN 10 with and VLAN 20 without tags."""
        text = "[[guest]]\nlabel = 'uplink'\ntrunk = [10]\nnative = 20\n"
        config = bed.folder / "vmnet.toml"
        config.write_text(text + "".join(f"[[guest]]\nlabel = '{label}'\nvlan = {vlan}\n" for label, vlan in guests.items()))
        bed.manager("--config", str(config))

    def test_a_guest_reaches_a_process_outside(self) -> None:
        self.trunk(self.bed, guest=20)
        bridge = self.bridge()
        host, far = self.machine(bridge, "host", "up0"), self.machine(bridge, "far", "eth0")
        program = self.uplink(host, "uplink", ["--interface", "up0"], rvif="label=uplink")
        guest, sockets = self.tap("guest", "10.9.0.1/24", "fd00::1/64", rvif="label=guest")
        far.up("eth0", "10.9.0.2/24", "fd00::2/64")
        guest.answers("10.9.0.2")
        self.assertEqual((5, 5), guest.ping("fd00::2"))
        self.assertEqual((3, 3), far.ping("10.9.0.1", "-s", "30000", count=3))
        # veth leaves checksums and the cutting of TCP's frames to whoever comes next.
        self.moves(guest, far, "10.9.0.2")
        self.moves(guest, far, "fd00::2", "--reverse")
        self.moves(guest, far, "10.9.0.2", "--udp", "--bitrate", "50M", "--reverse")
        # Now the uplink's interface computes them, as a NIC does, from what it is told.
        host.run("ethtool", "-K", "up0", "tx", "off")
        self.moves(guest, far, "10.9.0.2")
        self.moves(guest, far, "fd00::2")
        self.moves(guest, far, "10.9.0.2", "--udp", "--bitrate", "50M")

        # Links, both ways: it holds up0 down by setting it down.
        bridge.run("ip", "link", "set", "host", "down")
        program.until_says("interface up0: link down")
        self.assertEqual(0, guest.ping("10.9.0.2", "-w", "1", count=1)[1])
        bridge.run("ip", "link", "set", "host", "up")
        guest.answers("10.9.0.2")
        self.operator("port", "down", "uplink")
        until("the bridge sees it", lambda: "NO-CARRIER" in bridge.link("host")["flags"])
        self.operator("port", "up", "uplink")
        until("the bridge sees it", lambda: "NO-CARRIER" not in bridge.link("host")["flags"])
        guest.answers("10.9.0.2")
        self.ends(sockets)
        self.ends(program)

    def test_two_switches_share_their_vlans(self) -> None:
        """Of two machines, joined by a bridge that lets tags through."""
        second = self.stack.enter_context(Bed(BUILD, LOGS / (self.id().rpartition(".")[2] + "/second")))
        self.trunk(self.bed, tagged=10, plain=20)
        self.trunk(second, far=10)
        bridge = self.bridge()
        one, two, outside = (self.machine(bridge, name, "up0") for name in ("one", "two", "out"))
        uplinks = [self.uplink(one, "uplink", ["--interface", "up0"], rvif="label=uplink"),
                   self.uplink(two, "uplink2", ["--interface", "up0"], rvif="label=uplink", bed=second)]
        tagged, sockets = self.tap("tagged", "10.9.0.1/24", "fd00::1/64", rvif="label=tagged")
        plain, more = self.tap("plain", "10.9.0.3/24", rvif="label=plain")
        far, others = self.tap("far", "10.9.0.2/24", "fd00::2/64", rvif="label=far", bed=second)
        outside.up("up0", "10.9.0.4/24")
        tagged.answers("10.9.0.2")
        plain.answers("10.9.0.4")
        self.moves(tagged, far, "10.9.0.2")
        self.moves(tagged, far, "fd00::2", "--reverse")
        self.moves(tagged, far, "10.9.0.2", "--udp", "--bitrate", "50M")
        for where, address in ((tagged, "10.9.0.4"), (tagged, "10.9.0.3"), (plain, "10.9.0.2"), (outside, "10.9.0.2")):
            self.assertEqual(0, where.ping(address, "-w", "1", count=1)[1], "VLANs are apart")
        for process in (sockets, more, others, *uplinks):
            self.ends(process)

    def by_driver(self, driver: str) -> None:
        """An uplink by a driver of DPDK's at a kernel's interface."""
        self.bed.manager()
        bridge = self.bridge()
        host, far = self.machine(bridge, "host", "up0"), self.machine(bridge, "far", "eth0")
        # What such a driver cannot know of: see docs/networks.md.
        bridge.run("ethtool", "-K", "host", "tx", "off", "gro", "off")
        program = self.uplink(host, "uplink", ["--port", f"{driver}0,iface=up0"])
        program.until_says(f"warning: {driver} cannot tell")
        guest, sockets = self.tap("guest", "10.9.0.1/24")
        far.up("eth0", "10.9.0.2/24")
        guest.answers("10.9.0.2")
        self.assertEqual((5, 5), guest.ping("10.9.0.2"))
        self.moves(guest, far, "10.9.0.2")
        self.moves(guest, far, "10.9.0.2", "--reverse")
        self.ends(sockets)
        self.ends(program)

    def test_an_uplink_by_af_packet(self) -> None:
        self.by_driver("net_af_packet")

    def test_an_uplink_by_af_xdp(self) -> None:
        try:
            socket.socket(AF_XDP, socket.SOCK_RAW).close()
        except OSError as error:
            self.skipTest(f"this kernel has no AF_XDP sockets for us: {error}")
        self.by_driver("net_af_xdp")

    def test_sockets_by_dpdks_tap(self) -> None:
        """DPDK's driver for TAP interfaces in the place of --tap, as any other port."""
        self.bed.manager()
        a = self.namespace("a")
        program = self.uplink(a, "a", ["--port", "net_tap0,iface=dtap0"])
        b, sockets = self.tap("b", "10.9.0.2/24", "fd00::2/64")
        a.up("dtap0", "10.9.0.1/24", "fd00::1/64")
        a.answers("10.9.0.2")
        self.assertEqual((5, 5), b.ping("fd00::1"))
        self.moves(a, b, "10.9.0.2")
        # From sockets that leave TCP's frames whole: this driver cannot cut them, the switch has to.
        self.moves(a, b, "10.9.0.2", "--reverse")
        self.moves(a, b, "fd00::2", "--reverse")
        self.moves(a, b, "10.9.0.2", "--udp", "--bitrate", "50M")
        self.ends(sockets)
        self.ends(program)

    # ------------------------------------------------------------ mistakes

    def test_an_uplinks_mistakes_are_explained(self) -> None:
        self.bed.manager()
        where = self.namespace("a")
        eal = ("--", "--no-huge", "-m", "96", "--no-shconf", "--no-telemetry", "--log-level", "lib.eal:error")
        driver = ("--driver", self.bed.plugins[1], "--rvif", f"backend=direct,socket={self.bed.socket}")
        cases = {
            (): "Exactly 1 option from [--tap,--interface,--port] is required",
            ("--tap", "t", "--interface", "u"): "Exactly 1 option from [--tap,--interface,--port] is required",
            ("--tap", "t", "--depth", "100"): "want a power of two from 64 to 4096",
            ("--tap", "t", "--mtu", "20"): "--mtu: Value 20 not in range 68 to 65517",
            ("--tap", "t", "--driver", "/nowhere"): "File does not exist: /nowhere",
            (*driver, "--interface", "nowhere", *eal): "interface nowhere: find it: No such device",
            (*driver, "--tap", "a-name-that-is-too-long", *eal): "want 1 to 15 bytes",
            (*driver, "--port", "net_af_packet0,iface=nowhere", *eal): "there is no DPDK port 'net_af_packet0,iface=nowhere'",
            (*driver[:2], "--rvif", "backend=direct", "--tap", "t", *eal): "there is no port of the switch",
        }
        for arguments, message in cases.items():
            said = subprocess.run([*where.prefix, str(UPLINK), "--name", "elisa-test", *arguments],
                                  capture_output=True, text=True, timeout=60)
            self.assertNotEqual(0, said.returncode, arguments)
            self.assertIn(message, said.stderr + said.stdout, arguments)


if __name__ == "__main__":
    unittest.main(verbosity=2)
