# SPDX-License-Identifier: Apache-2.0
"""Debian's OVS-DPDK with vhost-user ports, default flow (a learning switch), everything in a folder of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ..machine import BenchError
from .base import System
from .vhost import virtio_user

_DAEMON = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")


class OvsDpdk(System):
    """The switch has a CPU for itself; both ends share the other."""

    name = "ovs-dpdk"
    switches = True

    def start(self) -> None:
        if not _DAEMON.exists():
            raise BenchError(f"{_DAEMON} is not there: apt-get install openvswitch-switch-dpdk")
        ends_cpu, switch_cpu = self.place.cpus
        environment = {f"OVS_{what}DIR": str(self.folder) for what in ("RUN", "LOG", "DB", "SYSCONF")}
        database = self.folder / "conf.db"
        socket = self.folder / "db.sock"
        self._run(["ovsdb-tool", "create", str(database), str(_SCHEMA)], environment)
        server = self.program("ovsdb", ["ovsdb-server", str(database), f"--remote=punix:{socket}",
                                        f"--unixctl={self.folder}/db.ctl"], environment)
        self.until_socket(server, socket)
        self._set(environment, "--no-wait", "init")
        other = {
            "dpdk-init": "true", "dpdk-socket-mem": "1024", "dpdk-socket-limit": "1024",
            "pmd-cpu-mask": hex(1 << switch_cpu), "dpdk-extra": "--no-pci --in-memory", "dpdk-lcore-mask": hex(1 << ends_cpu),
            "vhost-sock-dir": ".",
        }
        self._set(environment, "--no-wait", "set", "Open_vSwitch", ".", *(f'other_config:{key}="{value}"' for key, value in other.items()))
        # Not in the ends' way: only its forwarding thread is busy, and that has the other CPU.
        switch = self.program("vswitchd", [str(_DAEMON), f"unix:{socket}", f"--unixctl={self.folder}/vswitchd.ctl"], environment)
        self._set(environment, "add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev", "fail-mode=standalone")
        count = self.setup.ports
        names = [f"vhost{number}" for number in range(2 * count)]
        for name in names:
            self._set(environment, "add-port", "br0", name, "--", "set", "Interface", name, "type=dpdkvhostuser",
                      f"mtu_request={max(1500, self.setup.largest - 14)}")
        for name in names:
            self.until_socket(switch, self.folder / name)
        vdevs = [virtio_user(number, self.folder / name, number >= count) for number, name in enumerate(names)]
        self.source = self.sink = self.traffic(
            "both ends", ends_cpu, vdevs, sources=[f"net_virtio_user{port}" for port in range(count)],
            sinks=[f"net_virtio_user{count + port}" for port in range(count)], mbufs=2 * self.mbufs())

    def _set(self, environment: dict[str, str], *arguments: str) -> None:
        self._run(["ovs-vsctl", f"--db=unix:{self.folder}/db.sock", "--timeout=30", *arguments], environment)

    def _run(self, command: list[str], environment: dict[str, str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}; logs: {self.log('vswitchd')}")
