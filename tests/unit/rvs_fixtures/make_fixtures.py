#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes fixtures/*/*.pcap: what goes in, and what a switch must make of it, worked out here and not by the switch."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
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

    def send(self, port: int, frame: bytes, to: Iterable[int] = (), **becomes: bytes | list[bytes]) -> None:
        """Port sends a frame. to: where it comes out as it is; pN: what comes out at port N instead."""
        self.now += 1
        self._add(f"in.{port}", frame)
        for each in to:
            self._add(f"out.{each}", frame)
        for name, frames in becomes.items():
            for other in frames if isinstance(frames, list) else [frames]:
                self._add(f"out.{name.removeprefix('p')}", other)

    def _add(self, name: str, frame: bytes) -> None:
        self.captures.setdefault(name, []).append((self.now, frame))

    def write(self) -> None:
        for name, frames in self.captures.items():
            with (self.folder / f"{name}.pcap").open("wb") as out:
                out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
                for at, frame in frames:
                    out.write(struct.pack("<IIII", 1, at, len(frame), len(frame)) + frame)


Frames = Callable[[Fixture], None]
MADE: list[tuple[str, str, Frames]] = []


def fixture(name: str, toml: str) -> Callable[[Frames], Frames]:
    """A folder of that name with these ports, and the frames that the function sends."""
    def remember(frames: Frames) -> Frames:
        MADE.append((name, toml, frames))
        return frames
    return remember


def untagged(frame: bytes) -> bytes:
    return frame[:12] + frame[16:]


def tagged(frame: bytes, tag: int) -> bytes:
    return frame[:12] + struct.pack(">HH", 0x8100, tag) + frame[12:]


@fixture("learning-and-flooding", """
what = "unknown and group addresses go to all, learned ones to their port, also after they moved"
[[port]]
drops = { same_port = 1, bad_source_mac = 1 }
[[port]]
[[port]]
""")
def learning(f: Fixture) -> None:
    f.send(0, plain(mac(9), mac(1), "nobody knows 9"), to=(1, 2))
    f.send(2, plain(mac(1), mac(9), "9 is at port 2"), to=(0,))
    known = plain(mac(9), mac(1), "to port 2 alone")
    f.send(0, known, to=(2,))
    for group in (BROADCAST, GROUP):
        f.send(0, plain(group, mac(1), "to all"), to=(1, 2))
    f.send(1, plain(BROADCAST, mac(9), "9 is at port 1 now"), to=(0, 2))
    f.send(0, known, to=(1,))
    f.send(0, plain(mac(1), mac(1), "to where it came from"))
    f.send(0, plain(mac(9), GROUP, "no station sends from a group's address"))


@fixture("vlan-access-trunk-native", """
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
def vlans(f: Fixture) -> None:
    for port, vlan in ((0, 10), (1, 20)):
        text = f"in {vlan}"
        f.send(port, plain(BROADCAST, mac(port + 1), text), p2=plain(BROADCAST, mac(port + 1), text, vlan))
    # The tag goes on the way to an access port, and with it four bytes; not the padding.
    ten = plain(mac(1), mac(3), "from the trunk, in 10", 10)
    f.send(2, ten, p0=untagged(ten))
    f.send(2, plain(BROADCAST, mac(3), "from the trunk, without a tag: 30"), to=(3,))
    f.send(3, plain(mac(3), mac(4), "in 30"), to=(2,))
    answer = "in 10, an answer"
    f.send(0, plain(mac(3), mac(1), answer), p2=plain(mac(3), mac(1), answer, 10))
    f.send(0, plain(BROADCAST, mac(1), "an access port may not choose", 20))
    f.send(2, plain(BROADCAST, mac(3), "not in this trunk", 40))


@fixture("vlan-tag-taken-out-for-the-driver", """
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
def stripping(f: Fixture) -> None:
    frame = plain(BROADCAST, mac(1), "priority 3, VLAN 10")
    f.send(0, frame, to=(1,), p2=tagged(frame, 0x600A))


@fixture("isolation", """
what = "isolated ports reach the others, and not one another"
[[port]]
isolated = true
drops = { isolated = 1 }
[[port]]
isolated = true
[[port]]
""")
def isolation(f: Fixture) -> None:
    for port in (0, 1):
        f.send(port, plain(BROADCAST, mac(port + 1), "to who is not isolated"), to=(2,))
    f.send(2, plain(BROADCAST, mac(3), "to all"), to=(0, 1))
    f.send(0, plain(mac(2), mac(1), "to a neighbour"))
    f.send(0, plain(mac(3), mac(1), "to the router"), to=(2,))
    f.send(2, plain(mac(2), mac(3), "from the router"), to=(1,))


@fixture("anti-spoofing", """
what = "a port sends from its own addresses alone, and nobody else sends from the one that is its"
[[port]]
mac = "02:00:00:00:00:01"
macs = ["02:00:00:00:00:07"]
drops = { spoofed = 2 }
[[port]]
drops = { bad_source_mac = 1 }
""")
def spoofing(f: Fixture) -> None:
    for n in (1, 7):
        f.send(0, plain(BROADCAST, mac(n), "its own"), to=(1,))
    f.send(0, plain(BROADCAST, mac(8), "another's"))
    f.send(0, plain(BROADCAST, mac(2), "the other port's"))
    f.send(1, plain(BROADCAST, mac(1), "that one is taken"))
    f.send(1, plain(mac(7), mac(2), "an answer"), to=(0,))


@fixture("mac-limit", """
what = "a port is known by as many addresses as it may be, and not by one more"
[[port]]
mac_limit = 2
drops = { mac_limit = 1 }
[[port]]
""")
def addresses(f: Fixture) -> None:
    for n in (1, 2):
        f.send(0, plain(BROADCAST, mac(n), "one of two"), to=(1,))
    f.send(0, plain(BROADCAST, mac(3), "one too many"))
    f.send(0, plain(BROADCAST, mac(1), "known"), to=(1,))


@fixture("rate", """
what = "a port sends no more than its burst at once; what another sends does not count, nor what never was a frame of its"
[[port]]
rate = 10
burst = 65535
drops = { rate = 2, bad_source_mac = 1 }
[[port]]
""")
def rate(f: Fixture) -> None:
    def sized(to: bytes, n: int, size: int) -> bytes:
        return plain(to, mac(n), "x" * (size - 14))
    f.send(0, sized(BROADCAST, 1, 65000), to=(1,))
    f.send(1, sized(mac(1), 2, 600), to=(0,))
    f.send(0, sized(mac(2), 1, 536))  # one too many
    f.send(0, plain(BROADCAST, GROUP, "x" * 100))
    f.send(0, sized(mac(2), 1, 475), to=(1,))
    f.send(0, plain(mac(2), mac(1), "60 are left"), to=(1,))
    f.send(0, plain(mac(2), mac(1), "and none"))
    f.send(1, sized(mac(1), 2, 600), to=(0,))


@fixture("storm", """
what = "a port floods no more than so many frames at once, of any kind; what has one receiver is not limited"
[[port]]
storm = 3
drops = { storm = 3 }
[[port]]
[[port]]
""")
def storm(f: Fixture) -> None:
    f.send(1, plain(BROADCAST, mac(2), "2 is at port 1"), to=(0, 2))
    floods = (BROADCAST, GROUP, mac(9))
    for to in floods:
        f.send(0, plain(to, mac(1), "one of three"), to=(1, 2))
    for to in floods:
        f.send(0, plain(to, mac(1), "one too many"))
    for _ in range(4):
        f.send(0, plain(mac(2), mac(1), "to one"), to=(1,))
    f.send(1, plain(GROUP, mac(2), "the other port's"), to=(0, 2))


@fixture("link-down", """
what = "a port that is held down sends nothing and is sent nothing, and is as it was when it is let go"
[[port]]
drops = { no_destination = 1 }
[[port]]
down = [3, 6]
drops = { link_down = 2 }
[[port]]
""")
def link_down(f: Fixture) -> None:
    f.send(1, plain(BROADCAST, mac(2), "2 is at port 1"), to=(0, 2))
    f.send(0, plain(mac(2), mac(1), "up"), to=(1,))
    f.send(0, plain(BROADCAST, mac(1), "all but who is down"), to=(2,))  # number 3: down from here ...
    f.send(0, plain(mac(2), mac(1), "to who is down"))
    f.send(1, plain(mac(1), mac(2), "from who is down"))
    f.send(1, plain(BROADCAST, mac(7), "nor is it learned"))  # ... to here
    f.send(0, plain(mac(2), mac(1), "up again"), to=(1,))
    f.send(1, plain(mac(1), mac(2), "an answer"), to=(0,))
    f.send(0, plain(mac(7), mac(1), "nobody knows 7"), to=(1, 2))


@fixture("jumbo", """
what = "frames that take several of the receiver's buffers"
[[port]]
[[port]]
[[port]]
""")
def jumbo(f: Fixture) -> None:
    def long(to: bytes, size: int) -> bytes:
        return plain(to, mac(1), "".join(chr(32 + i % 95) for i in range(size - 14)))
    f.send(0, long(BROADCAST, 2048), to=(1, 2))
    f.send(1, plain(mac(1), mac(2), "here"), to=(0,))
    for size in (2049, 9014):
        f.send(0, long(mac(2), size), to=(1,))


@fixture("mirror", """
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
def mirror(f: Fixture) -> None:
    hello = plain(BROADCAST, mac(1), "from the mirrored port", 10)
    f.send(0, hello, to=(3,), p1=untagged(hello), p2=untagged(hello))
    to_it = plain(mac(1), mac(2), "to the mirrored port")
    f.send(1, to_it, to=(3,), p0=tagged(to_it, 10))
    f.send(2, plain(mac(2), mac(3), "between others"), to=(1,))
    f.send(3, plain(BROADCAST, mac(4), "a capture port does not send"))


@fixture("checksums-completed", """
what = "checksums that the sender left to its port are there for a receiver that did not say it needs none"
[[port]]
requests = ["ip_csum", "l4_csum"]
[[port]]
[[port]]
takes = ["l4_none"]
""")
def checksums(f: Fixture) -> None:
    for protocol, make in ((6, lambda c: tcp(1, 0x18, b"x" * 101, c)), (17, lambda c: udp(b"y" * 64, c))):
        def packet(ip_sum: bool, l4_sum: bool) -> bytes:
            return ethernet(BROADCAST, mac(1), 0x0800, ipv4(protocol, make(l4_sum), 7, ip_sum))
        # A receiver that needs none finds the field as it was.
        f.send(0, packet(False, False), p1=packet(True, True), p2=packet(True, False))


@fixture("tso-cut", """
what = "one long TCP segment is cut for a receiver that did not say it takes it whole"
[[port]]
requests = ["tso"]
segsz = 500
[[port]]
[[port]]
takes = ["l4_none", "tso"]
""")
def segmentation(f: Fixture) -> None:
    def packet(n: int, at: int, flags: int, part: bytes, l4_sum: bool, ip_sum: bool) -> bytes:
        return ethernet(BROADCAST, mac(1), 0x0800, ipv4(6, tcp(1000 + at, flags, part, l4_sum), 7 + n, ip_sum))
    data = bytes(i * 7 & 0xFF for i in range(1234))
    last = 0x19  # FIN, PSH, ACK
    parts = [packet(n, at, last if at + 500 >= len(data) else last & ~0x09, data[at : at + 500], True, True)
             for n, at in enumerate(range(0, len(data), 500))]
    f.send(0, packet(0, 0, last, data, False, False), p1=parts, p2=packet(0, 0, last, data, False, True))


if __name__ == "__main__":
    for name, toml, frames in MADE:
        made = Fixture(name, toml)
        frames(made)
        made.write()
