# SPDX-License-Identifier: Apache-2.0
"""A corpus for the tree: few inputs that reach every edge that the whole collection reaches."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path


def keep(program: Path, sources: list[Path], folder: Path) -> int:
    """Replaces what is in `folder`; returns how many inputs there are now."""
    with tempfile.TemporaryDirectory() as scratch:
        control = Path(scratch, "control")
        merged = Path(scratch, "merged")
        merged.mkdir()
        subprocess.run(
            [str(program), "-merge=1", f"-merge_control_file={control}", str(merged), *map(str, sources)],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        kept = [path.read_bytes() for path in _reaching_more(control.read_text())]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for data in kept:
        (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)
    return len(kept)


def _reaching_more(control: str) -> list[Path]:
    """libFuzzer's merge log: how many inputs, how many of them it knew, their names, the shortest first; then for
    each, "COV number edges...", the edges that those before it did not reach."""
    lines = control.splitlines()
    count = int(lines[0])
    names = lines[2 : 2 + count]
    words = (line.split() for line in lines[2 + count :])
    return [Path(names[int(number)]) for kind, number, *edges in words if kind == "COV" and edges]
