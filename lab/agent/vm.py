# SPDX-License-Identifier: Apache-2.0
"""One VM: an unmodified QEMU, held at its first instruction until it is registered with elisa.ko."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import initramfs
from host import Host, HostError

_MACHINES = {
    "microvm": ["-M", "microvm,acpi=on,pcie=on,rtc=on"],
    "pc": ["-M", "pc"],
    "q35": ["-M", "q35"],
}
# KVM could not go on with a vCPU, so QEMU stopped the VM.
_STOPPED_LINE = re.compile(r"^KVM internal error|^KVM: entry failed")
_EXIT_LINE = re.compile(r"ELISA-EXIT (\d+)")
_MAX_LINE = 16384


def reported(text: str) -> object:
    """What a program reports on the rest of an ELISA-RESULT line. Its kernel may have spoken before the line ended."""
    try:
        return json.JSONDecoder().raw_decode(text)[0]
    except ValueError:
        return {"unreadable": text}


class Vm:
    def __init__(self, spec: dict, host: Host, events, scratch: Path) -> None:
        self.spec = spec
        self.name: str = spec["name"]
        self.lines: list[str] = []
        self.results: list[object] = []
        self.counters: dict[str, dict[str, int]] = {}
        self.exit_status: int | None = None  # of the program in the guest
        self.qemu_status: int | None = None
        self.heard = 0.0  # when it was started or said something last
        self.stopped = False  # by QEMU
        self.silenced = False  # QEMU is ending, and has closed its output: nothing more will come
        self.read_to = 0  # how far `wait` has looked in self.lines
        self._host = host
        self._events = events
        self._scratch = scratch
        self._partial = b""
        self._qmp: socket.socket | None = None
        self._qmp_buffer = b""
        self._process: subprocess.Popen | None = None

    # --- life ------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def fileno(self) -> int:
        assert self._process is not None and self._process.stdout is not None
        return self._process.stdout.fileno()

    def command(self) -> list[str]:
        spec, guest = self.spec, self._host.payload / "guest"
        place = self._scratch / self.name
        place.mkdir(parents=True, exist_ok=True)
        (place / "program").write_text(spec["program"] + "\n")
        (place / "hugepages").write_text(f"{spec['hugepages']}\n")
        if spec.get("kernel"):
            boots = [
                "-kernel", str(self._host.payload / "host/guests" / spec["kernel"]), "-append", spec["program"],
                "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
            ]
        else:
            initramfs.join(guest / "programs", spec["program"], place / "initramfs")
            boots = [
                "-fw_cfg", f"name=opt/elisa/program,file={place}/program",
                "-fw_cfg", f"name=opt/elisa/hugepages,file={place}/hugepages",
                "-kernel", str(guest / "vmlinux"), "-initrd", str(place / "initramfs"),
                "-append", f"console=ttyS0 quiet reboot=t panic=-1 {spec['append']}".strip(),
            ]
        return [
            "qemu-system-x86_64", "-name", self.name, *_MACHINES[spec["machine"]],
            "-enable-kvm", "-cpu", spec["cpu"], "-smp", str(spec["vcpus"]), "-m", str(spec["memory"]),
            "-nodefaults", "-no-user-config", "-display", "none", "-S",
            *([] if spec["reboots"] else ["-no-reboot"]),
            "-qmp", f"unix:{place}/qmp,server=on,wait=off", "-serial", "stdio", *boots, *spec["qemu"],
        ]

    def start(self) -> None:
        if self.running:
            raise HostError(f"VM {self.name} is running already")
        self.exit_status = self.qemu_status = None
        self.silenced = False
        self.heard = time.monotonic()
        self._process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._host.environment, start_new_session=True,
        )
        os.set_blocking(self.fileno(), False)
        self.heard = time.monotonic()
        try:
            self._connect()
            if self.spec["role"] != "none":
                self._register()
            self.qmp("cont")
        except HostError:
            self.kill()
            raise

    def _register(self) -> None:
        """Tell elisa.ko who this VM is, before its first instruction runs."""
        command = ["elisactl", "host", "add", "--pid", str(self.pid), "--role", self.spec["role"],
                   "--label", self.spec["label"]]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20, env=self._host.environment,
                                  check=False)
        except FileNotFoundError:
            raise HostError("elisactl is not in the payload: build it first (./elisa build)") from None
        except subprocess.TimeoutExpired:
            raise HostError(f"{' '.join(command)} did not end within 20 s") from None
        self._events.emit("host-line", line=f"{' '.join(command)}: {done.stdout.strip()} {done.stderr.strip()}")
        if done.returncode != 0:
            raise HostError(f"{' '.join(command)} failed with status {done.returncode}: "
                            f"{(done.stderr or done.stdout).strip()}")

    def reset(self) -> None:
        """The reset button; a VM that QEMU stopped because KVM could not run it goes on, too."""
        self.stopped = False
        self.qmp("system_reset")
        self.qmp("cont")
        self.heard = time.monotonic()

    def kill(self) -> None:
        """SIGKILL, as a crash of QEMU would look to everybody else."""
        if self._process is not None and self.running:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.drain()
        self._close_qmp()

    def poll(self) -> bool:
        """Take the end of QEMU into account; True while it runs."""
        assert self._process is not None
        if self._process.poll() is None:
            return True
        if self.qemu_status is None:
            self.drain()
            self.qemu_status = self._process.returncode
            self._close_qmp()
            self._events.emit("vm-exit", vm=self.name, status=self.exit_status, qemu=self.qemu_status)
        return False

    # --- console ---------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take in what the guest has printed."""
        if self._process is None or self._process.stdout is None:
            return
        while True:
            try:
                data = os.read(self.fileno(), 65536)
            except BlockingIOError:
                return
            if not data:
                self.silenced = True
                if self._partial:
                    self._line(self._partial)
                    self._partial = b""
                return
            *whole, self._partial = (self._partial + data).split(b"\n")
            for line in whole:
                self._line(line)
            if len(self._partial) > _MAX_LINE:
                self._line(self._partial)
                self._partial = b""

    def _line(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").strip("\r")
        self.stopped |= _STOPPED_LINE.search(line) is not None
        self.lines.append(line)
        self.heard = time.monotonic()
        self._events.emit("vm-line", vm=self.name, line=line)
        if match := _EXIT_LINE.search(line):
            self.exit_status = int(match.group(1))
            self.snapshot("exit")
        _, marker, rest = line.partition("ELISA-MARK ")
        if marker:
            self.snapshot(rest.strip())
        _, marker, rest = line.partition("ELISA-RESULT ")
        if marker:
            self.results.append(reported(rest))

    def snapshot(self, name: str) -> None:
        """Keep KVM's counters of this VM under a name."""
        if self.running:
            self.counters[name] = self._host.kvm_counters(self.pid)

    def last_words(self, count: int = 12) -> str:
        shown = self.lines[-count:] or ["(nothing)"]
        return "\n".join(f"    {self.name}| {line}" for line in shown)

    # --- QMP -------------------------------------------------------------------------------------------------

    def _connect(self) -> None:
        path = str(self._scratch / self.name / "qmp")
        deadline = time.monotonic() + 30
        while True:
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(30)
            try:
                link.connect(path)
                break
            except OSError:
                link.close()
                if not self.running:
                    self.drain()
                    raise HostError(f"QEMU of VM {self.name} ended at once:\n{self.last_words()}") from None
                if time.monotonic() > deadline:
                    raise HostError(f"QEMU of VM {self.name} does not open its control socket") from None
                time.sleep(0.05)
        self._qmp = link
        self._qmp_message()  # the greeting
        self.qmp("qmp_capabilities")

    def qmp(self, command: str, **arguments: object) -> object:
        if self._qmp is None:
            raise HostError(f"VM {self.name} is not running: cannot {command}")
        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._qmp.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self._qmp_message()
                if "return" in answer:
                    return answer["return"]
                if "error" in answer:
                    raise HostError(f"VM {self.name}: {command}: {answer['error'].get('desc')}")
        except OSError as error:
            self.drain()
            raise HostError(f"VM {self.name}: {command}: {error}\n{self.last_words()}") from None

    def _qmp_message(self) -> dict:
        assert self._qmp is not None
        while b"\n" not in self._qmp_buffer:
            data = self._qmp.recv(65536)
            if not data:
                raise OSError("QEMU closed its control socket")
            self._qmp_buffer += data
        line, _, self._qmp_buffer = self._qmp_buffer.partition(b"\n")
        return json.loads(line)

    def _close_qmp(self) -> None:
        if self._qmp is not None:
            self._qmp.close()
            self._qmp = None
            self._qmp_buffer = b""
        (self._scratch / self.name / "qmp").unlink(missing_ok=True)
