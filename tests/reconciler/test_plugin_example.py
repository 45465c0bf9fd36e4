"""The example of a plugin: what its README shows is what is there, and it works."""

import runpy
from pathlib import Path

import yaml

EXAMPLE = Path(__file__).parents[2] / "docs" / "own-plugin"


def test_it_is_shorter_than_twenty_lines_and_shown_verbatim():
    code = (EXAMPLE / "spot_last.py").read_text()
    readme = (EXAMPLE / "README.md").read_text()
    assert len(code.splitlines()) < 20
    assert f"```python\n{code}```" in readme
    assert f"```yaml\n{(EXAMPLE / 'scheduler.yaml').read_text()}```" in readme


def test_the_readme_shows_what_the_script_prints(monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXAMPLE)
    runpy.run_path(str(EXAMPLE / "try_it.py"), run_name="__main__")
    printed = capsys.readouterr().out.splitlines()
    assert "\n".join(printed[:2]) in (EXAMPLE / "README.md").read_text()
    assert any("SpotLast 500" in line for line in printed)


def test_its_configuration_enables_it():
    found = yaml.safe_load((EXAMPLE / "scheduler.yaml").read_text())
    assert found["profiles"][0]["plugins"]["multiPoint"]["enabled"] == [{"name": "SpotLast", "weight": 5}]
