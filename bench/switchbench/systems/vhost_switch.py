# SPDX-License-Identifier: Apache-2.0
"""testpmd as the simplest vhost-user switch there is: it forwards between pairs of ports and looks at nothing."""

from __future__ import annotations

from .base import System
from .vhost import virtio_user


class VhostSwitch(System):
    """The switch has a CPU for itself; both ends share the other."""

    name = "vhost-switch"

    def start(self) -> None:
        ends_cpu, switch_cpu = self.place.cpus
        count = self.setup.ports
        # Pairs: socket 2n is a source's, 2n + 1 its sink's.
        sockets = [self.folder / f"vhost{number}.sock" for number in range(2 * count)]
        command = ["dpdk-testpmd", "--lcores", f"0@{switch_cpu},1@{switch_cpu}", "--no-pci", "--no-telemetry", "--in-memory"]
        for number, socket in enumerate(sockets):
            command += ["--vdev", f"net_vhost{number},iface={socket},queues=1"]
        command += ["--", "--nb-cores=1", "--txq=1", "--rxq=1", "--txd=512", "--rxd=512", "--forward-mode=io",
                    f"--total-num-mbufs={self.mbufs()}", "--stats-period=3600", "--port-topology=paired"]
        if self.setup.largest > 2048:
            command += ["--mbuf-size=9344", "--max-pkt-len=9216"]
        switch = self.program("testpmd", command)
        for socket in sockets:
            self.until_socket(switch, socket)
        vdevs = []
        for port in range(count):
            vdevs.append(virtio_user(port, sockets[2 * port], False))
            vdevs.append(virtio_user(count + port, sockets[2 * port + 1], True))
        self.source = self.sink = self.traffic(
            "both ends", ends_cpu, vdevs, sources=[f"net_virtio_user{port}" for port in range(count)],
            sinks=[f"net_virtio_user{count + port}" for port in range(count)], mbufs=2 * self.mbufs())
