# SPDX-License-Identifier: Apache-2.0
"""Commands that leave nothing running behind them."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import IO, Mapping, Sequence


def run(command: Sequence[str], out: IO[str], environment: Mapping[str, str]) -> int:
    """Its status. Should we be interrupted, its children (make, ninja and their compilers) end, too."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=environment,
                               start_new_session=True)
    try:
        return process.wait()
    except BaseException:
        # In order first: the lab cleans up after itself.
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
