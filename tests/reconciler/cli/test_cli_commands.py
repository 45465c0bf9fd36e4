"""The commands as a user calls them: what they print, and their exit statuses."""

import json
import re

import pytest
import yaml
from click.testing import CliRunner

from reconciler.cli import COMMANDS, cli

NOW = "2026-01-01T00:00:00Z"
WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: REPLICAS
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: nginx, resources: {requests: {cpu: "1"}}}]
"""
BROKEN = WEB.replace("REPLICAS", "-1")
CONFIG = "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: b}}"


def run(*args, stdin=None):
    return CliRunner().invoke(cli, list(args), input=stdin)


@pytest.fixture
def web(tmp_path):
    path = tmp_path / "web.yaml"
    path.write_text(WEB.replace("REPLICAS", "6"))
    return str(path)


@pytest.fixture
def mixed(tmp_path):
    """A good manifest, one that is invalid, one with an unknown field, and one that is no YAML."""
    path = tmp_path / "mixed.yaml"
    unknown = CONFIG.replace(" data:", " colour: red, data:").replace("settings", "painted")
    path.write_text("\n---\n".join([CONFIG, BROKEN, unknown, "a: ["]))
    return str(path)


def columns(line):
    return re.split(r" {3,}", line)


class TestPlan:
    def test_shows_actions_with_rule_and_reason_and_counts_them(self, web):
        result = run("plan", "-f", web, "--nodes", "2")
        lines = result.stdout.splitlines()
        assert result.exit_code == 0
        assert result.stderr == ""
        assert columns(lines[0]) == ["ACTION", "OBJECT", "RULE", "WHY"]
        assert columns(lines[1]) == [
            "create",
            "deployment/default/web",
            "apply",
            "deployment/default/web is desired and does not exist",
        ]
        assert re.match(r"\d+ actions: create 8, .*bind 6$", lines[-1])

    def test_tells_alike_actions_of_one_owner_once(self, web):
        lines = run("plan", "-f", web, "--nodes", "2").stdout.splitlines()
        created = [line for line in lines if line.startswith("create") and "pods of" in line]
        bound = [columns(line)[-1] for line in lines if line.startswith("bind")]
        assert len(created) == 1
        assert columns(created[0])[1].startswith("6 pods of replicaset/default/web-")
        assert bound == ["3 to node-0, 3 to node-1"]

    def test_wide_tells_every_action_and_status(self, web):
        lines = run("plan", "-f", web, "--nodes", "2", "-o", "wide").stdout.splitlines()
        assert sum(line.startswith("create   ") for line in lines) == 8
        assert sum(line.startswith("bind ") for line in lines) == 6
        assert any(line.startswith("update-status") for line in lines)

    def test_piped_output_is_neither_wrapped_nor_coloured(self, web):
        result = run("plan", "-f", web, "--nodes", "1x1cpu,1Gi")
        waiting = [line for line in result.stdout.splitlines() if "Insufficient cpu" in line]
        assert len(waiting) == 1
        assert "5 pods of" in waiting[0]
        assert len(waiting[0]) > 160
        assert "\x1b" not in result.stdout

    def test_exit_status_tells_of_waiting_pods_when_asked(self, web):
        assert run("plan", "-f", web, "--nodes", "1x1cpu,1Gi").exit_code == 0
        result = run("plan", "-f", web, "--nodes", "1x1cpu,1Gi", "--fail-on-waiting")
        assert result.exit_code == 3
        assert result.stdout.splitlines()[-1].endswith("; 5 pods pending")
        assert run("plan", "-f", web, "--nodes", "2", "--fail-on-waiting").exit_code == 0

    def test_json_is_the_plan_of_the_batch_protocol(self, web):
        result = run("plan", "-f", web, "--nodes", "2", "--now", NOW, "-o", "json")
        plan = json.loads(result.stdout)
        assert set(plan) == {"actions", "notes", "events"}
        assert {"action", "target", "rule", "why", "because"} <= set(plan["actions"][0])
        assert run("plan", "-f", web, "--nodes", "2", "--now", NOW, "-o", "json").stdout == result.stdout

    def test_objects_adds_the_resulting_state(self, web):
        plan = json.loads(run("plan", "-f", web, "--nodes", "2", "-o", "json", "--objects").stdout)
        assert sum(obj["kind"] == "Pod" for obj in plan["objects"]) == 6

    def test_yaml_says_the_same_as_json(self, web):
        args = ("plan", "-f", web, "--nodes", "2", "--now", NOW, "-o")
        as_yaml = run(*args, "yaml").stdout
        assert yaml.safe_load(as_yaml) == json.loads(run(*args, "json").stdout)
        assert "&id" not in as_yaml

    def test_names_are_listed_once(self, web):
        names = run("plan", "-f", web, "--nodes", "2", "-o", "name").stdout.splitlines()
        assert names[0] == "deployment/default/web"
        assert len(names) == len(set(names)) == 8

    def test_the_plan_of_its_own_result_is_empty(self, web, tmp_path):
        done = json.loads(run("plan", "-f", web, "--nodes", "2", "--now", NOW, "-o", "json", "--objects").stdout)
        state = tmp_path / "state.json"
        state.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": done["objects"]}))
        result = run("plan", "-f", web, "--observed", str(state), "--now", NOW)
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == "Nothing to do"

    def test_reads_stdin_and_directories_with_all_below(self, tmp_path):
        assert "configmap/default/settings" in run("plan", "-f", "-", stdin=CONFIG).stdout
        (tmp_path / "deep" / "er").mkdir(parents=True)
        (tmp_path / "deep" / "er" / "config.yml").write_text(CONFIG)
        assert "configmap/default/settings" in run("plan", "-f", str(tmp_path)).stdout

    def test_a_namespace_is_where_objects_go_and_all_that_is_shown(self, web, tmp_path):
        other = tmp_path / "other.yaml"
        other.write_text(CONFIG.replace("name: settings", "name: settings, namespace: elsewhere"))
        result = run("plan", "-f", web, "-f", str(other), "-n", "shop", "--nodes", "2")
        assert "deployment/shop/web" in result.stdout
        assert "namespace/shop" in result.stdout
        assert "elsewhere" not in result.stdout

    def test_no_headers(self, web):
        assert run("plan", "-f", web, "--no-headers").stdout.startswith("create ")


class TestRefusal:
    def test_every_problem_is_one_line_on_stderr_with_file_object_and_path(self, tmp_path):
        path = tmp_path / "broken.yaml"
        path.write_text(BROKEN)
        result = run("plan", "-f", str(path))
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr == (
            f"error: {path}: deployment/default/web: spec.replicas: Invalid value: -1:"
            " must be greater than or equal to 0\n"
        )

    def test_skip_invalid_goes_on_without_and_lists_what_was_refused(self, mixed):
        result = run("plan", "-f", mixed, "--skip-invalid")
        assert result.exit_code == 1
        assert result.stderr == ""
        assert "create   configmap/default/settings" in result.stdout
        refused = result.stdout.partition("REFUSED")[2]
        assert f"{mixed}, document 2   deployment/default/web   spec.replicas: Invalid value: -1" in refused
        assert "document 3" in refused
        assert "document 4" in refused
        assert result.stdout.splitlines()[-1].endswith("3 objects refused")

    def test_skip_invalid_lists_it_in_json_too(self, mixed):
        result = run("plan", "-f", mixed, "--skip-invalid", "-o", "json")
        assert result.exit_code == 1
        assert len(json.loads(result.stdout)["refused"]) == 3

    def test_validate_warn_takes_unknown_fields_and_says_so(self, tmp_path):
        path = tmp_path / "painted.yaml"
        path.write_text(CONFIG.replace(" data:", " colour: red, data:"))
        assert run("plan", "-f", str(path)).exit_code == 1
        result = run("plan", "-f", str(path), "--validate", "warn")
        assert result.exit_code == 0
        assert result.stderr.startswith(f"warning: {path}: ")
        assert "colour" in result.stderr
        quiet = run("plan", "-f", str(path), "--validate", "ignore")
        assert (quiet.exit_code, quiet.stderr) == (0, "")

    def test_a_missing_path_is_named(self):
        result = run("plan", "-f", "no/such.yaml")
        assert (result.exit_code, result.stderr) == (1, 'error: the path "no/such.yaml" does not exist\n')

    @pytest.mark.parametrize(
        ("args", "says"),
        [
            (("plan",), "nothing to work on"),
            (("plan", "-f", "-", "--observed", "-"), "stdin (-) can be read only once"),
            (("plan", "-f", "-", "--nodes", "3xlots"), "--nodes"),
            (("plan", "-f", "-", "--now", "noon"), "RFC 3339"),
            (("plan", "-f", "-", "-o", "xml"), "'xml' is not one of"),
            (("simulate", "-f", "-", "--until", "soon"), "expected settled, a duration as in 10m"),
            (("validate",), "nothing to validate"),
            (("schedule", "x.json", "-f", "-"), "not both"),
            (("explain",), "TARGET"),
            (("paint",), "No such command 'paint'"),
        ],
    )
    def test_a_wrong_command_line_ends_with_status_2(self, args, says):
        result = run(*args, stdin="")
        assert result.exit_code == 2
        assert says in result.stderr
        assert "Traceback" not in result.stderr

    def test_a_bug_is_one_sentence_and_the_log_has_the_rest(self, web, monkeypatch):
        def fail(*_, **__):
            raise RuntimeError("on purpose")

        monkeypatch.setattr("reconciler.cli.inputs.reconcile", fail)
        result = run("plan", "-f", web)
        assert result.exit_code == 1
        assert result.stderr == "error: internal error: RuntimeError: on purpose; -v shows where\n"


class TestExplain:
    def test_tells_what_is_done_and_what_waits(self, web):
        result = run("explain", "deploy/web", "-f", web, "--nodes", "1x1cpu,1Gi")
        assert result.exit_code == 0
        assert result.stdout.startswith("deployment/default/web\n  create: ")
        assert "5 of its dependents: " in result.stdout

    def test_uses_the_namespace(self, web):
        assert run("explain", "deploy/web", "-n", "shop", "-f", web).stdout.startswith("deployment/shop/web\n")

    def test_json_has_the_scheduler_s_view_of_a_pod(self, tmp_path):
        pod = "{apiVersion: v1, kind: Pod, metadata: {name: one}, spec: {containers: [{name: a, image: b}]}}"
        data = json.loads(run("explain", "pod/one", "-f", "-", "--nodes", "2", "-o", "json", stdin=pod).stdout)
        assert data["target"] == "pod/default/one"
        assert "scheduling" in data

    def test_an_object_that_is_not_there_is_an_error(self, web):
        result = run("explain", "deploy/wob", "-f", web)
        assert result.exit_code == 1
        assert result.stderr.startswith("error: there is no deployment/default/wob; there are deployment/default/web")


class TestSimulate:
    def test_shows_what_happens_when_and_what_there_is_in_the_end(self, web):
        result = run("simulate", "-f", web, "--nodes", "2", "--now", NOW)
        assert result.exit_code == 0
        assert result.stderr == ""
        lines = result.stdout.splitlines()
        assert columns(lines[0]) == ["TIME", "WHAT", "OBJECT", "WHY"]
        assert columns(lines[1])[:3] == ["+0s", "create", "deployment/default/web"]
        assert "default     deployment.apps/web   6/6     6            6" in result.stdout
        assert lines[-1].startswith("Settled after ")

    def test_an_event_that_repeats_an_action_is_left_out(self, web):
        words = {columns(line)[1] for line in run("simulate", "-f", web, "--nodes", "2").stdout.splitlines()[1:8]}
        assert "create" in words
        assert "SuccessfulCreate" not in words

    def test_waiting_in_the_end_is_status_3_when_asked(self, web):
        args = ("simulate", "-f", web, "--nodes", "1x1cpu,1Gi", "--until", "30s", "--fail-on-waiting")
        result = run(*args)
        assert result.exit_code == 3
        assert "Insufficient cpu" in result.stdout.partition("WAITING")[2]
        assert run("simulate", "-f", web, "--nodes", "2", "--fail-on-waiting").exit_code == 0

    def test_json_has_the_timeline(self, web):
        result = run("simulate", "-f", web, "--nodes", "2", "--now", NOW, "--until", "1m", "-o", "json", "--objects")
        data = json.loads(result.stdout)
        assert (data["start"], data["end"]) == ("2026-01-01T00:00:00.000000Z", "2026-01-01T00:01:00.000000Z")
        assert data["timeline"][0]["action"]["target"] == "deployment/default/web"
        assert any("event" in item for item in data["timeline"])
        assert sum(obj["kind"] == "Pod" and obj["status"]["phase"] == "Running" for obj in data["objects"]) == 6


class TestSchedule:
    CLUSTER = json.dumps(
        {
            "nodes": [
                {"metadata": {"name": "n1"}, "status": {"allocatable": {"cpu": "1", "memory": "1Gi", "pods": 9}}}
            ],
            "pods": [
                {
                    "metadata": {"name": name},
                    "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
                }
                for name in ("first", "second")
            ],
        }
    )

    def test_decides_about_the_pending_pods_of_a_cluster_file(self):
        result = run("schedule", "-", stdin=self.CLUSTER)
        assert result.exit_code == 0
        lines = [columns(line) for line in result.stdout.splitlines()]
        assert lines[0] == ["POD", "OUTCOME", "NODE", "WHY"]
        assert lines[1] == ["default/first", "scheduled", "n1"]
        assert lines[2][:3] == ["default/second", "unschedulable", "<none>"]
        assert lines[2][3].startswith("0/1 nodes are available: 1 Insufficient cpu.")
        assert lines[-1] == ["2 pods: scheduled 1, unschedulable 1"]

    def test_wide_tells_about_every_node(self):
        stdout = run("schedule", "-", "-o", "wide", stdin=self.CLUSTER).stdout
        assert "default/second   n1             NodeResourcesFit: Insufficient cpu" in stdout

    def test_json_is_the_answer_of_the_batch_protocol(self):
        data = json.loads(run("schedule", "-", "-o", "json", "--detail", "full", stdin=self.CLUSTER).stdout)
        assert data["pods"][0]["chosen"] == "n1"
        assert "filter" in data["pods"][0]

    def test_manifests_are_expanded_into_pods_first(self, web):
        result = run("schedule", "-f", web, "--nodes", "2x2cpu,4Gi", "--fail-on-waiting")
        assert result.exit_code == 3
        assert result.stdout.splitlines()[-1] == "6 pods: scheduled 4, unschedulable 2"

    def test_a_cluster_that_is_none_is_an_error_with_its_path(self):
        assert run("schedule", "-", stdin="[]").stderr.startswith("error: -: expected an object of lists: nodes, pods")
        result = run("schedule", "-", stdin='{"nodes": [{"metadata": {}}]}')
        assert (result.exit_code, result.stderr) == (1, "error: cluster.nodes[0].metadata.name: Required value\n")


class TestValidate:
    def test_lists_every_problem_with_file_document_object_and_path(self, mixed):
        result = run("validate", "-f", mixed)
        assert result.exit_code == 1
        assert f"{mixed}, document 2: deployment/default/web: spec.replicas: Invalid value: -1" in result.stdout
        assert f"{mixed}, document 4: " in result.stdout
        assert result.stdout.splitlines()[-1] == "3 problems in 3 of 4 objects"

    def test_what_is_valid_is_said_to_be(self, web):
        result = run("validate", "-f", web)
        assert (result.exit_code, result.stdout) == (0, "1 object, no problem\n")

    def test_json(self, mixed):
        result = run("validate", "-f", mixed, "-o", "json")
        data = json.loads(result.stdout)
        assert result.exit_code == 1
        assert data["valid"] is False
        assert {"object", "origin", "path", "message", "reason"} <= set(data["problems"][0])


class TestBatch:
    def test_answers_line_by_line_and_fails_for_one(self):
        result = run("batch", stdin='{"id": 1, "desired": []}\nnot json\n{"id": 2, "op": "validate", "desired": []}\n')
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        assert [answer["ok"] for answer in answers] == [True, False, True]
        assert result.exit_code == 1


class TestHelp:
    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_examples_and_exit_statuses(self, name):
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "Examples:\n    " in result.stdout
        assert "Exit status:\n" in result.stdout

    @pytest.mark.parametrize("name", COMMANDS)
    def test_the_list_of_commands_begins_as_the_command_s_own_help(self, name):
        command = cli.get_command(None, name)
        assert command.name == name
        assert command.help.split()[:2] == COMMANDS[name].summary.split()[:2]

    def test_version(self):
        assert re.fullmatch(r"cli \d+\.\d+\.\d+\n", run("--version").stdout)

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_prints_the_script_of_a_shell(self, shell):
        result = run("completion", shell)
        assert result.exit_code == 0
        assert "_RECONCILER_COMPLETE" in result.stdout
