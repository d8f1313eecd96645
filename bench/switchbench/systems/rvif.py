# SPDX-License-Identifier: Apache-2.0
"""net_rvif, direct backend: the sender runs rvs, the whole switch, with vmnet as its manager."""

from __future__ import annotations

from ..process import Traffic
from .base import System, station

_PLUGIN = "librte_net_rvif.so"
_EAL_PORTS = 32  # of a process, as Debian builds DPDK


class Rvif(System):
    name = "rvif"
    switches = True
    most_ports = 32

    def start(self) -> None:
        source_cpu, sink_cpu = self.place.cpus
        socket = self.folder / "rvs.sock"
        manager = self.program("manager", [str(self.place.build / "guest/bin/vmnet"), "--backend", "direct", "--huge",
                                           "--socket", str(socket)])
        self.until_socket(manager, socket)
        count = self.setup.ports
        total = 2 * count + self.setup.idle_ports
        sources = [f"net_rvif{port}" for port in range(count)]
        sinks = [f"net_rvif{count + port}" for port in range(count)]
        idle = [f"net_rvif{2 * count + port}" for port in range(self.setup.idle_ports)]

        def vdevs(names: list[str], of_sink: bool, first: int = 0) -> list[str]:
            return [f"{name},backend=direct,socket={socket},mac={station(of_sink, first + number)}"
                    for number, name in enumerate(names)]

        def mbufs(ports: int) -> int:
            # A receiver posts buffers to each sender that there is.
            return self.mbufs(8192) + ports * (total - 1) * self.setup.descriptors

        def end(name: str, cpu: int, names: list[str], of_sink: bool, buffers: int, first: int = 0) -> Traffic:
            kinds = {"sinks": names} if of_sink else {"sources": names}
            return self.traffic(name, cpu, vdevs(names, of_sink, first), plugins=[_PLUGIN], mbufs=buffers,
                                **kinds)

        for first in range(0, len(idle), _EAL_PORTS):  # never polled, so they post no buffers
            end("idle", sink_cpu, idle[first:first + _EAL_PORTS], True, 4096, count + first).hear("ready", 120)
        self.sink = end("sink", sink_cpu, sinks, True, mbufs(count))
        self.source = end("source", source_cpu, sources, False, mbufs(count))
