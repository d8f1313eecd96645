# SPDX-License-Identifier: Apache-2.0
"""One run of the emulated Intel host: Bochs with a console on a pty and a disk that the agent writes its log to.

Bochs' own ways to write a file lose the tail (a serial port in file mode is block-buffered). So the console is a
terminal (unbuffered, and usable from both sides), and the agent's events are lines on a raw disk, which Bochs writes
straight through to a file that we read while it grows.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
import tty
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

from .log import LabError, run

_SECTOR = 512
_CYLINDER = 16 * 63 * _SECTOR
_EVENT_DISK_BYTES = 256 * _CYLINDER  # 126 MiB, sparse
_TTY_ESCAPE = b"\x1d"  # Ctrl-]

_BOCHSRC = """\
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=corei7_haswell_4770, count={cpus}, ips={ips}, ignore_bad_msrs=1, reset_on_triple_fault=0
memory: guest={memory}, host={memory}
megs: {memory}
clock: sync=none
plugin_ctrl: serial=1, unmapped=1, biosdev=1, extfpuirq=1, iodebug=1, parallel=0, speaker=0, gameport=0, usb_uhci=0
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata0-master: type=disk, path="{run}/root.img", mode=volatile
ata0-slave: type=disk, path="{run}/payload.img", mode=volatile
ata1-master: type=disk, path="{run}/events.img", mode=flat
ata1-slave: type=cdrom, path="{run}/boot.iso", status=inserted
boot: cdrom
com1: enabled=1, mode=term, dev="{console}"
log: {run}/bochs.log
panic: action=report
error: action=ignore
info: action=ignore
debug: action=ignore
"""

# Errors are not logged: KVM reads MSRs that Bochs does not know at every entry to a guest.
# 200 M instructions make one second of the emulated clock, about what Bochs does in 1.2 to 2 s of real time.
_IPS = 200_000_000
# The agent says something every 3 s of the emulated clock. Seconds of CPU time that Bochs uses up meanwhile, so that
# a machine that is busy with other work does not make a host look hung.
_SILENCE = 90
# And this long by the clock, for an emulator that does nothing at all.
_STILLNESS = 1800


@dataclass
class Machine:
    """What to boot, and where the run's files go."""

    run_dir: Path
    root_image: Path
    kernel: Path
    initrd: Path | None
    command_line: str
    cpus: int = 1
    memory_mib: int = 2048


def boot_iso(machine: Machine, log: Path) -> None:
    """A CD with GRUB, the kernel and its command line."""
    content = machine.run_dir / "iso"
    (content / "boot/grub").mkdir(parents=True)
    shutil.copyfile(machine.kernel, content / "boot/vmlinuz")
    lines = ["set timeout=0", "menuentry lab {", f"  linux /boot/vmlinuz {machine.command_line}"]
    if machine.initrd is not None:
        shutil.copyfile(machine.initrd, content / "boot/initrd")
        lines.append("  initrd /boot/initrd")
    (content / "boot/grub/grub.cfg").write_text("\n".join([*lines, "}", ""]))
    # No fonts, themes or locales: GRUB reads its modules in the emulator, at the BIOS' pace.
    run(
        ["grub-mkrescue", "--install-modules=linux normal iso9660 biosdisk", "--fonts=", "--locales=", "--themes=",
         "-d", "/usr/lib/grub/i386-pc", "-o", str(machine.run_dir / "boot.iso"), str(content)],
        log, what="grub-mkrescue",
    )
    shutil.rmtree(content)


class EventDisk:
    """The agent's lines, read from the disk's file while the emulated host writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("wb") as handle:
            handle.truncate(_EVENT_DISK_BYTES)
        self._position = 0

    def lines(self) -> list[str]:
        """Complete lines that have arrived since the last call."""
        found = bytearray()
        with self.path.open("rb") as handle:
            handle.seek(self._position)
            while chunk := handle.read(1 << 20):
                end = chunk.find(b"\0")
                found += chunk if end < 0 else chunk[:end]
                if end >= 0:
                    break
        newline = found.rfind(b"\n")
        if newline < 0:
            return []
        self._position += newline + 1
        return found[:newline].decode(errors="replace").split("\n")


class Console:
    """The host side of the emulated serial port."""

    def __init__(self, log: Path) -> None:
        self.master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.device = os.ttyname(self._slave)
        os.set_blocking(self.master, False)
        self._log = log.open("wb", buffering=0)
        self._partial = b""

    def read(self) -> bytes:
        """What has arrived; also appended to the log."""
        try:
            data = os.read(self.master, 65536)
        except (BlockingIOError, OSError):
            return b""
        self._log.write(data)
        return data

    def lines(self) -> list[str]:
        data = self._partial
        while chunk := self.read():
            data += chunk
        *whole, self._partial = data.split(b"\n")
        return [line.decode(errors="replace").rstrip("\r") for line in whole]

    def close(self) -> None:
        os.close(self.master)
        os.close(self._slave)
        self._log.close()


class Emulator:
    """A running Bochs. Use as a context manager: leaving it ends the process."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        run_dir = machine.run_dir
        boot_iso(machine, run_dir / "images.log")
        root = run_dir / "root.img"
        root.unlink(missing_ok=True)
        # A link, so that Bochs puts its copy-on-write file into the run's folder, which goes away with the run.
        root.symlink_to(machine.root_image)
        self.events = EventDisk(run_dir / "events.img")
        self.console = Console(run_dir / "console.log")
        (run_dir / "bochsrc").write_text(
            _BOCHSRC.format(
                cpus=machine.cpus, ips=_IPS, memory=machine.memory_mib, run=run_dir, console=self.console.device
            )
        )
        # Debian's Bochs starts in its debugger: "c" is continue.
        (run_dir / "debugger.rc").write_text("c\n")
        self._output = (run_dir / "bochs.out").open("wb")
        self.process = subprocess.Popen(
            # Should we be killed without a chance to clean up, Bochs goes too.
            ["setpriv", "--pdeathsig", "KILL", "bochs", "-q", "-f", str(run_dir / "bochsrc"), "-rc", str(run_dir / "debugger.rc")],
            stdin=subprocess.DEVNULL, stdout=self._output, stderr=subprocess.STDOUT, cwd=run_dir,
            start_new_session=True,
        )

    @property
    def status(self) -> int | None:
        """Exit status of the emulator, negative for a signal; None while it runs."""
        return self.process.poll()

    def __enter__(self) -> "Emulator":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.console.close()
        self._output.close()

    def wait(self, bound: float, on_console: Callable[[str], None], on_event: Callable[[str], None]) -> None:
        """Pass lines on until the emulated host has powered off.

        LabError after `bound` seconds of the emulator's CPU time, or when nothing at all was heard for `_SILENCE` of them.
        """
        heard = 0.0
        heard_at = time.monotonic()
        while True:
            ended = self.process.poll() is not None
            before, now = heard, heard if ended else self._cpu_seconds()
            for line in self.console.lines():
                heard = now
                on_console(line)
            for line in self.events.lines():
                heard = now
                on_event(line)
            if ended:
                return
            if heard != before:
                heard_at = time.monotonic()
            if now - heard > _SILENCE or time.monotonic() - heard_at > _STILLNESS:
                raise LabError(f"the emulated host hangs: nothing was heard of it for {now - heard:.0f} s of CPU time")
            if now > bound:
                raise LabError(f"the emulated host did not end within {bound:.0f} s of CPU time")
            select.select([self.console.master], [], [], 0.2)

    def _cpu_seconds(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime

    def interact(self) -> None:
        """Connect this terminal to the console until the host powers off or the user types Ctrl-]."""
        keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
        saved = termios.tcgetattr(keyboard) if os.isatty(keyboard) else None
        if saved is not None:
            tty.setraw(keyboard)
        watch = [keyboard, self.console.master]
        try:
            while self.process.poll() is None:
                ready, _, _ = select.select(watch, [], [], 0.2)
                if self.console.master in ready:
                    os.write(screen, self.console.read())
                if keyboard in ready:
                    typed = os.read(keyboard, 64)
                    if _TTY_ESCAPE in typed:
                        break
                    if not typed:
                        watch.remove(keyboard)
                    # One byte at a time: the emulated UART has a 16-byte queue.
                    for byte in typed:
                        os.write(self.console.master, bytes([byte]))
                        time.sleep(0.002)
        finally:
            if saved is not None:
                termios.tcsetattr(keyboard, termios.TCSADRAIN, saved)
