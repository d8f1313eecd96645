# SPDX-License-Identifier: Apache-2.0
"""Files of frames, as DPDK's net_pcap and everybody else reads and writes them."""

from __future__ import annotations

import struct
from pathlib import Path


def write(path: Path, frames: list[bytes]) -> None:
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for index, frame in enumerate(frames):
            out.write(struct.pack("<IIII", index, 0, len(frame), len(frame)) + frame)


def read(path: Path) -> list[bytes]:
    """All that are whole: whoever writes may not be through."""
    data, frames, at = path.read_bytes(), [], 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        at += 16
        if at + length <= len(data):
            frames.append(data[at:at + length])
        at += length
    return frames
