# SPDX-License-Identifier: Apache-2.0
"""What the agent reports, one JSON object a line, to a raw disk, a file or the terminal."""

from __future__ import annotations

import json
import os
import time


class Events:
    """Events are handed to the other side at least every half second, and at once where someone waits for them."""

    _FLUSH_SECONDS = 0.5
    _ALIVE_SECONDS = 3.0

    def __init__(self, target: str) -> None:
        """`target` is a block device, a file, or "-" for a person at a terminal."""
        self._fd = -1 if target == "-" else os.open(target, os.O_WRONLY | (0 if _is_device(target) else os.O_CREAT))
        self._pending: list[bytes] = []
        self._flushed = self._emitted = time.monotonic()

    def emit(self, event: str, **fields: object) -> None:
        if self._fd < 0:
            text = fields.get("line") or " ".join(f"{key}={value}" for key, value in fields.items())
            print(f"{event}: {text}", flush=True)
            return
        record = {"t": round(time.monotonic(), 3), "ev": event, **fields}
        self._pending.append(json.dumps(record, separators=(",", ":")).encode() + b"\n")
        self._emitted = record["t"]
        self.flush(force=event not in ("vm-line", "host-line"))

    def alive(self) -> None:
        """Called while waiting: the other side takes a long silence for a host that hangs."""
        if time.monotonic() - self._emitted > self._ALIVE_SECONDS and self._fd >= 0:
            self.emit("alive")
        self.flush()

    def flush(self, force: bool = False) -> None:
        if self._fd < 0 or not self._pending:
            return
        now = time.monotonic()
        if not force and now - self._flushed < self._FLUSH_SECONDS:
            return
        data = b"".join(self._pending)
        self._pending.clear()
        while data:
            data = data[os.write(self._fd, data):]
        os.fdatasync(self._fd)
        self._flushed = now

    def close(self) -> None:
        if self._fd >= 0:
            self.flush(force=True)
            os.close(self._fd)
            self._fd = -1


def _is_device(path: str) -> bool:
    return path.startswith("/dev/")
