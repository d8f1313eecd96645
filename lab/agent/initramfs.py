# SPDX-License-Identifier: Apache-2.0
"""The initramfs of one VM: the base, and each program that the VM's text names."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path


def archives(text: str, needs: dict[str, list[str]]) -> list[str]:
    """Names of the archives, the base first, each once. `needs`: program -> archives."""
    found = ["base"]
    for word in re.findall(r"[\w.-]+", text):
        found += [archive for archive in needs.get(word, ()) if archive not in found]
    return found


def join(folder: Path, text: str, target: Path) -> None:
    """Write the archives that `text` needs to `target`, one after the other, as the kernel takes them."""
    needs = json.loads((folder / "programs.json").read_text())
    with target.open("wb") as out:
        for name in archives(text, needs):
            with (folder / f"{name}.cpio").open("rb") as part:
                while os.sendfile(out.fileno(), part.fileno(), None, 1 << 20):
                    pass
