"""What the README shows is what happens: its commands are run and its Python executed."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def blocks(language):
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)\n```", README, flags=re.DOTALL)


def examples():
    """The commands of all console blocks with what they print."""
    for block in blocks("console"):
        for part in re.split(r"^(?=\$ )", block, flags=re.MULTILINE):
            if part.strip():
                command, _, printed = part.partition("\n")
                yield command.removeprefix("$ "), printed.strip("\n")


@pytest.mark.parametrize(("command", "printed"), list(examples()))
def test_commands_print_what_is_shown(command, printed):
    """Each command, run from the project's folder."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout + done.stderr).strip("\n") == printed


def test_python_sessions_are_true():
    """The interactive examples, as doctests."""
    sessions = [block for block in blocks("python") if block.startswith(">>>")]
    assert sessions
    for session in sessions:
        test = doctest.DocTestParser().get_doctest(session, {}, "README", "README.md", 0)
        assert doctest.DocTestRunner().run(test).failed == 0


def test_the_example_of_a_rule_works():
    """The concern leaves its note beside what Kubernetes' controllers do."""
    from reconciler import reconcile
    from rules import make_concerns

    (code,) = (block for block in blocks("python") if "class LoneReplicas" in block)
    scope: dict[str, object] = {}
    exec(code, scope)
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "app:1"}]},
            },
        },
    }
    plan = reconcile(deployment, nodes=1, concerns=make_concerns(scope["LoneReplicas"]()))
    assert "web has a single replica: nobody stands in while its node is drained" in [note.why for note in plan.notes]
    assert [action.verb for action in plan.actions].count("bind") == 1


def test_the_plugin_is_shown_as_it_is():
    """Verbatim, in under twenty lines."""
    code = (ROOT / "docs" / "own-plugin" / "spot_last.py").read_text()
    assert f"```python\n{code}```" in README
    assert len(code.splitlines()) < 20
