#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes fixtures/*/*.pcap: what goes in, and what a switch must make of it, worked out here and not by the switch."""

from __future__ import annotations

import struct
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent / "fixtures"
BROADCAST = b"\xff" * 6
GROUP = bytes.fromhex("01005e000001")


def mac(n: int) -> bytes:
    return bytes([2, 0, 0, 0, 0, n])


def ethernet(to: bytes, source: bytes, kind: int, payload: bytes, tag: int | None = None) -> bytes:
    vlan = b"" if tag is None else struct.pack(">HH", 0x8100, tag)
    return (to + source + vlan + struct.pack(">H", kind) + payload).ljust(60 if tag is None else 64, b"\0")


def plain(to: bytes, source: bytes, text: str, tag: int | None = None) -> bytes:
    return ethernet(to, source, 0x88B5, text.encode(), tag)


def ones_sum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ipv4(protocol: int, payload: bytes, ident: int, checksum: bool) -> bytes:
    def header(value: int) -> bytes:
        return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), ident, 0, 64, protocol, value,
                           bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
    return header(0xFFFF ^ ones_sum(header(0)) if checksum else 0xDEAD) + payload


def pseudo(protocol: int, length: int) -> bytes:
    return bytes([10, 0, 0, 1, 10, 0, 0, 2, 0, protocol]) + struct.pack(">H", length)


def tcp(sequence: int, flags: int, data: bytes, checksum: bool) -> bytes:
    def header(value: int) -> bytes:
        return struct.pack(">HHIIBBHHH", 1000, 2000, sequence, 77, 0x50, flags, 8192, value, 0)
    value = 0xFFFF ^ ones_sum(pseudo(6, 20 + len(data)) + header(0) + data) if checksum else 0xBEEF
    return header(value) + data


def udp(data: bytes, checksum: bool) -> bytes:
    def header(value: int) -> bytes:
        return struct.pack(">HHHH", 1000, 2000, 8 + len(data), value)
    value = 0xFFFF ^ ones_sum(pseudo(17, 8 + len(data)) + header(0) + data) if checksum else 0xBEEF
    return header(value or 0xFFFF) + data


class Fixture:
    def __init__(self, name: str, toml: str) -> None:
        self.folder = FIXTURES / name
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob("*.pcap"):
            old.unlink()
        (self.folder / "ports.toml").write_text(toml.strip() + "\n")
        self.captures: dict[str, list[tuple[int, bytes]]] = {}
        self.now = 0

    def send(self, port: int, frame: bytes, arrives: dict[int, bytes | list[bytes]] | None = None) -> None:
        """At port; arrives: what comes out, by port."""
        self.now += 1
        self._add(f"in.{port}", frame)
        for to, frames in (arrives or {}).items():
            for each in frames if isinstance(frames, list) else [frames]:
                self._add(f"out.{to}", each)

    def _add(self, name: str, frame: bytes) -> None:
        self.captures.setdefault(name, []).append((self.now, frame))

    def write(self) -> None:
        for name, frames in self.captures.items():
            with (self.folder / f"{name}.pcap").open("wb") as out:
                out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
                for at, frame in frames:
                    out.write(struct.pack("<IIII", 1, at, len(frame), len(frame)) + frame)


def learning() -> None:
    f = Fixture("learning-and-flooding", """
what = "unknown and group addresses go to all, learned ones to their port, also after they moved"
[[port]]
drops = { same_port = 1, bad_source_mac = 1 }
[[port]]
[[port]]
""")
    unknown = plain(mac(9), mac(1), "nobody knows 9")
    f.send(0, unknown, {1: unknown, 2: unknown})
    answer = plain(mac(1), mac(9), "9 is at port 2")
    f.send(2, answer, {0: answer})
    known = plain(mac(9), mac(1), "to port 2 alone")
    f.send(0, known, {2: known})
    for to in (BROADCAST, GROUP):
        group = plain(to, mac(1), "to all")
        f.send(0, group, {1: group, 2: group})
    moved = plain(BROADCAST, mac(9), "9 is at port 1 now")
    f.send(1, moved, {0: moved, 2: moved})
    f.send(0, known, {1: known})
    f.send(0, plain(mac(1), mac(1), "to where it came from"))
    f.send(0, plain(mac(9), GROUP, "no station sends from a group's address"))
    f.write()


def vlans() -> None:
    f = Fixture("vlan-access-trunk-native", """
what = "access ports without tags, a trunk with them and one VLAN without, and who is in none"
[[port]]
native = 10
drops = { vlan_ingress = 1 }
[[port]]
native = 20
[[port]]
trunk = [10, 20]
native = 30
drops = { vlan_ingress = 1 }
[[port]]
native = 30
[[port]]
""")
    f.send(0, plain(BROADCAST, mac(1), "in 10"), {2: plain(BROADCAST, mac(1), "in 10", 10)})
    f.send(1, plain(BROADCAST, mac(2), "in 20"), {2: plain(BROADCAST, mac(2), "in 20", 20)})
    # The tag goes on the way to an access port, and with it four bytes; not the padding.
    ten = plain(mac(1), mac(3), "from the trunk, in 10", 10)
    f.send(2, ten, {0: ten[:12] + ten[16:]})
    native = plain(BROADCAST, mac(3), "from the trunk, without a tag: 30")
    f.send(2, native, {3: native})
    answer = plain(mac(3), mac(4), "in 30")
    f.send(3, answer, {2: answer})
    priority = plain(mac(3), mac(1), "in 10, an answer")
    f.send(0, priority, {2: plain(mac(3), mac(1), "in 10, an answer", 10)})
    f.send(0, plain(BROADCAST, mac(1), "an access port may not choose", 20))
    f.send(2, plain(BROADCAST, mac(3), "not in this trunk", 40))
    f.write()


def stripping() -> None:
    f = Fixture("vlan-tag-taken-out-for-the-driver", """
what = "a receiver that takes tags beside the frame gets it without; a sender asks for one to be put in"
[[port]]
trunk = [10]
requests = ["vlan"]
tci = 24586
[[port]]
trunk = [10]
takes = ["vlan"]
[[port]]
trunk = [10]
""")
    frame = plain(BROADCAST, mac(1), "priority 3, VLAN 10")
    f.send(0, frame, {1: frame, 2: frame[:12] + struct.pack(">HH", 0x8100, 0x600A) + frame[12:]})
    f.write()


def isolation() -> None:
    f = Fixture("isolation", """
what = "isolated ports reach the others, and not one another"
[[port]]
isolated = true
drops = { isolated = 1 }
[[port]]
isolated = true
[[port]]
""")
    for port in (0, 1):
        hello = plain(BROADCAST, mac(port + 1), "to who is not isolated")
        f.send(port, hello, {2: hello})
    router = plain(BROADCAST, mac(3), "to all")
    f.send(2, router, {0: router, 1: router})
    f.send(0, plain(mac(2), mac(1), "to a neighbour"))
    up = plain(mac(3), mac(1), "to the router")
    f.send(0, up, {2: up})
    down = plain(mac(2), mac(3), "from the router")
    f.send(2, down, {1: down})
    f.write()


def spoofing() -> None:
    f = Fixture("anti-spoofing", """
what = "a port sends from its own addresses alone, and nobody else sends from the one that is its"
[[port]]
mac = "02:00:00:00:00:01"
macs = ["02:00:00:00:00:07"]
drops = { spoofed = 2 }
[[port]]
drops = { bad_source_mac = 1 }
""")
    for n in (1, 7):
        own = plain(BROADCAST, mac(n), "its own")
        f.send(0, own, {1: own})
    f.send(0, plain(BROADCAST, mac(8), "another's"))
    f.send(0, plain(BROADCAST, mac(2), "the other port's"))
    f.send(1, plain(BROADCAST, mac(1), "that one is taken"))
    answer = plain(mac(7), mac(2), "an answer")
    f.send(1, answer, {0: answer})
    f.write()


def addresses() -> None:
    f = Fixture("mac-limit", """
what = "a port is known by as many addresses as it may be, and not by one more"
[[port]]
mac_limit = 2
drops = { mac_limit = 1 }
[[port]]
""")
    for n in (1, 2):
        hello = plain(BROADCAST, mac(n), "one of two")
        f.send(0, hello, {1: hello})
    f.send(0, plain(BROADCAST, mac(3), "one too many"))
    again = plain(BROADCAST, mac(1), "known")
    f.send(0, again, {1: again})
    f.write()


def jumbo() -> None:
    f = Fixture("jumbo", """
what = "frames that take several of the receiver's buffers"
[[port]]
[[port]]
[[port]]
""")
    for n, size in enumerate((2048, 2049, 9014)):
        frame = plain(BROADCAST if n == 0 else mac(2), mac(1), "".join(chr(32 + i % 95) for i in range(size - 14)))
        f.send(0, frame, {1: frame, 2: frame} if n == 0 else {1: frame})
        if n == 0:
            answer = plain(mac(1), mac(2), "here")
            f.send(1, answer, {0: answer})
    f.write()


def mirror() -> None:
    f = Fixture("mirror", """
what = "what the first port sends and is sent also goes to the capture port, once, as it came"
[[port]]
mirror = 3
trunk = [10]
[[port]]
native = 10
[[port]]
native = 10
[[port]]
capture = true
drops = { link_down = 1 }
""")
    hello = plain(BROADCAST, mac(1), "from the mirrored port", 10)
    f.send(0, hello, {1: hello[:12] + hello[16:], 2: hello[:12] + hello[16:], 3: hello})
    to_it = plain(mac(1), mac(2), "to the mirrored port")
    f.send(1, to_it, {0: to_it[:12] + struct.pack(">HH", 0x8100, 10) + to_it[12:], 3: to_it})
    other = plain(mac(2), mac(3), "between others")
    f.send(2, other, {1: other})
    f.send(3, plain(BROADCAST, mac(4), "a capture port does not send"))
    f.write()


def checksums() -> None:
    f = Fixture("checksums-completed", """
what = "checksums that the sender left to its port are there for a receiver that did not say it needs none"
[[port]]
requests = ["ip_csum", "l4_csum"]
[[port]]
[[port]]
takes = ["l4_none"]
""")
    for protocol, make in ((6, lambda c: tcp(1, 0x18, b"x" * 101, c)), (17, lambda c: udp(b"y" * 64, c))):
        frames = {}
        for ip_sum, l4_sum in ((False, False), (True, True), (True, False)):
            frames[ip_sum, l4_sum] = ethernet(BROADCAST, mac(1), 0x0800, ipv4(protocol, make(l4_sum), 7, ip_sum))
        # A receiver that needs none finds the field as it was.
        f.send(0, frames[False, False], {1: frames[True, True], 2: frames[True, False]})
    f.write()


def segmentation() -> None:
    f = Fixture("tso-cut", """
what = "one long TCP segment is cut for a receiver that did not say it takes it whole"
[[port]]
requests = ["tso"]
segsz = 500
[[port]]
[[port]]
takes = ["l4_none", "tso"]
""")
    data = bytes(i * 7 & 0xFF for i in range(1234))
    last = 0x19  # FIN, PSH, ACK
    whole = ethernet(BROADCAST, mac(1), 0x0800, ipv4(6, tcp(1000, last, data, False), 7, False))
    passed = ethernet(BROADCAST, mac(1), 0x0800, ipv4(6, tcp(1000, last, data, False), 7, True))
    parts = []
    for n, at in enumerate(range(0, len(data), 500)):
        part = data[at : at + 500]
        flags = last if at + 500 >= len(data) else last & ~0x09
        parts.append(ethernet(BROADCAST, mac(1), 0x0800, ipv4(6, tcp(1000 + at, flags, part, True), 7 + n, True)))
    f.send(0, whole, {1: parts, 2: passed})
    f.write()


if __name__ == "__main__":
    for make in (learning, vlans, stripping, isolation, spoofing, addresses, jumbo, mirror, checksums, segmentation):
        make()
