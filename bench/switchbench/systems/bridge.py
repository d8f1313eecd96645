# SPDX-License-Identifier: Apache-2.0
"""The kernel's bridge between two pairs of veth, in a network namespace of its own, by net_af_packet."""

from __future__ import annotations

import subprocess

from ..machine import BenchError
from .base import System, station


class Bridge(System):
    name = "bridge"
    switches = True

    def start(self) -> None:
        source_cpu, sink_cpu = self.place.cpus
        count = self.setup.ports
        # The namespace lives as long as a process in it; `ip netns` would leave a name behind.
        holder = self.program("namespace", ["unshare", "--net", "sh", "-c", "echo there; exec cat"])
        holder.until("namespace", lambda: "there" in holder.said())
        self.enter = ("nsenter", f"--net=/proc/{holder.pid}/ns/net")
        mtu = max(1500, self.setup.largest - 14)
        self._ip("link", "add", "br0", "type", "bridge")
        for number in range(2 * count):
            of_sink = number >= count
            self._ip("link", "add", f"v{number}", "type", "veth", "peer", "name", f"b{number}")
            self._ip("link", "set", f"v{number}", "address", station(of_sink, number % count))
            for name in (f"v{number}", f"b{number}"):
                self._run("sh", "-c", f"echo 1 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6 2>/dev/null || true")
                self._ip("link", "set", name, "mtu", str(mtu), "promisc", "on", "up")
            self._ip("link", "set", f"b{number}", "master", "br0")
        self._ip("link", "set", "br0", "mtu", str(mtu), "up")
        frame = 2048 if self.setup.largest <= 1900 else 9216  # four are whole pages

        def vdev(number: int) -> str:
            return (f"net_af_packet{number},iface=v{number},blocksz={frame * 4},framesz={frame},framecnt=512,"
                    "qdisc_bypass=1")

        self.sink = self.traffic("sink", sink_cpu, [vdev(count + port) for port in range(count)],
                                 sinks=[f"net_af_packet{count + port}" for port in range(count)], mbufs=self.mbufs())
        self.source = self.traffic("source", source_cpu, [vdev(port) for port in range(count)],
                                   sources=[f"net_af_packet{port}" for port in range(count)], mbufs=self.mbufs())

    def _ip(self, *arguments: str) -> None:
        self._run("ip", *arguments)

    def _run(self, *command: str) -> None:
        done = subprocess.run([*self.enter, *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}. Network namespaces need root (CAP_NET_ADMIN)")
