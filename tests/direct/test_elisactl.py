# SPDX-License-Identifier: Apache-2.0
"""Each command of elisactl, against a running switch of the direct backend with stock testpmd at its ports."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parent))
import pcap  # noqa: E402
from bed import Bed, Process, until  # noqa: E402

BUILD = Path(os.environ.get("ELISA_BUILD_DIR", Path(__file__).parents[2] / "build"))
LOGS = BUILD / "logs/direct"
ELISACTL = BUILD / "host/bin/elisactl"

CONFIG = """\
[switch]
fdb_age = 100

[[guest]]
label = "a"

[[guest]]
label = "b"
"""


class Elisactl:
    def __init__(self, control: Path) -> None:
        self.control = control

    def command(self, *words: str) -> list[str]:
        return [str(ELISACTL), "--socket", str(self.control), *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=60, check=False)

    def json(self, *words: str) -> Any:
        done = self.run(*words, "--json")
        if done.returncode != 0:
            raise AssertionError(f"elisactl {' '.join(words)}: {done.stderr}")
        return json.loads(done.stdout.splitlines()[-1])

    def refusal(self, *words: str) -> str:
        done = self.run(*words, "--json")
        if done.returncode == 0:
            raise AssertionError(f"elisactl {' '.join(words)} was not refused: {done.stdout}")
        answer = json.loads(done.stdout.splitlines()[-1])
        assert answer["ok"] is False and answer["error"] in done.stderr
        return str(answer["error"])


class ElisactlTest(unittest.TestCase):
    def setUp(self) -> None:
        self.bed = Bed(BUILD, LOGS / self.id().rpartition(".")[2])
        self.bed.__enter__()
        self.addCleanup(self.bed.__exit__)
        self.ctl = Elisactl(Path(f"{self.bed.socket}.control"))
        self.config = self.bed.folder / "vmnet.toml"

    def manager(self, config: str = CONFIG) -> Process:
        self.config.write_text(config)
        return self.bed.manager("--config", str(self.config))

    def vdev(self, label: str) -> str:
        return f"net_rvif0,backend=direct,label={label}"

    def generator(self, flows: str, options: str = "") -> Process:
        return self.bed.testpmd("gen", [f"net_rvgen0,name=gen,{flows},report={self.bed.report_path('gen')}{options}",
                                        self.vdev("a")], "--forward-mode=io")

    def echo(self) -> Process:
        return self.bed.testpmd("echo", [f"net_rvgen0,mode=echo,name=echo,report={self.bed.report_path('echo')}",
                                         self.vdev("b")], "--forward-mode=io")

    def ports(self) -> dict[str, Any]:
        return {port["label"]: port for port in self.ctl.json("port", "list")}

    def sent(self, label: str) -> int:
        """Frames that its driver has given to the switch, dropped ones too."""
        port = self.ports()[label]
        return port["tx_frames"] + sum(port["drops"].values())

    # ------------------------------------------------------------- ports, addresses, counters

    def test_ports_addresses_counters_and_events(self) -> None:
        ctl = self.ctl
        manager = self.manager()
        self.assertEqual([], ctl.json("port", "list"))
        receiver = self.bed.testpmd("b", [self.vdev("b")], "--forward-mode=rxonly")
        sender = self.bed.testpmd("a", [self.vdev("a")], "-i", "--forward-mode=txonly")
        sender.until_says("testpmd>")
        sender.say("start")
        until("links", lambda: {p["link"] for p in self.ports().values()} == {"up"} and len(self.ports()) == 2)
        ports = self.ports()
        a, b = ports["a"]["port"], ports["b"]["port"]
        self.assertEqual(1, ports["a"]["rx_queues"])
        self.assertIn("LABEL", ctl.run("port", "list").stdout)

        # Rates, of which frames arrive at b.
        shown = ctl.run("stats", "--watch", "--count", "2", "--interval", "0.2", "--json")
        rates = [json.loads(line) for line in shown.stdout.splitlines()]
        self.assertEqual(2, len(rates))
        self.assertEqual({"a", "b"}, {p["label"] for p in rates[-1]["ports"]})

        def bursts() -> bool:
            seen = ctl.json("stats", "--watch", "--count", "1", "--interval", "0.2")["ports"]
            return any(p["tx_frames_per_s"] > 0 and p["frames_per_crossing"] > 1 and (p["cycles_per_frame"] or 0) > 0
                       for p in seen if p["label"] == "a")

        until("rates", bursts)
        for heading in ("FR/CR", "CYC/FR"):
            self.assertIn(heading, ctl.run("stats", "--watch", "--count", "1", "--interval", "0.1").stdout)
        totals = {p["label"]: p for p in ctl.json("stats")["ports"]}
        self.assertGreater(totals["a"]["tx_frames"], 0)
        self.assertIn("CROSSINGS", ctl.run("stats").stdout)
        # One call in 16 is timed; who never sent has no frame to divide by.
        self.assertAlmostEqual(totals["a"]["timed_cycles"] / totals["a"]["timed_frames"], totals["a"]["cycles_per_frame"])
        self.assertLess(totals["a"]["timed_frames"], totals["a"]["tx_frames"] / 4)
        self.assertIsNone(totals["b"]["cycles_per_frame"])
        self.assertRegex(ctl.run("stats").stdout, r"(?m)^ +\d+ b .* - +\S+$")

        # A held-down port carries nothing and says why.
        self.assertEqual({"ok": True}, ctl.json("port", "down", "b"))
        self.assertEqual("held down by the administrator", self.ports()["b"]["why"])
        before, sent = self.ports()["b"]["rx_frames"], self.sent("a")
        until("frames from the sender", lambda: self.sent("a") > sent + 5000)
        self.assertLessEqual(self.ports()["b"]["rx_frames"] - before, 512)
        ctl.json("port", "up", str(b))
        until("frames again", lambda: self.ports()["b"]["rx_frames"] > before + 1000)

        # Settings take effect at once, and are refused with a reason.
        ctl.json("port", "set", "a", "vlan=10")
        self.assertEqual(10, self.ports()["a"]["settings"]["vlan"])
        until("drops", lambda: self.ports()["a"]["drops"].get("no_destination", 0) > 0)
        ctl.json("port", "set", "a", "vlan=none")
        ctl.json("port", "set", "a", "rate=1")
        until("rate drops", lambda: self.ports()["a"]["drops"].get("rate", 0) > 0)
        ctl.json("port", "set", str(a), "rate=none", "isolated=true")
        self.assertTrue(self.ports()["a"]["settings"]["isolated"])
        self.assertEqual(0, self.ports()["a"]["settings"]["rate"])
        self.assertIn("did you mean 'isolated'", ctl.refusal("port", "set", "a", "isolatd=true"))
        self.assertIn("from 1 to 4094", ctl.refusal("port", "set", "a", "vlan=4095"))
        self.assertIn("no setting", ctl.refusal("port", "set", "a", "vlan"))
        self.assertIn("capture = true", ctl.refusal("port", "set", "a", "mirror=b"))
        self.assertIn("not open", ctl.refusal("port", "up", "63"))
        self.assertIn("no open port has the label", ctl.refusal("port", "down", "nobody"))

        # Addresses.
        mine = ports["a"]["mac"]
        self.assertIn(mine, [m["mac"] for m in ctl.json("mac", "list")])
        ctl.json("mac", "add", "02:00:00:00:00:99", "b")
        entry = {m["mac"]: m for m in ctl.json("mac", "list")}["02:00:00:00:00:99"]
        self.assertEqual((b, True), (entry["port"], entry["static"]))
        self.assertIn("another port", ctl.refusal("mac", "add", "02:00:00:00:00:99", "a"))
        self.assertIn("one station", ctl.refusal("mac", "add", "ff:ff:ff:ff:ff:ff", "a"))
        sender.say("stop")
        sender.until_says("Forward statistics for port 0")
        ctl.json("mac", "flush", "a")
        ctl.json("mac", "flush")
        own = {ports["a"]["mac"], ports["b"]["mac"]}
        self.assertEqual({"02:00:00:00:00:99", *own}, {m["mac"] for m in ctl.json("mac", "list")})
        ctl.json("mac", "remove", "02:00:00:00:00:99")
        self.assertEqual(own, {m["mac"] for m in ctl.json("mac", "list")})
        self.assertIn("MAC", ctl.run("mac", "list").stdout)

        # All of it was written down, and goes on being.
        kinds = [event["event"] for line in ctl.run("events", "--json").stdout.splitlines() for event in [json.loads(line)]]
        for kind in ("ready", "port-opened", "port-down", "port-up", "port-set", "mac-add", "mac-flush"):
            self.assertIn(kind, kinds)
        with subprocess.Popen(ctl.command("events", "--follow"), stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            for line in follower.stdout:
                if "mac-remove" in line:
                    break
            ctl.json("port", "down", "a")
            self.assertIn("port-down", follower.stdout.readline())
            follower.kill()
        self.assertTrue(manager.running() and receiver.running())

    def test_without_a_manager_it_says_what_to_do(self) -> None:
        self.assertIn("is vmnet running on this machine", self.ctl.refusal("port", "list"))
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(self.ctl.control))
        self.assertIn("start vmnet again", self.ctl.refusal("stats"))

    def test_garbage_on_the_control_socket_harms_nobody(self) -> None:
        self.manager()
        for garbage in (b"\x00\xff\n", b"{}\n", b"[1,2]\n", b'{"cmd": 3}\n', b'{"cmd":"port-set","port":{}}\n', b"x" * 200_000,
                        b'{"cmd":"mac-add","mac":5,"port":0}\n', b'{"cmd":"nothing"}\n', b"[" * 60_000 + b"\n"):
            with socket.socket(socket.AF_UNIX) as peer:
                peer.connect(str(self.ctl.control))
                peer.settimeout(10)
                try:
                    peer.sendall(garbage)
                    answer = peer.recv(4096)
                except (BrokenPipeError, ConnectionResetError):
                    continue
                if answer:
                    self.assertIs(False, json.loads(answer)["ok"], garbage)
        self.assertEqual([], self.ctl.json("port", "list"))

    # ------------------------------------------------------------- capture

    def tshark(self, path: Path, *words: str) -> list[bytes]:
        """The frames' bytes, as tshark has them."""
        done = subprocess.run(["tshark", "-n", "-r", str(path), "-T", "jsonraw", "-J", "frame", *words],
                              capture_output=True, text=True, check=True)
        return [bytes.fromhex(packet["_source"]["layers"]["frame_raw"][0]) for packet in json.loads(done.stdout)]

    def stream(self, count: int) -> list[bytes]:
        """Frames of all sizes; every tenth is UDP to port 53."""
        dice = random.Random(7)
        frames = []
        for index in range(count):
            head = bytes.fromhex("020000000002" "020000000001")
            size = dice.choice((60, 64, 128, 500, 1000, 1514)) + dice.randrange(0, 1)
            if index % 10 == 0:
                body = size - 14
                ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, body, index, 0, 64, 17, 0, bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
                udp = struct.pack(">HHHH", 4000, 53, body - 20, 0)
                frame = head + b"\x08\x00" + ip + udp
            else:
                frame = head + b"\x88\xb5"
            frames.append(frame + dice.randbytes(size - len(frame)))
        return frames

    def capture(self, *words: str) -> Process:
        """It captures when it says so."""
        process = self.bed._start("capture", self.ctl.command("capture", *words))  # pylint: disable=protected-access
        until("capture", lambda: "capturing port" in process.output() and self.capturing())
        return process

    def capturing(self) -> bool:
        return "capture" in self.ctl.json("stats")

    def test_capture_of_a_stream_equals_it_in_tshark(self) -> None:
        # As many as the capture's queue holds, so that none may be missing however slow this machine is.
        frames = self.stream(900)
        known, out = self.bed.folder / "known.pcap", self.bed.folder / "out.pcap"
        pcap.write(known, frames)
        self.manager()
        self.bed.testpmd("b", [self.vdev("b")], "--forward-mode=rxonly", "--rxd=1024").until_says("Press enter")
        sender = self.bed.testpmd("a", [f"net_pcap0,rx_pcap={known},tx_pcap={out}", self.vdev("a")], "-i", "--no-flush-rx", "--forward-mode=io")
        sender.until_says("testpmd>")
        whole = self.bed.folder / "whole.pcapng"
        process = self.capture("a", "-w", str(whole), "--count", "900")
        sender.say("start")
        self.assertEqual(0, process.wait(), process.tail())
        self.assertEqual(frames, self.tshark(whole))
        self.assertIn("lost: 0 by the switch, 0 by this program", process.output())
        self.assertEqual(frames, self.tshark(whole, "-Y", "frame.packet_flags_direction == 2"),
                         "the port's guest sent them")
        until("end of the capture", lambda: not self.capturing())
        totals = {p["label"]: p for p in self.ctl.json("stats")["ports"] if p["open"]}
        self.assertEqual(900, totals["b"]["rx_frames"], "the copies are not the receiver's")

        # The receiver's side, with a filter; the file ends well although the end comes by a signal.
        sender.say("stop")
        sender.say("quit")
        sender.wait()
        sender = self.bed.testpmd("a2", [f"net_pcap0,rx_pcap={known},tx_pcap={out}", self.vdev("a")], "-i", "--no-flush-rx", "--forward-mode=io")
        sender.until_says("testpmd>")
        some = self.bed.folder / "some.pcapng"
        process = self.capture("b", "-w", str(some), "udp", "port", "53")
        sender.say("start")
        until("frames", lambda: self.ports()["b"]["rx_frames"] == 1800)
        # The last of them is there before the capture ends: the file grows as long as frames come.
        length = sum(len(frame) + -len(frame) % 4 + 44 for frame in frames[::10])
        until("frames in the file", lambda: some.stat().st_size > length)
        os.kill(process.pid, signal.SIGINT)
        self.assertEqual(0, process.wait(), process.tail())
        self.assertEqual(frames[::10], self.tshark(some))
        self.assertEqual([], self.tshark(some, "-Y", "frame.packet_flags_direction == 2"), "they were sent to it")
        self.assertRegex(process.output(), r"90 frame\(s\) captured of (89[1-9]|900) seen")

    def test_a_reader_that_stands_still_stops_nobody(self) -> None:
        self.manager()
        echo = self.echo()
        generator = self.generator("flow=64:400000,flow=1500:100000")
        generator.until_says("traffic-begin")
        process = self.capture("a", "-w", str(self.bed.folder / "all.pcapng"))
        self.assertIn("already", self.ctl.refusal("capture", "b"))
        process.freeze()
        flows = self.bed.report(generator, 120)["flows"]
        for flow in flows:
            self.assertEqual({}, flow["drops"], flow)
            self.assertEqual(flow["sent"], flow["verified"], flow)
        generator.wait()
        process.thaw()
        # The port has gone with its process: so ends the capture.
        self.assertEqual(0, process.wait(), process.tail())
        ended = [e for e in map(json.loads, self.ctl.run("events", "--json").stdout.splitlines()) if e["event"] == "capture-ended"]
        self.assertEqual(1, len(ended))
        self.assertGreater(ended[0]["slow"] + ended[0]["lost"], 0, "500,000 frames fit into no buffer")
        self.assertIn(f"lost: {ended[0]['lost']} by the switch", process.output())
        echo.wait()

    def test_wrong_captures_are_explained(self) -> None:
        self.manager()
        self.assertIn("pcap-filter", self.ctl.refusal("capture", "a", "not", "a", "filter", "at", "all"))
        self.assertIn("no open port has the label", self.ctl.refusal("capture", "a"))
        self.bed.testpmd("b", [self.vdev("b")], "--forward-mode=rxonly").until_says("Press enter")
        self.assertIn("/nowhere", self.ctl.refusal("capture", "b", "-w", "/nowhere/x.pcapng"))
        self.assertFalse(self.capturing())

    # ------------------------------------------------------------- configuration

    def test_reloads_lose_no_frame(self) -> None:
        manager = self.manager()
        echo = self.echo()
        generator = self.generator("flow=64:600000,flow=1500:100000")
        generator.until_says("traffic-begin")
        rounds = 0
        while rounds < 20 and generator.running():
            self.config.write_text(CONFIG + f'rate = {100000 + rounds}\nstorm = {1000000 + rounds}\n[[guest]]\nlabel = "c{rounds}"\n')
            if rounds % 2 == 0:
                self.assertEqual({"ok": True, "notes": []}, self.ctl.json("reload"))
            else:
                os.kill(manager.pid, signal.SIGHUP)
                until("reload", lambda: self.ports()["b"]["settings"]["rate"] == 100000 + rounds)
            rounds += 1
        self.config.write_text(CONFIG + "rat = 5\n")
        mistake = CONFIG.count("\n") + 1
        self.assertIn(f"{self.config}:{mistake}: [[guest]]: unknown key 'rat': did you mean 'rate'?", self.ctl.refusal("reload"))
        self.assertEqual(99999 + rounds, self.ports()["b"]["settings"]["rate"], "a mistake changes nothing")
        self.assertGreater(rounds, 0)
        for flow in self.bed.report(generator, 120)["flows"]:
            self.assertEqual({}, flow["drops"], flow)
            self.assertEqual(flow["sent"], flow["verified"], flow)
        generator.wait()
        echo.wait()

    def test_a_reload_changes_what_it_can_and_says_what_it_cannot(self) -> None:
        self.manager()
        self.bed.testpmd("b", [self.vdev("b")], "--forward-mode=rxonly").until_says("Press enter")
        self.config.write_text(CONFIG.replace("fdb_age = 100", "fdb_age = 50\ntsc_hz = 1000000000") + 'vlan = 7\nmac = "02:00:00:00:00:07"\n'
                               + f'[metrics]\nlisten = "unix:{self.bed.folder}/metrics"\n')
        later = [f"{key} takes effect when vmnet is started again" for key in ("[switch] fdb_age", "[switch] tsc_hz", "[metrics] listen")]
        notes = self.ctl.json("reload")["notes"]
        self.assertEqual(later, notes[:-1])
        self.assertIn("mac, tx_queues and capture of port 0", notes[-1])
        self.assertEqual(later, self.ctl.json("reload")["notes"], "they are still to come")
        self.assertEqual(7, self.ports()["b"]["settings"]["vlan"])
        self.config.write_text(CONFIG + "down = true\n")
        self.ctl.json("reload")
        self.assertEqual("held down by the configuration", self.ports()["b"]["why"])
        self.config.write_text(CONFIG)
        self.ctl.json("reload")
        self.assertEqual("up", self.ports()["b"]["link"])
        self.config.write_text(CONFIG.replace('label = "b"', 'label = "z"'))
        self.assertIn("has no [[guest]] any more", self.ctl.json("reload")["notes"][0])
        self.assertEqual("down", self.ports()["b"]["link"])

    def test_sighup_reloads_without_a_control_socket(self) -> None:
        self.config.write_text(CONFIG)
        manager = self.bed.manager("--config", str(self.config), "--control", "none")
        self.config.write_text(CONFIG + '[[guest]]\nlabel = "c"\n')
        os.kill(manager.pid, signal.SIGHUP)
        manager.until_says("configuration read again, 3 guest(s)")
        self.config.write_text(CONFIG + "rat = 5\n")
        os.kill(manager.pid, signal.SIGHUP)
        manager.until_says("the configuration stays as it is")
        self.assertFalse(self.ctl.control.exists())

    # ------------------------------------------------------------- doctor

    def findings(self, *words: str) -> dict[str, dict[str, str]]:
        shown = self.ctl.run("doctor", *words, "--json")
        return {f["check"]: f for f in json.loads(shown.stdout)["findings"] if f["status"] != "ok"}

    def test_doctor_finds_what_is_wrong_with_a_switch(self) -> None:
        found = self.findings("--at", "switch")
        self.assertEqual("problem", found["manager"]["status"])
        self.assertIn("vmnet --config", found["manager"]["fix"])

        self.manager()
        self.assertEqual({}, self.findings("--at", "switch"))
        receiver = self.bed.testpmd("b", [self.vdev("b")], "-i", "--forward-mode=rxonly")
        receiver.until_says("testpmd>")
        self.assertEqual({}, self.findings("--at", "switch"))
        self.ctl.json("port", "down", "b")
        found = self.findings("--at", "switch")
        self.assertIn("held down by the administrator", found["link"]["text"])
        self.assertEqual("elisactl port up 0", found["link"]["fix"])
        self.ctl.json("port", "up", "b")
        receiver.say("port stop all")
        until("stop", lambda: "link" in self.findings("--at", "switch"))
        self.assertIn("testpmd: port start all", self.findings("--at", "switch")["link"]["fix"])
        receiver.say("port start all")
        until("link", lambda: "link" not in self.findings("--at", "switch"))

        # A label that nobody knows; a second one of a label that may have one port.
        self.bed.testpmd("x", [self.vdev("stranger")])
        self.bed.testpmd("y", [self.vdev("b")])
        until("two refusals", lambda: self.ctl.run("events").stdout.count("port-refused") >= 2)
        found = self.findings("--at", "switch")
        self.assertEqual("problem", found["admitted"]["status"])
        shown = self.ctl.run("doctor", "--at", "switch").stdout
        self.assertIn("'stranger' was refused: no [[guest]] with this label", shown)
        self.assertIn('fix: add [[guest]] label = "stranger"', shown)
        self.assertIn("'b' was refused: its 1 port(s) are taken", shown)

        # Drops, and a file with a mistake.
        self.ctl.json("port", "set", "b", "isolated=true")
        sender = self.bed.testpmd("a", [self.vdev("a")], "--forward-mode=txonly")
        self.ctl.json("port", "list")
        until("port a", lambda: "a" in self.ports())
        self.ctl.json("port", "set", "a", "isolated=true")
        until("drops", lambda: self.ports()["a"]["drops"].get("no_destination", 0) > 0)
        self.config.write_text(CONFIG + "vlam = 3\n")
        self.ctl.refusal("reload")
        found = self.findings("--at", "switch")
        self.assertIn("no_destination", found["drops"]["text"])
        self.assertIn("did you mean 'vlan'", found["configuration"]["text"])
        self.assertIn("did you mean 'vlan'", found["reload"]["text"])
        self.assertTrue(sender.running())

    def test_doctor_finds_a_mirror_to_nobody_and_a_driver_that_is_stopped(self) -> None:
        self.manager("[[guest]]\nlabel = 'a'\nmirror = 'tap'\n[[guest]]\nlabel = 'b'\n[[guest]]\nlabel = 'tap'\ncapture = true\n")
        stopped = self.bed.testpmd("a", [self.vdev("a")], "-i", "--forward-mode=rxonly")
        stopped.until_says("testpmd>")
        found = self.findings("--at", "switch")
        self.assertEqual({"mirror"}, set(found))
        self.assertIn("mirrored to 'tap', which is not attached", found["mirror"]["text"])
        self.assertIn("elisactl capture", found["mirror"]["fix"])
        tap = self.bed.testpmd("tap", [self.vdev("tap")], "-i", "--forward-mode=rxonly")
        until("the mirror's port", lambda: "mirror" not in self.findings("--at", "switch"))
        # Another one's memory comes, and it does not say that it has it.
        stopped.freeze()
        self.bed.testpmd("b", [self.vdev("b")], "-i", "--forward-mode=rxonly")
        until("the stopped driver", lambda: "driver-late" in self.findings("--at", "switch"))
        found = self.findings("--at", "switch")
        self.assertIn(f"pid {stopped.pid}", found["driver-late"]["text"])
        self.assertIn("SIGSTOP", found["driver-late"]["fix"])
        stopped.thaw()
        self.assertTrue(tap.running())

    # ------------------------------------------------------------- counters for Prometheus, log lines

    def test_prometheus_gets_its_counters(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.manager(CONFIG + f'[metrics]\nlisten = "127.0.0.1:{port}"\n[log]\nformat = "json"\n')
        echo = self.echo()
        generator = self.generator("flow=64:200000")
        generator.until_says("traffic-begin")

        def scrape() -> str:
            return str(urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode())

        text = scrape()
        self.assertRegex(text, r'elisa_port_up\{port="[01]",label="b"\} 1')
        used = {line.partition("{")[0] for line in text.splitlines() if not line.startswith("#")}
        self.bed.report(generator)
        generator.wait()
        until("end", lambda: 'elisa_ports_open{label="a"} 0' in scrape())
        text = scrape()
        values = {}
        for line in text.splitlines():
            self.assertRegex(line, r'^(# (HELP|TYPE) elisa_[a-z_]+ .+|elisa_[a-z_]+(\{([a-z]+="[^"]*",?)+\})? \d+)$')
            if not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                values[name] = int(value)
        self.assertGreaterEqual(values['elisa_sent_frames_total{label="a"}'], 200_000)
        self.assertGreaterEqual(values['elisa_received_frames_total{label="b"}'], 200_000)
        self.assertEqual(values['elisa_sent_frames_total{label="a"}'], values['elisa_queue_sent_frames_total{label="a",queue="0"}'])
        self.assertEqual(0, values['elisa_ports_open{label="a"}'], "its counters stay")
        self.assertGreater(values['elisa_timed_frames_total{label="a"}'], 0)
        self.assertGreater(values['elisa_timed_cycles_total{label="a"}'], values['elisa_timed_frames_total{label="a"}'])
        dashboard = (Path(__file__).parents[2] / "apps/vmnet/grafana.json").read_text()
        for panel in json.loads(dashboard)["panels"]:
            for target in panel["targets"]:
                names = [n for n in used if n in target["expr"]]
                self.assertTrue(names or "dropped" in target["expr"], target["expr"])
        for request in (b"POST /metrics HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"x" * 100_000):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
                try:
                    peer.sendall(request)
                    self.assertNotIn(b"200 OK", peer.recv(4096))
                except (BrokenPipeError, ConnectionResetError):
                    pass
        echo.wait()
        lines = [json.loads(line) for line in self.bed.folder.joinpath("00-manager.log").read_text().splitlines()]
        self.assertEqual({"ready", "port-opened", "port-closed", "driver-gone"}, {line["event"] for line in lines})

    def test_prometheus_gets_its_counters_beside_idle_connections(self) -> None:
        path = self.bed.folder / "metrics"
        self.manager(CONFIG + f'[metrics]\nlisten = "unix:{path}"\n')
        with contextlib.ExitStack() as idle:
            for _ in range(16):
                idle.enter_context(socket.socket(socket.AF_UNIX)).connect(str(path))
            self.ctl.json("port", "list")  # they are taken in
            with socket.socket(socket.AF_UNIX) as scraper:
                scraper.settimeout(10)
                scraper.connect(str(path))
                scraper.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
                self.assertTrue(scraper.recv(4096).startswith(b"HTTP/1.1 200 OK"))


class DoctorTest(unittest.TestCase):
    """Misconfigurations that are seeded into copies of machines, each with its fix."""

    HOST = {
        "/proc/sys/kernel/osrelease": "6.1.0-56-amd64\n",
        "/proc/modules": "elisa 1 0 - Live 0x0\nkvm_intel 1 1 elisa, Live 0x0\nkvm 1 1 kvm_intel, Live 0x0\n",
        "/sys/module/kvm_intel/version": "elisa-1\n",
        "/sys/module/kvm_intel/parameters/ept": "Y\n",
        "/lib/modules/6.1.0-56-amd64/updates/dkms/elisa.ko.xz": "",
        "/proc/77/cmdline": "/usr/bin/qemu-system-x86_64\0-name\0guest=a\0-cpu\0host,-pcid\0",
    }
    VM = {
        "/proc/sys/kernel/osrelease": "6.1.0-56-amd64\n",
        "/proc/cpuinfo": "processor : 0\nflags : fpu vme hypervisor avx2\n",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "64\n",
        "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "12\n",
        "/proc/mounts": "none /dev/hugepages hugetlbfs rw 0 0\n",
        "/boot/config-6.1.0-56-amd64": "CONFIG_X86_IOPL_IOPERM=y\n",
        "/sys/kernel/security/lockdown": "[none] integrity confidentiality\n",
        "/opt/elisa/librte_net_rvif.so": "",
    }

    def doctor(self, where: str, files: dict[str, str | None], *words: str, loose: str = "") -> dict[str, dict[str, str]]:
        with tempfile.TemporaryDirectory() as root:
            os.chmod(root, 0o755)
            for name, text in files.items():
                if text is not None:
                    path = Path(root, name.lstrip("/"))
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_text(text)
            if loose:
                os.chmod(Path(root, loose.lstrip("/")), 0o777)
            shown = subprocess.run([ELISACTL, "doctor", "--json", "--at", where, "--root", root, *words],
                                   capture_output=True, text=True, check=False)
            answer = json.loads(shown.stdout)
            found = {f["check"]: f for f in answer["findings"] if f["status"] == "problem"}
            self.assertEqual((len(found) > 0, answer["problems"]), (shown.returncode == 1, len(found)), shown.stderr)
            return found

    def test_a_good_machine_has_no_problem(self) -> None:
        self.assertEqual({}, self.doctor("host", self.HOST))
        self.assertEqual({}, self.doctor("vm", self.VM, "--driver", "/opt/elisa/librte_net_rvif.so"))

    def test_seeded_misconfigurations_are_found_with_their_fix(self) -> None:
        driver = "/opt/elisa/librte_net_rvif.so"
        only_kvm = "kvm_intel 1 0 - Live 0x0\n"
        seeds: list[tuple[str, dict[str, str | None], list[str], str, str]] = [
            ("host", {"/proc/sys/kernel/osrelease": "6.5.0-1-amd64"}, [], "kernel", "boot one of these"),
            ("host", {"/proc/modules": only_kvm}, [], "module", "modprobe elisa"),
            ("host", {"/proc/modules": only_kvm, "/lib/modules/6.1.0-56-amd64/updates/dkms/elisa.ko.xz": None}, [], "module",
             "elisa-kvm-dkms"),
            ("host", {"/proc/modules": only_kvm, "/proc/sys/kernel/osrelease": "6.1.0-57-amd64"}, [], "module",
             "dkms autoinstall -k 6.1.0-57-amd64"),
            ("host", {"/sys/module/kvm_intel/version": None}, [], "kvm-intel", "rmmod kvm_intel"),
            ("host", {"/proc/modules": "elisa 1 0 - Live 0x0\n"}, [], "kvm-intel", "modprobe kvm_intel"),
            ("host", {"/sys/module/kvm_intel/parameters/ept": "N"}, [], "kvm-parameter", "/etc/modprobe.d"),
            ("host", {"/proc/77/cmdline": "qemu-system-x86_64\0-cpu\0host\0"}, [], "pcid", "-cpu host,-pcid"),
            ("vm", {"/proc/cpuinfo": "flags : hypervisor pcid avx2\n"}, [], "pcid", "-cpu host,-pcid"),
            ("vm", {"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n"}, [], "hugepages", "vm.nr_hugepages"),
            ("vm", {"/proc/mounts": ""}, [], "hugetlbfs", "mount -t hugetlbfs"),
            ("vm", {"/boot/config-6.1.0-56-amd64": "# CONFIG_X86_IOPL_IOPERM is not set\n"}, [], "ioperm", "distribution's kernel"),
            ("vm", {"/sys/kernel/security/lockdown": "none [integrity] confidentiality\n"}, [], "lockdown", "Secure Boot off"),
            ("vm", {driver: None}, ["--driver", driver], "driver", "librte_net_rvif.so"),
        ]
        for where, changes, words, check, fix in seeds:
            with self.subTest(check=check, changes=changes):
                found = self.doctor(where, {**(self.HOST if where == "host" else self.VM), **changes}, *words)
                self.assertEqual({check}, set(found))
                self.assertIn(fix, found[check]["fix"])
        found = self.doctor("vm", self.VM, "--driver", driver, loose="/opt/elisa")
        self.assertIn("everybody can write to", found["driver"]["text"])


class TextsTest(unittest.TestCase):
    def test_completion_knows_the_commands(self) -> None:
        script = subprocess.run([ELISACTL, "completion", "bash"], capture_output=True, text=True, check=True).stdout
        for words, wanted in ((["elisactl", "p"], "port"), (["elisactl", "port", "s"], "set"), (["elisactl", "--json", "mac", "fl"], "flush"),
                              (["elisactl", "capture", "--co"], "--count"), (["elisactl", "host", "add", "--na"], "--name")):
            listed = " ".join(f"'{word}'" for word in words)
            probe = f"{script}\nCOMP_WORDS=({listed}); COMP_CWORD={len(words) - 1}; _elisactl; echo \"${{COMPREPLY[@]}}\""
            shown = subprocess.run(["bash", "-u", "-c", probe], capture_output=True, text=True, check=True)
            self.assertIn(wanted, shown.stdout.split(), words)

    COMPLETIONS = (("elisactl p", "port"), ("elisactl port s", "set"), ("elisactl --json mac fl", "flush"),
                   ("elisactl capture --co", "--count"), ("elisactl host add --na", "--name"))

    def script(self, shell: str) -> str:
        return subprocess.run([ELISACTL, "completion", shell], capture_output=True, text=True, check=True).stdout

    def test_completion_knows_the_commands_in_zsh(self) -> None:
        # compadd, which works inside of a completion only, says what it was given.
        probe = "compdef() {}; compadd() { print -l -- ${@:2} }; _files() {}\n" + self.script("zsh")
        for line, wanted in self.COMPLETIONS:
            words = line.split()
            call = f"\nwords=({' '.join(words)}); CURRENT={len(words)}; _elisactl"
            shown = subprocess.run(["zsh", "-f", "-c", probe + call], capture_output=True, text=True, check=True)
            self.assertIn(wanted, shown.stdout.split(), words)

    def test_completion_knows_the_commands_in_fish(self) -> None:
        with tempfile.TemporaryDirectory() as home:
            for line, wanted in self.COMPLETIONS:
                shown = subprocess.run(["fish", "-N", "-c", self.script("fish") + f"\ncomplete -C '{line}'"], capture_output=True, text=True,
                                       check=True, env={**os.environ, "HOME": home})
                self.assertIn(wanted, shown.stdout.split(), line)

    def test_with_json_every_answer_is_json(self) -> None:
        def run(*words: str) -> tuple[int, Any]:
            done = subprocess.run([ELISACTL, *words], capture_output=True, text=True, check=False, timeout=60)
            return done.returncode, json.loads(done.stdout)

        for words in (("--json",), ("prot", "--json"), ("--json", "port", "set"), ("stats", "--json", "--interval", "0"),
                      ("host", "add", "--json", "--pid", "x"), ("mac", "add", "--jsn", "--json"), ("completion", "tcsh", "--json")):
            status, answer = run(*words)
            self.assertGreater(status, 1, words)
            self.assertIs(False, answer["ok"])
            self.assertTrue(answer["error"], words)
        for words in (("man",), ("completion", "bash")):
            plain = subprocess.run([ELISACTL, *words], capture_output=True, text=True, check=True).stdout
            self.assertEqual((0, {"ok": True, "text": plain}), run(*words, "--json"))

    def test_manual_has_every_command(self) -> None:
        page = subprocess.run([ELISACTL, "man"], capture_output=True, text=True, check=True).stdout
        for command in ("host add", "export list", "port set", "mac flush", "stats", "capture", "events", "reload", "doctor"):
            self.assertIn(f".SS elisactl {command}\n", page)
        self.assertNotIn("\n'", page)

    def test_each_command_explains_itself(self) -> None:
        for command in ("host", "export", "port", "mac", "stats", "capture", "events", "reload", "doctor"):
            self.assertEqual(0, subprocess.run([ELISACTL, command, "--help"], capture_output=True, check=False).returncode)
        self.assertNotEqual(0, subprocess.run([ELISACTL, "prot"], capture_output=True, check=False).returncode)


if __name__ == "__main__":
    unittest.main(verbosity=2)
