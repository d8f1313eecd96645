# SPDX-License-Identifier: Apache-2.0
"""The packages' life, run in a Debian 12 of its own: installed, used, removed, purged. Arguments: their files."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

from services import Service, ServiceError, command

OURS = ("elisa-tools", "elisa-dpdk", "libelisa-dev", "elisa-kvm-dkms")
SOURCE = Path("/mnt/source")
SCRATCH = Path("/tmp/elisa-test")


def run(*command: str | Path) -> str:
    """What it prints; the end of the test if it fails."""
    done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{done.stdout}\npackages: '{' '.join(str(word) for word in command)}' failed with {done.returncode}")
    return done.stdout


def check(what: str, good: object) -> None:
    if not good:
        sys.exit(f"packages: wrong: {what}")
    print(f"  {what}", flush=True)


def install(files: list[str]) -> None:
    # As a user has it; it must find all that they depend on in Debian.
    print(run("apt-get", "-q", "-y", "--no-install-recommends", "install", *files))
    for name in OURS:
        check(f"{name} is installed", run("dpkg-query", "-W", "-f", "${db:Status-Status}", name) == "installed")


def tools() -> None:
    said = run("vmnet", "--config", "/etc/elisa/vmnet.toml", "--check")
    check("the configuration is good as it comes", "the configuration is good" in said)
    said = subprocess.run(["vmnet", "--admit", "a"], capture_output=True, text=True, check=False)
    check("vmnet finds its image, and says what a machine without elisa.ko lacks",
          said.returncode == 1 and "rvs.elf" not in said.stderr and said.stderr.startswith("vmnet: "))
    print(f"    {said.stderr.strip()}")
    check("/run/elisa is there", Path("/run/elisa").is_dir())
    words = run("bash", "-c", "source /usr/share/bash-completion/bash_completion; _completion_loader elisactl; complete -p elisactl")
    check("bash completes elisactl's words", "elisactl" in words)
    for name in ("README.md", "docs/operations.md", "docs/guests.md", "docs/overview.svg"):
        check(f"there is {name}", Path("/usr/share/doc/elisa-tools", name).stat().st_size > 1000)
    for page in ("man8/elisactl.8.gz", "man1/vmnet.1.gz", "man1/kvs.1.gz", "man1/elisa-exec.1.gz", "man1/elisa-uplink.1.gz"):
        check(f"there is a manual page {page}", gzip.open(Path("/usr/share/man", page), "rt").read().startswith(".TH "))
    doctor = subprocess.run(["elisactl", "doctor", "--at", "host", "--json"], capture_output=True, text=True, check=False)
    check("elisactl doctor finds what a machine lacks that is no host", doctor.returncode == 1 and json.loads(doctor.stdout))


def demo() -> None:
    result = SCRATCH / "demo.json"
    print(run("python3", "-B", SOURCE / "scripts/demo_direct.py", "--installed", "--json", result))
    flows = json.loads(result.read_text())["flows"]
    check("the direct demo's frames arrived", len(flows) == 4 and all(flow["received"] == flow["sent"] > 0 for flow in flows))


def services() -> None:
    """As systemd would start them, with the configuration as it comes; but for the backend, which cannot be that of a VM."""
    units = ("elisa-vmnet.service", "elisa-kvs.service", "elisa-uplink@sockets.service")
    check("the services are as systemd wants them", "elisa" not in run("systemd-analyze", "verify", "--man=no", *units))
    for unit in units[:2]:
        check(f"{unit}: the configuration is good as it comes", "the configuration is good" in run(*command(unit, "ExecStartPre")))
    tun = Path("/dev/net/tun")
    tun.parent.mkdir(exist_ok=True)
    if not tun.exists():
        os.mknod(tun, stat.S_IFCHR | 0o600, os.makedev(10, 200))
    switch, store = SCRATCH / "switch.sock", SCRATCH / "store.sock"
    direct = ["--backend", "direct", "--socket"]
    uplink = [*command("elisa-uplink@.service", instance="sockets"), "--rvif", f"backend=direct,socket={switch},label=b",
              "--", "--no-huge", "-m", "96", "--no-shconf", "--no-telemetry"]
    with Service([*command(units[0]), *direct, str(switch)], "the switch is ready", SCRATCH / "vmnet.log"):
        with Service(uplink, "net_rvif0 and tap rvif0 are joined", SCRATCH / "uplink.log"):
            address = Path("/sys/class/net/rvif0/address").read_text().strip()
            ports = json.loads(run("elisactl", "--socket", f"{switch}.control", "port", "list", "--json"))
            check("elisa-vmnet and elisa-uplink@sockets run: an interface of the kernel's is a port of the switch",
                  [(port["label"], port["mac"]) for port in ports] == [("b", address)])
    with Service([*command(units[1]), *direct, str(store)], "the store is ready", SCRATCH / "kvs.log"):
        run("kvs", "put", "--socket", store, "--label", "a", "greeting", "hello")
        check("elisa-kvs runs: a guest finds what another one put",
              run("kvs", "get", "--socket", store, "--label", "b", "greeting").strip() == "hello")
        flags = run("pkg-config", "--cflags", "--libs", "libelisa-kvs").split()
        run("g++", "-std=c++20", SOURCE / "tests/packages/kvs_client.cpp", "-o", SCRATCH / "kvs-client", *flags)
        run(SCRATCH / "kvs-client", store, "a")
        check("a program that was built with pkg-config libelisa-kvs uses it", True)
    # For the day on which they go.
    run("systemctl", "enable", *units)


def development() -> None:
    example = SCRATCH / "source"
    shutil.copytree(SOURCE / "apps/exec/hello", example)
    shutil.copy(SOURCE / "tests/packages/hello/CMakeLists.txt", example)
    build = SCRATCH / "hello"
    run("cmake", "-S", example, "-B", build)
    run("cmake", "--build", build)
    check("an image and its client are built with CMake", (build / "share/elisa/hello.elf").exists() and (build / "hello-client").exists())
    flags = run("pkg-config", "--cflags", "--libs", "libelisa").split()
    run("g++", "-std=c++20", example / "client.cpp", "-o", SCRATCH / "client", *flags)
    check("and the client with pkg-config", (SCRATCH / "client").exists())


def modules() -> None:
    kernels = sorted(path.name for path in Path("/lib/modules").iterdir())
    for kernel in kernels:
        check(f"the modules are built for {kernel}", f"{kernel}, x86_64: installed" in run("dkms", "status", "elisa-kvm"))
        for name in ("kvm-intel", "elisa"):
            found = [str(path) for path in Path("/lib/modules", kernel, "updates/dkms").glob(f"{name}.ko*")]
            check(f"{name}.ko is that kernel's", len(found) == 1 and run("modinfo", "-F", "vermagic", found[0]).startswith(f"{kernel} "))


def remove() -> None:
    Path("/etc/elisa/vmnet.toml").write_text('[[guest]]\nlabel = "mine"\n')
    run("apt-get", "-q", "-y", "remove", *OURS)
    check("removed: the configuration, which was changed, stays", "mine" in Path("/etc/elisa/vmnet.toml").read_text())
    check("removed: no module is left", not [*Path("/lib/modules").rglob("elisa.ko*")])
    lists = [path.read_text() for path in Path("/lib/modules").glob("*/modules.dep")]
    check("nor does depmod know one", lists and not any("elisa" in text or "kvm-intel" in text for text in lists))
    run("apt-get", "-q", "-y", "purge", "elisa-tools", "elisa-dpdk")  # those with configuration
    for name in OURS:
        gone = subprocess.run(["dpkg-query", "-W", name], capture_output=True, check=False).returncode != 0
        check(f"{name} is gone", gone)


def main() -> None:
    SCRATCH.mkdir()
    install(sys.argv[1:])
    for step in (tools, demo, services, development, modules, remove):
        print(f"{step.__name__}:", flush=True)
        try:
            step()
        except ServiceError as error:
            sys.exit(f"packages: {error}")
    shutil.rmtree(SCRATCH)


main()
