#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A station in a VLAN, on hosts whose kernel knows of none: answers ARP and ping for one address, if they come with that tag.

    vlan_station.py INTERFACE VLAN ADDRESS
"""

from __future__ import annotations

import socket
import struct
import sys

MAC = bytes.fromhex("02524c00000a")
IPV4, ARP, TAG = b"\x08\x00", b"\x08\x06", 0x8100
ICMP, ECHO = 1, 8
REQUEST, REPLY = b"\0\1", b"\0\2"
SOL_PACKET, PACKET_AUXDATA, VLAN_VALID = 263, 8, 1 << 4
PACKET_OUTGOING = 4


def checksum(data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", total ^ 0xFFFF)


def vlan_of(ancillary: list[tuple[int, int, bytes]]) -> int | None:
    """The kernel takes the tag out of a frame, and tells of it beside."""
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, tag = struct.unpack("I12xH", data[:18])
            if status & VLAN_VALID:
                return tag & 0xFFF
    return None


def answer(kind: bytes, body: bytes, address: bytes) -> bytes | None:
    """To what came behind addresses and tag; None: it is no question to us."""
    if kind == ARP and body[6:8] == REQUEST and body[24:28] == address:
        return body[:6] + REPLY + MAC + address + body[8:18]
    if kind == IPV4 and body[0] == 0x45 and body[9] == ICMP and body[16:20] == address and body[20] == ECHO:
        echo = body[24:int.from_bytes(body[2:4], "big")]
        head = body[:10] + b"\0\0" + address + body[12:16]
        return head[:10] + checksum(head) + head[12:] + b"\0\0" + checksum(b"\0\0\0\0" + echo) + echo
    return None


def main() -> None:
    interface, vlan, address = sys.argv[1], int(sys.argv[2]), socket.inet_aton(sys.argv[3])
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.bind((interface, 0))
    link.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    while True:
        frame, ancillary, _, sender = link.recvmsg(65536, 256)
        if sender[2] == PACKET_OUTGOING or vlan_of(ancillary) != vlan:
            continue
        if said := answer(frame[12:14], frame[14:], address):
            link.send(frame[6:12] + MAC + struct.pack("!HH", TAG, vlan) + frame[12:14] + said)


main()
