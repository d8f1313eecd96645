#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Puts the figures of a run of `./elisa bench paper` into the README: from its folder, or from docs/ as it is.

    scripts/readme_figures.py [build/paper]

docs/paper.json, docs/paper.md and the plots are that run's; the README's tables are made from the JSON and stand between
`<!-- paper: TABLE -->` and `<!-- paper: end -->`.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "kvm-patch/host")]

from elisalab import paper  # noqa: E402

_PART = re.compile(r"(<!-- paper: (\w+) -->\n).*?(<!-- paper: end -->)", re.DOTALL)


def filled(readme: str, found: dict[str, Any]) -> str:
    """The README's text with each table as it is in `found`. ValueError for one that is not."""
    sections = paper.sections(found)

    def part(match: re.Match[str]) -> str:
        name = match[2]
        if name not in sections:
            raise ValueError(f"the README wants '{name}', of which the run has no figures")
        section = sections[name]
        plots = "\n\n".join(f"![{section.title}](docs/{plot})" for plot in section.plots)
        return f"{match[1]}{section.brief}\n\n{plots}\n{match[3]}"

    return _PART.sub(part, readme)


def tables_of(readme: str) -> list[str]:
    return [match[2] for match in _PART.finditer(readme)]


def main(arguments: list[str]) -> int:
    docs = ROOT / "docs"
    run = Path(arguments[0]) if arguments else docs
    try:
        found = json.loads((run / "paper.json").read_text())
        text = filled((ROOT / "README.md").read_text(), found)
    except (OSError, ValueError) as error:
        print(f"readme_figures: {error}", file=sys.stderr)
        return 1
    paper.write(found, docs)
    (ROOT / "README.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
