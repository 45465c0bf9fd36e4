"""The program as a process: pipes, signals, terminals, and what it takes to print its help."""

import json
import os
import pty
import signal
import subprocess
import sys

import pytest

MODULES_THAT_HELP_MUST_NOT_LOAD = ("numpy", "yaml", "rich.table", "durable", "structlog")
POD = "{apiVersion: v1, kind: Pod, metadata: {name: one}, spec: {containers: [{name: a, image: b}]}}"


def command(*args):
    return [sys.executable, "-m", "reconciler", *args]


@pytest.fixture
def many(tmp_path):
    """Manifests whose plan does not fit into a pipe's buffer."""
    path = tmp_path / "many.json"
    items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"config-{n}"}} for n in range(2_000)]
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return str(path)


def test_a_closed_pipe_ends_the_program_quietly(many):
    with subprocess.Popen(
        command("plan", "-f", many, "-o", "wide"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline().startswith("ACTION")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_batch_answers_each_line_before_the_next_one_and_ends_quietly_when_interrupted():
    with subprocess.Popen(
        command("batch"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_hear_interrupts,  # noqa: PLW1509 - no threads here, and nothing else does it
    ) as process:
        for number in range(3):
            process.stdin.write(json.dumps({"id": number, "desired": []}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == number
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert process.stderr.read().strip() == ""


def _hear_interrupts():
    """Whoever runs the tests in the background of a shell has its children ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_logs_go_to_stderr_as_json_where_there_is_no_terminal():
    result = subprocess.run(
        command("explain", "pod/two", "-f", "-", "-v"), input=POD, capture_output=True, text=True, check=False
    )
    log, sentence = result.stderr.splitlines()
    assert (result.returncode, result.stdout) == (1, "")
    assert sentence.startswith("error: there is no pod/default/two")
    assert "Traceback" in json.loads(log)["exception"]


def on_terminal(*args, env=None):
    """What the command writes on a terminal of 100 columns."""
    pid, fd = pty.fork()
    if pid == 0:
        os.execvpe(sys.executable, command(*args), {**os.environ, "COLUMNS": "100", "TERM": "xterm", **(env or {})})
    output = b""
    while True:
        try:
            chunk = os.read(fd, 65536)
        except OSError:  # the other side is gone
            break
        if not chunk:
            break
        output += chunk
    os.close(fd)
    return output.decode().replace("\r\n", "\n"), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def pod(tmp_path):
    path = tmp_path / "pod.yaml"
    path.write_text(POD)
    return str(path)


def test_a_terminal_gets_colours_and_wrapped_lines(pod):
    output, status = on_terminal("plan", "-f", pod)
    assert status == 0
    assert "\x1b[32mcreate\x1b[0m" in output
    assert max(len(line) for line in output.splitlines()) <= 110


@pytest.mark.parametrize(("args", "env"), [(("--no-color",), {}), ((), {"NO_COLOR": "1"})])
def test_colours_can_be_turned_off(pod, args, env):
    output, status = on_terminal("plan", "-f", pod, *args, env=env)
    assert status == 0
    assert "\x1b" not in output


def test_help_loads_nothing_that_is_slow():
    code = (
        "import sys\nfrom reconciler.cli import cli\n"
        "try:\n cli.main(['--help'], 'reconciler')\n"
        f"except SystemExit: print([m for m in {MODULES_THAT_HELP_MUST_NOT_LOAD} if m in sys.modules], file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr.strip() == "[]"


def test_completion_knows_the_commands_and_options(tmp_path):
    def complete(words, index):
        env = {**os.environ, "_RECONCILER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(index)}
        result = subprocess.run(command(), capture_output=True, text=True, check=False, env=env)
        return result.stdout.splitlines()

    assert complete("reconciler sche", 1) == ["plain,schedule"]
    assert "plain,--fail-on-waiting" in complete("reconciler plan --fail", 2)
