# SPDX-License-Identifier: Apache-2.0
"""The README's tables of `bench paper`, and the plots, are those of the run whose JSON is beside them."""

from __future__ import annotations

import importlib.util
import json
import unittest
from pathlib import Path

from elisalab import paper

ROOT = Path(__file__).resolve().parents[2]


def _script():
    spec = importlib.util.spec_from_file_location("readme_figures", ROOT / "scripts/readme_figures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class ReadmeTest(unittest.TestCase):
    def test_tables_and_plots_are_of_one_run(self) -> None:
        script = _script()
        found = json.loads((ROOT / "docs/paper.json").read_text())
        readme = (ROOT / "README.md").read_text()
        sections = paper.sections(found)
        self.assertEqual(sorted(sections), sorted(script.tables_of(readme)))
        self.assertEqual(script.filled(readme, found), readme, "run scripts/readme_figures.py")
        for section in sections.values():
            for name, drawn in section.plots.items():
                self.assertEqual(drawn, (ROOT / "docs" / name).read_text(), name)

    def test_a_figure_that_was_changed_by_hand_is_noticed(self) -> None:
        script = _script()
        found = json.loads((ROOT / "docs/paper.json").read_text())
        vmcall = f"{found['round_trip']['vmcall'][found['unit']]:,}"
        readme = (ROOT / "README.md").read_text()
        changed = readme.replace(f"| VMCALL | {vmcall} |", "| VMCALL | 1 |")
        self.assertNotEqual(readme, changed)
        self.assertEqual(readme, script.filled(changed, found))

    def test_a_table_without_figures_is_an_error(self) -> None:
        script = _script()
        with self.assertRaises(ValueError):
            script.filled("<!-- paper: none -->\n<!-- paper: end -->\n", json.loads((ROOT / "docs/paper.json").read_text()))


if __name__ == "__main__":
    unittest.main()
