# SPDX-License-Identifier: Apache-2.0
"""Stock memcached clients against `kvs memcached`, with the store in processes of this machine (direct backend)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from pymemcache.client.base import Client

BUILD = Path(os.environ["ELISA_BUILD_DIR"])
KVS = str(BUILD / "guest/bin/kvs")


class Process:
    """One that says a line when it is ready, and is ended by its pid."""

    def __init__(self, *command: str, ready: str) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        while True:
            line = self.process.stdout.readline()
            if not line:
                raise RuntimeError(f"{command[1]} ended with status {self.process.wait()}")
            if found := re.search(ready, line):
                self.said = found
                return

    def end(self, how: signal.Signals = signal.SIGTERM) -> str:
        self.process.send_signal(how)
        text, _ = self.process.communicate(timeout=60)
        return text


class MemcachedTest(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.socket = self.folder.name + "/kvs.sock"
        self.manager = Process(
            KVS, "manager", "--backend", "direct", "--socket", self.socket,
            "--guest", "a,namespace=shared,memory=16,sessions=2", "--guest", "b,namespace=shared,memory=8",
            "--guest", "alone,memory=4", ready="the store is ready")
        self.started = [self.manager]
        self.port = self.front_end("a")

    def tearDown(self) -> None:
        for process in reversed(self.started):
            if process.process.poll() is None:
                process.end()
            process.process.stdout.close()
        self.folder.cleanup()

    def listening(self, where: str, label: str) -> Process:
        process = Process(KVS, "memcached", "--socket", self.socket, "--label", label, "--listen", where,
                          ready=r"protocol at (.+)")
        self.started.append(process)
        return process

    def front_end(self, label: str) -> int:
        return int(self.listening("127.0.0.1:0", label).said[1].removeprefix("127.0.0.1:"))

    def client(self, port: int) -> Client:
        return Client(("127.0.0.1", port), connect_timeout=30, timeout=30)

    def kvs(self, *arguments: str, data: bytes | None = None, label: str = "b") -> tuple[int, bytes]:
        done = subprocess.run([KVS, arguments[0], "--socket", self.socket, "--label", label, *arguments[1:]],
                              input=data, capture_output=True, timeout=60, check=False)
        return done.returncode, done.stdout

    def test_memcapable_passes(self) -> None:
        done = subprocess.run(["memccapable", "-h", "127.0.0.1", "-p", str(self.port), "-a", "-t", "10"],
                              capture_output=True, text=True, timeout=150, check=False)
        text = done.stdout + done.stderr
        self.assertEqual(done.returncode, 0, text)
        self.assertGreater(text.count("[pass]"), 20, text)
        self.assertNotIn("[FAIL]", text)

    def test_pymemcache_does_everything(self) -> None:
        client = self.client(self.port)
        self.assertTrue(client.set("key", b"value", flags=77, noreply=False))
        self.assertEqual(client.get("key"), b"value")
        self.assertFalse(client.add("key", b"other", noreply=False))
        self.assertTrue(client.replace("key", b"new", noreply=False))
        self.assertTrue(client.append("key", b"er", noreply=False))
        self.assertTrue(client.prepend("key", b"re", noreply=False))
        value, version = client.gets("key")
        self.assertEqual(value, b"renewer")
        self.assertTrue(client.cas("key", b"again", version, noreply=False))
        self.assertIs(client.cas("key", b"never", version, noreply=False), False)
        self.assertIsNone(client.cas("nothing", b"never", version, noreply=False))
        client.set_many({f"many{i}": b"x" * i for i in range(200)}, noreply=False)
        self.assertEqual(len(client.get_many([f"many{i}" for i in range(250)])), 200)
        client.set("number", b"18446744073709551615", noreply=False)
        self.assertEqual(client.incr("number", 2), 1)
        self.assertEqual(client.decr("number", 5), 0)
        self.assertIsNone(client.incr("nothing", 1))
        self.assertTrue(client.touch("key", 100, noreply=False))
        self.assertTrue(client.delete("key", noreply=False))
        self.assertFalse(client.delete("key", noreply=False))
        self.assertIsNone(client.get("key"))
        big = os.urandom(1 << 20)
        self.assertTrue(client.set("big", big, noreply=False))
        self.assertEqual(client.get("big"), big)
        with self.assertRaises(Exception):
            client.set("big", big + b"x", noreply=False)
        self.assertIsNone(client.get("big"))
        self.assertEqual(client.stats()[b"limit_maxbytes"], 16 << 20)
        self.assertTrue(client.flush_all(noreply=False))
        self.assertIsNone(client.get("many7"))
        client.quit()

    def test_times_end(self) -> None:
        client = self.client(self.port)
        client.set("short", b"v", expire=1, noreply=False)
        client.set("past", b"v", expire=-1, noreply=False)
        client.set("long", b"6", expire=1000, noreply=False)
        client.incr("long", 1)
        self.assertIsNone(client.get("past"))
        self.assertEqual(client.get("short"), b"v")
        for _ in range(600):
            if client.get("short") is None:
                break
            signal.sigtimedwait([], 0.05)
        self.assertIsNone(client.get("short"))
        self.assertEqual(client.get("long"), b"7")
        client.close()

    def test_guests_share_a_namespace_and_no_other(self) -> None:
        here, there = self.client(self.port), self.client(self.front_end("b"))
        alone = self.client(self.front_end("alone"))
        here.set("key", b"from a", noreply=False)
        self.assertEqual(there.get("key"), b"from a")
        self.assertIsNone(alone.get("key"))
        value, version = there.gets("key")
        here.set("key", b"changed", noreply=False)
        self.assertIs(there.cas("key", b"late", version, noreply=False), False)
        # One front end is killed; what it had put is there, and its session is free for another.
        killed = self.started[1]
        killed.end(signal.SIGKILL)
        self.assertEqual(there.get("key"), b"changed")
        again = self.client(self.front_end("a"))
        self.assertTrue(again.set("key", b"once more", noreply=False))
        self.assertEqual(there.get("key"), b"once more")
        for client in (here, there, alone, again):
            client.close()

    def test_a_value_that_is_too_large_takes_the_old_one_along_if_it_was_set(self) -> None:
        longest = 1 << 20  # for the protocol; the quarter of 4 MB that `alone` may put at once is just too little for it
        for port, length in ((self.port, longest + 1), (self.front_end("alone"), longest)):
            client = self.client(port)
            with socket.create_connection(("127.0.0.1", port), timeout=30) as raw, raw.makefile("rb") as stream:
                for command in (b"add", b"replace", b"append", b"prepend", b"cas", b"set"):
                    client.set("k", b"old", noreply=False)
                    version = b" " + client.gets("k")[1] if command == b"cas" else b""
                    raw.sendall(command + b" k 0 0 %d" % length + version + b"\r\n" + b"x" * length + b"\r\n")
                    self.assertEqual(stream.readline(), b"SERVER_ERROR object too large for cache\r\n", command)
                    self.assertEqual(client.get("k"), None if command == b"set" else b"old", command)
            client.close()

    def test_what_follows_bad_data_is_no_command_however_it_comes(self) -> None:
        client = self.client(self.port)
        client.set("other", b"value", noreply=False)
        cases = [
            [b"set k 0 0 3\r\nabcdefgh", b"flush_all\r\n"],
            [b"set k 0 0 3\r\nabcde", b"flush_all\r", b"\n"],
            [b"set k 0 0 3\r\nabcd", b"e", b"delete other", b" noreply\r\n"],
            [b"set k 0 0 3\r\nabcd\n"],  # this line has ended
            [b"set k 0 0 3\r\nabcdef", b"x" * 1_000_000, b"x" * 1_000_000, b"flush_all\r\n"],
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as raw, raw.makefile("rb") as stream:
            for case in cases:
                for segment in case:
                    raw.sendall(segment)
                    for _ in range(2):  # it has read that before it looks here again
                        client.get("k")
                raw.sendall(b"get other\r\n")
                self.assertEqual(list(iter(stream.readline, b"END\r\n")),
                                 [b"CLIENT_ERROR bad data chunk\r\n", b"VALUE other 0 5\r\n", b"value\r\n"], case[0])
        client.close()

    def test_nonsense_is_answered_and_does_no_harm(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as raw:
            stream = raw.makefile("rwb")
            cases = [
                (b"nonsense\r\n", b"ERROR"),
                (b"\r\n", b"ERROR"),
                (b"get\r\n", b"ERROR"),
                (b"get " + b"k" * 251 + b"\r\n", b"CLIENT_ERROR"),
                (b"set k 0 0\r\n", b"ERROR"),
                (b"set k x 0 1\r\n", b"CLIENT_ERROR"),
                (b"set k 0 0 -1\r\n", b"CLIENT_ERROR"),
                (b"set k 4294967296 0 1\r\n", b"CLIENT_ERROR"),
                (b"set k 0 0 3\r\ntoo long\r\n", b"CLIENT_ERROR bad data chunk"),
                (b"set k 0 0 2000000\r\n" + b"x" * 2000000 + b"\r\n", b"SERVER_ERROR object too large"),
                (b"incr k x\r\n", b"CLIENT_ERROR"),
                (b"touch k x\r\n", b"CLIENT_ERROR"),
                (b"delete k 5\r\n", b"CLIENT_ERROR"),
                (b"flush_all x\r\n", b"CLIENT_ERROR"),
                (b"version\r\n", b"VERSION"),
                (b"set k 7 0 2\r\nok\r\n", b"STORED"),
                (b"gat 100 k\r\n", b"VALUE k 7 2\r\n"),
            ]
            for sent, expected in cases:
                stream.write(sent)
                stream.flush()
                self.assertTrue(stream.readline().startswith(expected), sent[:60])
            self.assertEqual([stream.readline() for _ in range(2)], [b"ok\r\n", b"END\r\n"])
            stream.write(b"get " + b"k" * 100_000)  # no end of line
            stream.flush()
            self.assertTrue(stream.readline().startswith(b"CLIENT_ERROR line too long"))
            with contextlib.suppress(ConnectionResetError):  # it did not read all of that
                self.assertEqual(stream.readline(), b"")
        client = self.client(self.port)
        self.assertEqual(client.get("k"), b"ok")
        client.close()

    def test_answers_that_nobody_reads_cost_little_memory(self) -> None:
        other = self.client(self.port)
        big = os.urandom(1 << 20)
        other.set("big", big, noreply=False)
        other.set("number", b"0", noreply=False)
        value = b"VALUE big 0 1048576\r\n" + big + b"\r\n"
        front_end = Path(f"/proc/{self.started[1].process.pid}/status")
        requests = [  # and how many answers of how many values they ask for
            (b"get " + b"big " * 4000 + b"\r\n", 1, 4000),
            (b"gat 0" + b" big" * 200 + b"\r\n", 1, 200),
            (b"get big\r\n" * 200, 200, 1),
        ]
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as raw:
            stream = raw.makefile("rb", buffering=1 << 20)
            for i, (request, answers, values) in enumerate(requests, start=1):
                raw.sendall(request + b"incr number 1\r\nget number\r\n")
                for _ in range(50):  # others are served meanwhile
                    self.assertEqual(other.get("number"), str(i - 1).encode())
                resident = int(re.search(r"VmRSS:\s+(\d+) kB", front_end.read_text())[1])
                self.assertLess(resident, 128 << 10, request[:20])
                for _ in range(answers):
                    for _ in range(values):
                        self.assertTrue(stream.read(len(value)) == value)
                    self.assertEqual(stream.readline(), b"END\r\n")
                self.assertEqual([stream.readline() for _ in range(4)],
                                 [b"%d\r\n" % i, b"VALUE number 0 1\r\n", b"%d\r\n" % i, b"END\r\n"])
            stream.close()
        other.close()

    def test_the_command_line_sees_the_same(self) -> None:
        client = self.client(self.port)
        client.set("key", b"value", noreply=False)
        self.assertEqual(self.kvs("get", "key"), (0, b"value"))
        self.assertEqual(self.kvs("get", "nothing")[0], 1)
        big = os.urandom(900_000)
        self.assertEqual(self.kvs("put", "big", "-", data=big)[0], 0)
        self.assertEqual(client.get("big"), big)
        self.assertEqual(self.kvs("put", "key", "x", "--if", "absent"), (1, b"exists\n"))
        version = json.loads(self.kvs("get", "key", "--json")[1])["version"]
        self.assertEqual(self.kvs("put", "key", "y", "--version", str(version + 1)), (1, b"changed\n"))
        self.assertEqual(self.kvs("put", "key", "y", "--version", str(version))[0], 0)
        self.assertEqual(self.kvs("delete", "key")[0], 0)
        self.assertEqual(self.kvs("delete", "key"), (1, b"not found\n"))
        self.assertEqual(json.loads(self.kvs("stats")[1])["deletes"], 1)
        self.assertEqual(self.kvs("flush")[0], 0)
        self.assertIsNone(client.get("big"))
        self.assertEqual(self.kvs("get", "key", label="nobody")[0], 1)
        self.assertEqual(self.kvs("get", "key", "--instance", "5", label="a")[0], 1)
        exercise = self.kvs("exercise", "--operations", "3000", "--count", "200", "--total", "200")
        self.assertEqual(exercise[0], 0, exercise[1])
        client.close()

    def refusal(self, *arguments: str) -> str:
        done = subprocess.run([KVS, *arguments], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        return done.stderr

    def test_nobody_elses_socket_is_taken(self) -> None:
        path = self.folder.name + "/memcached.sock"
        serve_there = ("memcached", "--socket", self.socket, "--label", "alone", "--listen", path)
        Path(path).write_text("something else")
        self.assertIn("is no socket: remove it, or choose another path", self.refusal(*serve_there))
        self.assertEqual(Path(path).read_text(), "something else")
        Path(path).unlink()

        first = self.listening(path, "b")
        client = Client("unix:" + path, connect_timeout=30, timeout=30)
        client.set("key", b"value", noreply=False)
        manage_there = ("manager", "--backend", "direct", "--socket", path, "--guest", "a")
        for second in (serve_there, manage_there):
            self.assertIn("is in use: stop the program that listens there", self.refusal(*second))
        client.close()
        self.assertEqual(client.get("key"), b"value")  # over another connection
        client.close()

        first.end(signal.SIGKILL)
        self.listening(path, "b")
        self.assertEqual(client.get("key"), b"value")
        client.close()

    def test_a_manager_that_hangs_is_not_waited_for(self) -> None:
        path = self.folder.name + "/hangs.sock"
        with contextlib.ExitStack() as sockets:
            listener, *others = (sockets.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) for _ in range(3))
            listener.bind(path)
            listener.listen(0)
            others[0].connect(path)
            others[1].setblocking(False)
            self.assertRaises(BlockingIOError, others[1].connect, path)
            self.assertIn("is in use", self.refusal("manager", "--backend", "direct", "--socket", path, "--guest", "a"))

    def test_bad_arguments_are_told(self) -> None:
        cases = {
            "": "begins with a label",
            "a b": "begins with a label",
            "a,memory=x": "memory must be a number",
            "a,memory=99999999": "at most 131072",
            "a,sessions=0": "admits nobody",
            "a,sessions=65": "sessions must be a number of at most 64",
            "a,colour=red": "none of namespace=NAME",
            "a,namespace=": "none of namespace=NAME",
        }
        for guest, message in cases.items():
            self.assertIn(message, self.refusal("manager", "--backend", "direct", "--socket", self.socket + "2", "--guest", guest))
        self.assertIn("is in use", self.refusal("manager", "--backend", "direct", "--socket", self.socket, "--guest", "a"))


if __name__ == "__main__":
    unittest.main()
