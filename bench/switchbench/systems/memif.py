# SPDX-License-Identifier: Apache-2.0
"""net_memif, point to point, in both its modes."""

from __future__ import annotations

from .base import System


class Memif(System):
    name = "memif"
    zero_copy = False

    def start(self) -> None:
        source_cpu, sink_cpu = self.place.cpus
        ports = range(self.setup.ports)
        names = [f"net_memif{port}" for port in ports]
        buffer = 2048 if self.setup.largest <= 2048 else 9216

        def vdevs(role: str, more: str = "") -> list[str]:
            return [f"net_memif{port},role={role},id={port},socket={self.folder}/memif{port}.sock,socket-abstract=no,rsize=10,"
                    f"bsize={buffer}{more}" for port in ports]

        self.sink = self.traffic("server", sink_cpu, vdevs("server"), sinks=names, mbufs=self.mbufs())
        for port in ports:
            self.until_socket(self.sink, self.folder / f"memif{port}.sock")
        self.source = self.traffic("client", source_cpu, vdevs("client", ",zero-copy=yes" if self.zero_copy else ""),
                                   sources=names, mbufs=self.mbufs())


class MemifZeroCopy(Memif):
    """The sender's packet memory is mapped by the receiver, which copies out of it."""

    name = "memif-zc"
    zero_copy = True
