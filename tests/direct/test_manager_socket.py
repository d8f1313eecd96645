# SPDX-License-Identifier: Apache-2.0
"""What a program may do at the manager's socket that is no driver, or a broken one: files that come with its messages stay open
nowhere. (The class of CVE-2019-14818.)"""

from __future__ import annotations

import array
import os
import shutil
import socket
import struct
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from bed import Process, until  # noqa: E402
from case import BUILD, DirectCase  # noqa: E402

# pmd_rvif/direct_proto.hpp
MAGIC = 0x31445652
HELLO, PORT_OPEN, PORT_CLOSE, REGION_ADD, REGION_REMOVE, ACK, WELCOME, DONE, FAILED, MAP, UNMAP = range(1, 12)
MOST_FILES = 32
MESSAGE_BYTES = 696


def message(kind: int, *arguments: int, segments: list[tuple[int, int]] | None = None, count: int | None = None,
            magic: int = MAGIC) -> bytes:
    """segments: length and offset of each; count: how many there are said to be."""
    segments = segments or []
    head = struct.pack("<IIQ4Q", magic, kind, 1, *(list(arguments) + [0] * 4)[:4])
    tail = b"".join(struct.pack("<QQ", *segment) for segment in segments)
    return (head + b"stranger".ljust(128, b"\0") + struct.pack("<II", len(segments) if count is None else count, 0)
            + tail.ljust(16 * MOST_FILES, b"\0"))


class ManagerSocketTest(DirectCase):
    def setUp(self) -> None:
        super().setUp()
        self.memory = os.memfd_create("stranger")
        os.ftruncate(self.memory, 1 << 20)
        self.addCleanup(os.close, self.memory)

    def connect(self) -> socket.socket:
        peer = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(peer.close)
        peer.settimeout(20)
        peer.connect(str(self.bed.socket))
        return peer

    def send(self, peer: socket.socket, data: bytes, files: int) -> bool:
        """False: the manager has hung up."""
        fds = array.array("i", [self.memory] * files)
        try:
            peer.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if files else [])
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    @staticmethod
    def open_files(manager: Process) -> list[str]:
        folder = Path(f"/proc/{manager.pid}/fd")
        found = []
        for entry in folder.iterdir():
            try:
                found.append(os.readlink(entry))
            except FileNotFoundError:
                pass
        return sorted(found)

    def drivers_are_served(self) -> None:
        test = self.bed.dpdk(str(BUILD / "tests/direct/rvif_driver_test"), "driver_test",
                             ["net_rvif0,backend=direct", "net_rvif1,backend=direct"])
        self.ends_well(test)

    def test_files_of_messages_that_are_refused_are_closed(self) -> None:
        manager = self.bed.manager()
        before = self.open_files(manager)
        page = (4096, 0)
        hello = message(HELLO, 1)
        # Messages of one connection, each with so many files.
        cases: dict[str, list[tuple[bytes, int]]] = {
            "no message": [(b"", 3)],
            "a short one": [(hello[:16], MOST_FILES)],
            "a long one": [(hello + b"\0", MOST_FILES)],
            "another magic": [(message(HELLO, 1, magic=MAGIC + 1), MOST_FILES)],
            "no hello": [(message(REGION_ADD, segments=[page] * 2), 2)],
            "a hello with files": [(hello, MOST_FILES)],
            "two hellos": [(hello, 1), (hello, MOST_FILES)],
            "more files than a message can have": [(hello, 0), (message(REGION_ADD, segments=[page] * MOST_FILES), 200)],
            "more files than it says": [(hello, 0), (message(REGION_ADD, segments=[page]), 5)],
            "fewer files than it says": [(hello, 0), (message(REGION_ADD, segments=[page] * 5), 4)],
            "more segments than there can be": [(hello, 0), (message(REGION_ADD, count=MOST_FILES + 1), 7)],
            "segments of no size": [(hello, 0), (message(REGION_ADD, segments=[(0, 0)] * 3), 3)],
            "segments of no page": [(hello, 0), (message(REGION_ADD, segments=[(4097, 0)] * 3), 3)],
            "segments of any size": [(hello, 0), (message(REGION_ADD, segments=[((1 << 64) - 4096, 0)] * 3), 3)],
            "the rest never comes": [(hello, 0)] + [(message(REGION_ADD, 1, segments=[page] * MOST_FILES), MOST_FILES)] * 5,
            "the rest is wrong": [(hello, 0)] + [(message(REGION_ADD, 1, segments=[page] * MOST_FILES), MOST_FILES)] * 5
                                 + [(message(REGION_ADD, segments=[(1, 1)]), 1)],
            "a region and good-bye": [(hello, 0), (message(REGION_ADD, segments=[page] * 8), 8)],
            "files with what needs none": [(hello, 0)] + [(message(kind, 7), MOST_FILES) for kind in
                                                          (PORT_CLOSE, REGION_REMOVE, ACK, PORT_OPEN)],
            "what the manager says itself": [(hello, 0), (message(MAP, 1, 1 << 40, 4096, segments=[page]), 1)],
            "no kind of message": [(hello, 0), (message(1000), MOST_FILES)],
        }
        for name, messages in cases.items():
            with self.subTest(name):
                for _ in range(5):
                    peer = self.connect()
                    for data, files in messages:
                        if not self.send(peer, data, files):
                            break
                    # It has all been looked at when the manager hangs up.
                    peer.shutdown(socket.SHUT_WR)
                    try:
                        while peer.recv(65536):
                            pass
                    except ConnectionResetError:
                        pass
                    peer.close()
                until(f"files closed after '{name}'", lambda: self.open_files(manager) == before)
        self.drivers_are_served()
        until("files closed at the end", lambda: self.open_files(manager) == before)

    def test_files_of_refused_messages_do_not_wait_for_the_end_of_their_connection(self) -> None:
        manager = self.bed.manager()
        peer = self.connect()
        self.assertTrue(self.send(peer, message(HELLO, 1), 0))
        self.assertEqual(WELCOME, struct.unpack_from("<I", peer.recv(MESSAGE_BYTES), 4)[0])
        before = self.open_files(manager)
        for data, files in ((message(REGION_ADD, segments=[(4096, 0)]), 5), (message(REGION_ADD, segments=[(1, 1)] * 5), 5),
                            (message(REGION_REMOVE, 3), MOST_FILES), (message(PORT_CLOSE, 3), MOST_FILES)):
            for _ in range(10):
                self.assertTrue(self.send(peer, data, files))
                self.assertEqual(FAILED, struct.unpack_from("<I", peer.recv(MESSAGE_BYTES), 4)[0])
        # Its answer may be sent a moment before a message's files are closed.
        until("files closed", lambda: self.open_files(manager) == before)

    def test_a_region_without_end_ends_with_its_sender(self) -> None:
        """It may use up the manager's files, but only for as long as it is there, and it is sent away for it."""
        limited = [str(shutil.which("prlimit")), "--nofile=300:300", str(BUILD / "guest/bin/vmnet")]
        manager = self.bed.program("manager", [*limited, "--backend", "direct", "--socket", str(self.bed.socket)])
        manager.until_says("the switch is ready")
        before = self.open_files(manager)
        peer = self.connect()
        self.assertTrue(self.send(peer, message(HELLO, 1), 0))
        part = message(REGION_ADD, 1, segments=[(4096, 0)] * MOST_FILES)
        for _ in range(100):
            if not self.send(peer, part, MOST_FILES):
                break
        else:
            self.fail("3200 files were taken where 300 are allowed")
        until("files closed", lambda: self.open_files(manager) == before)
        self.assertTrue(manager.running())
        self.drivers_are_served()


if __name__ == "__main__":
    unittest.main(verbosity=2)
