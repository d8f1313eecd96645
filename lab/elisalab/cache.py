# SPDX-License-Identifier: Apache-2.0
"""Slow products (kernels, images) outside the checkout, found by a hash of everything that they are made of.

The folder may be deleted at any time; what is missing is built again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterable, Iterator

from .log import say

_COMPLETE = ".complete"


def cache_root() -> Path:
    """Where products live: $ELISA_CACHE, or ~/.cache/elisa."""
    configured = os.environ.get("ELISA_CACHE")
    return Path(configured) if configured else Path.home() / ".cache" / "elisa"


def digest(parts: Iterable[str | Path]) -> str:
    """A short hash of strings and of the contents (and paths, for folders) of files."""
    state = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = sorted(p for p in part.rglob("*") if p.is_file()) if part.is_dir() else [part]
            for file in files:
                state.update(str(file.relative_to(part.parent)).encode() + b"\0")
                state.update(hashlib.sha256(file.read_bytes()).digest())
        else:
            state.update(part.encode() + b"\0")
    return state.hexdigest()[:16]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """One builder of a product at a time; others wait, then find it complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def product(name: str, parts: Iterable[str | Path], build: Callable[[Path], None], about: str = "") -> Path:
    """The folder of product `name` for these inputs, built if it is not there.

    Built in place and stamped when complete: kernel build trees hold absolute paths and cannot be renamed.
    """
    folder = cache_root() / f"{name}-{digest(parts)}"
    if (folder / _COMPLETE).exists():
        return folder
    with locked(cache_root() / f".{folder.name}.lock"):
        if (folder / _COMPLETE).exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        say(f"building {name}, not in the cache {cache_root()}" + (f"; takes about {about}" if about else ""))
        build(folder)
        (folder / _COMPLETE).touch()
    return folder
