# SPDX-License-Identifier: Apache-2.0
"""net_virtio_user to net_vhost, point to point: vhost-user's data path without a switch."""

from __future__ import annotations

from pathlib import Path

from .base import System, station


def virtio_user(port: int, socket: Path, of_sink: bool) -> str:
    return (f"net_virtio_user{port},path={socket},queues=1,queue_size=1024,in_order=1,mrg_rxbuf=0,"
            f"mac={station(of_sink, port)}")


class Vhost(System):
    name = "vhost"

    def start(self) -> None:
        source_cpu, sink_cpu = self.place.cpus
        ports = range(self.setup.ports)
        sockets = [self.folder / f"vhost{port}.sock" for port in ports]
        self.sink = self.traffic("back end", sink_cpu, [f"net_vhost{port},iface={sockets[port]},queues=1" for port in ports],
                                 sinks=[f"net_vhost{port}" for port in ports], mbufs=self.mbufs())
        for socket in sockets:
            self.until_socket(self.sink, socket)
        self.source = self.traffic("front end", source_cpu, [virtio_user(port, sockets[port], False) for port in ports],
                                   sources=[f"net_virtio_user{port}" for port in ports], mbufs=self.mbufs())
