# SPDX-License-Identifier: Apache-2.0
"""Where EAL can take our drivers from."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Iterator

_PLUGINS = ("librte_net_rvif.so", "librte_net_rvgen.so")


class PluginError(Exception):
    """There is no place for them; says what to do."""


def _safe(folder: Path) -> bool:
    return not any(p.stat().st_mode & stat.S_IWOTH for p in (folder, *folder.parents) if p.exists())


def _safe_base() -> Path:
    """Where copies of the plugins may lie for EAL to take them."""
    for base in (Path(os.environ.get("ELISA_CACHE", Path.home() / ".cache/elisa")), Path.home() / ".cache", Path("/run")):
        if _safe(base.absolute()):
            base.mkdir(parents=True, exist_ok=True)
            return base
    raise PluginError("EAL takes no plugins from below a folder that everybody can write to, as this checkout is: "
                      "set ELISA_CACHE to a folder of your own")


@contextlib.contextmanager
def plugin_folder(build: Path) -> Iterator[Path]:
    """EAL refuses plugins in or below a folder that everybody can write to: then a copy elsewhere, for as long as it takes."""
    folder = (build / "guest/lib").resolve()
    if _safe(folder):
        yield folder
        return
    copy = Path(tempfile.mkdtemp(prefix="plugins.", dir=_safe_base()))
    try:
        for name in _PLUGINS:
            shutil.copy2(folder / name, copy)
        yield copy
    finally:
        shutil.rmtree(copy, ignore_errors=True)
