# SPDX-License-Identifier: Apache-2.0
"""Running programs, with an error that a person can act on."""

from __future__ import annotations

import subprocess
from typing import Sequence


class HostError(Exception):
    """Something the user can act on. Printed without a traceback."""


def run(what: str, command: Sequence[str]) -> str:
    """Its output. HostError, with what it said last, if it fails."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        raise HostError(f"{what}: {command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        said = "\n".join(f"    {line}" for line in done.stdout.strip().splitlines()[-12:])
        raise HostError(f"{what}: `{' '.join(command)}` ended with status {done.returncode}\n{said}".rstrip())
    return done.stdout
