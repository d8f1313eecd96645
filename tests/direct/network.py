# SPDX-License-Identifier: Apache-2.0
"""Network namespaces as stand-ins for machines, joined by nothing but what a test puts between them."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
from typing import Any

from bed import until


class NetworkError(Exception):
    """A command failed in a namespace; says which and what it said."""


def why_not() -> str | None:
    """Why this machine does not let us make namespaces and interfaces; None if it does."""
    name = f"elisa-{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespaces here: {made.stderr.strip() or 'ip netns add failed'}"
    try:
        for what in (["tuntap", "add", "t0", "mode", "tap"], ["link", "add", "v0", "type", "veth", "peer", "name", "v1"],
                     ["link", "add", "b0", "type", "bridge"]):
            tried = subprocess.run(["ip", "-n", name, *what], capture_output=True, text=True)
            if tried.returncode != 0:
                return f"ip {' '.join(what)}: {tried.stderr.strip()}"
        return None
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


class Namespace:
    """A network namespace; goes with all that is in it. Use it with `with`."""

    _serial = itertools.count()

    def __init__(self, name: str) -> None:
        self.name = f"elisa-{os.getpid()}-{next(self._serial)}-{name}"
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Namespace":
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        self._stack.callback(subprocess.run, ["ip", "netns", "del", self.name], check=False)
        # No duplicate address detection: an address is there when it has been added.
        self.run("sh", "-c", "for each in all default; do echo 0 > /proc/sys/net/ipv6/conf/$each/accept_dad; done")
        self.run("ip", "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def prefix(self) -> list[str]:
        """What to put before a command to have it run in there."""
        return ["ip", "netns", "exec", self.name]

    def run(self, *command: str, bound: float = 60, check: bool = True) -> str:
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, timeout=bound)
        if check and done.returncode != 0:
            raise NetworkError(f"{' '.join(command)} in {self.name}: {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def link(self, name: str) -> dict[str, Any]:
        found: list[dict[str, Any]] = json.loads(self.run("ip", "-j", "link", "show", "dev", name))
        return found[0]

    def up(self, name: str, *addresses: str, mtu: int | None = None) -> None:
        if mtu is not None:
            self.run("ip", "link", "set", name, "mtu", str(mtu))
        self.run("ip", "link", "set", name, "up")
        for address in addresses:
            self.run("ip", "address", "add", address, "dev", name)

    def checksum_errors(self) -> int:
        """What the kernel in there has thrown away, of TCP and UDP and both IPs."""
        said = self.run("nstat", "-a", "-s", "-z", "-j")
        counters: dict[str, int] = json.loads(said)["kernel"]
        return sum(n for name, n in counters.items() if name.endswith("InCsumErrors"))

    def ping(self, address: str, *options: str, count: int = 5) -> tuple[int, int]:
        """Sent and received."""
        said = self.run("ping", "-n", "-q", "-c", str(count), "-i", "0.05", "-W", "2", *options, address, check=False)
        for line in said.splitlines():
            if "packets transmitted" in line:
                words = line.split()
                return int(words[0]), int(words[3])
        raise NetworkError(f"ping {address} in {self.name} said: {said}")

    def answers(self, address: str, bound: float = 20) -> None:
        """Until a ping is answered: links come up within a tick of the program's."""
        until(f"an answer of {address} in {self.name}", lambda: self.ping(address, "-w", "1", count=1)[1] != 0, bound)

    def iperf3(self, server: "Namespace", address: str, *options: str) -> dict[str, Any]:
        """One run of a client here against a server there; what the client reports."""
        listening = subprocess.Popen([*server.prefix, "iperf3", "--server", "--one-off", "--json"], stdout=subprocess.PIPE)
        try:
            until("iperf3's server listens", lambda: ":5201 " in server.run("ss", "-Hltn"))
            said = self.run("iperf3", "--client", address, "--json", "--connect-timeout", "10000", *options, check=False)
            report: dict[str, Any] = json.loads(said)
            if "error" in report:
                raise NetworkError(f"iperf3: {report['error']}")
            return report
        finally:
            listening.kill()
            listening.communicate()
