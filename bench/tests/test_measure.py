# SPDX-License-Identifier: Apache-2.0
"""How windows are measured: one during which somebody else had the CPUs is known to be, the limit's like any other."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[1]))
from switchbench.cases import Plan  # noqa: E402
from switchbench.machine import two_cpus  # noqa: E402
from switchbench.measure import Runner  # noqa: E402
from switchbench.systems.base import Place  # noqa: E402

_LIMIT = """#!/bin/sh
echo '{"event": "begin"}'
sleep 0.3
echo '{"event": "end", "size": 64, "mpps": 50.0}'
cat >/dev/null
"""
_DISTANCE = "#!/bin/sh\necho '{\"round_trip_ns\": 60}'\n"


class Limit(unittest.TestCase):
    def test_a_window_with_somebody_else_on_the_cpus_is_disturbed(self) -> None:
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("the bench wants two CPUs")
        cpus = two_cpus()
        with TemporaryDirectory() as folder:
            build = Path(folder)
            (build / "bench").mkdir()
            for name, text in (("limit", _LIMIT), ("distance", _DISTANCE)):
                program = build / "bench" / name
                program.write_text(text)
                program.chmod(0o755)
            runner = Runner(Plan([], repetitions=1, passes=1, most_passes=1, window_ms=300), Place(build, build, build, build, cpus))
            runner._extra_left = 1
            others = [subprocess.Popen([sys.executable, "-c", "while True: pass"],
                                       preexec_fn=lambda cpu=cpu: os.sched_setaffinity(0, {cpu})) for cpu in cpus]
            try:
                runner._limit_step(64)()
            finally:
                for other in others:
                    other.kill()
                    other.wait()
        self.assertEqual(runner.measured.repeated, 1)
        windows = runner.measured.limit[64].windows
        self.assertEqual([(window.value, window.disturbed) for window in windows], [(50.0, True)])


if __name__ == "__main__":
    unittest.main()
