"""The pod-template-hash is Kubernetes' own, letter by letter."""

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import case_names, load_case

from rules.template_hash import encoded, fnv32a, printed, template_hash
from state.defaults import default
from state.go_structs import go_structs
from state.load import from_dict
from state.objects import PodTemplateSpec, encode_hook

CASES = [name for name in case_names("deploy-hash-") if "hash" in load_case(name)["expected"]]


def template_of(case):
    return default(from_dict(case["expected"]["responses"]["0"]["body"])).spec.template


@pytest.mark.parametrize("name", CASES)
def test_prints_and_hashes_as_recorded(name):
    """The text that is hashed, the hash, and the label made of it equal those of a real control plane."""
    case = load_case(name)
    recorded = case["expected"]["hash"]
    template = template_of(case)
    text = printed(orjson.loads(msgspec.json.encode(template, enc_hook=encode_hook)))
    assert text == recorded["input"]
    assert fnv32a(text.encode()) == recorded["fnv32a"]
    assert template_hash(template) == recorded["pod-template-hash"]


def test_there_are_recordings():
    """The test above isn't empty."""
    assert len(CASES) >= 17


def test_a_collision_gives_another_hash():
    """Each count of collisions has a hash of its own."""
    template = template_of(load_case("deploy-hash-plain"))
    assert len({template_hash(template, count) for count in (None, 0, 1, 2)}) == 4


def test_encodes_digits_as_kubernetes_does():
    """As rand.SafeEncodeString does."""
    assert encoded(361083679) == "7b54d7bcf"


def fields_of_types(kind, seen):
    """All structs reachable from a type here, each with the JSON names of its fields."""
    for argument in getattr(kind, "__args__", ()):
        fields_of_types(argument, seen)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__name__ not in seen:
        info = msgspec.structs.fields(kind)
        seen[kind.__name__] = {field.encode_name for field in info}
        for field in info:
            fields_of_types(field.type, seen)
    return seen


def fields_of_schema():
    """Each struct of the schema with the JSON names of its fields, those of embedded ones included."""

    def names(struct):
        for field, kind, json in go_structs()[struct]:
            if kind == "-":
                yield from names(field)
            else:
                yield json

    return {struct: set(names(struct)) for struct in go_structs()}


#: Not allowed in a template.
ELSEWHERE = {"EphemeralContainer"}


def test_knows_every_field_of_a_template():
    """No field that a template can have is missing from the schema: two templates that differ must hash differently."""
    schema = fields_of_schema()
    types = fields_of_types(PodTemplateSpec, {})
    for name, fields in types.items():
        if name not in ELSEWHERE:
            assert fields <= schema[name], name
    assert len(schema) > 90


LABELS = st.dictionaries(st.text("abc", min_size=1, max_size=3), st.text("xyz", max_size=3), max_size=3)


@given(LABELS, LABELS)
def test_different_templates_print_differently(one, other):
    """The printed form tells templates apart, and only then."""
    first, second = ({"metadata": {"labels": labels}} for labels in (one, other))
    assert (printed(first) == printed(second)) == (one == other)


NO_DECIMAL = "<nil>"


def decimal(words, negative="false"):
    return f"{{unscaled:(big.Int){{neg:(bool){negative} abs:(big.nat)[{words}]}} scale:(inf.Scale)9}}"


#: A quantity, and Go's integer, its scale, big decimal, text and format.
QUANTITIES = [
    ("0", "0", "0", NO_DECIMAL, "0", "DecimalSI"),
    ("100m", "100", "-3", NO_DECIMAL, "100m", "DecimalSI"),
    ("+1", "1", "0", NO_DECIMAL, "+1", "DecimalSI"),
    ("1e3", "1", "3", NO_DECIMAL, "1e3", "DecimalExponent"),
    ("-1.5Gi", "-1610612736", "0", NO_DECIMAL, "", "BinarySI"),
    # the text is kept only where the number tells at a glance that it is canonical
    ("63Mi", "66060288", "0", NO_DECIMAL, "63Mi", "BinarySI"),
    ("64Mi", "67108864", "0", NO_DECIMAL, "", "BinarySI"),
    ("1500M", "1500", "6", NO_DECIMAL, "1500M", "DecimalSI"),
    # by its own estimate too long for the integer
    ("100Ti", "0", "0", decimal("8568098291072368640 5960"), "", "BinarySI"),
    ("-1234567890123456789", "0", "0", decimal("7888470988684038656 66926059", "true"), "", "DecimalSI"),
]


@pytest.mark.parametrize(("text", "value", "scale", "big", "kept", "form"), QUANTITIES)
def test_prints_quantities_with_the_parts_that_go_keeps(text, value, scale, big, kept, form):
    """As resource.ParseQuantity leaves them; 64Mi and 63Mi differ in more than the number."""
    shown = printed({"spec": {"volumes": [{"name": "v", "emptyDir": {"sizeLimit": text}}]}})
    assert (
        f"{{i:(resource.int64Amount){{value:(int64){value} scale:(resource.Scale){scale}}}"
        f" d:(resource.infDecAmount){{Dec:(*inf.Dec){big}}} s:(string){kept} Format:(resource.Format){form}}}"
    ) in shown


def test_prints_owners_in_a_template():
    """The API keeps them, though they do nothing there."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "u", "controller": True}
    shown = printed({"metadata": {"ownerReferences": [owner]}})
    assert (
        "OwnerReferences:([]v1.OwnerReference)[{APIVersion:(string)v1 Kind:(string)Pod Name:(string)p"
        " UID:(types.UID)u Controller:(*bool)true BlockOwnerDeletion:(*bool)<nil>}]"
    ) in shown


def test_prints_what_no_recording_has():
    """Ports by name and number, quantities of every form, probes, sources of values, projected volumes."""
    text = printed(
        {
            "spec": {
                "containers": [
                    {
                        "name": "c",
                        "livenessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 5},
                        "readinessProbe": {"tcpSocket": {"port": 80}},
                        "env": [
                            {
                                "name": "E",
                                "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "0"}},
                            },
                            {"name": "F", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
                        ],
                        "resources": {"limits": {"cpu": "1500m", "memory": "1e3", "x/y": "-2Ki"}},
                    }
                ],
                "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "0.5"}}],
            }
        }
    )
    for part in (
        "Port:(intstr.IntOrString){Type:(intstr.Type)1 IntVal:(int32)0 StrVal:(string)web}",
        "Port:(intstr.IntOrString){Type:(intstr.Type)0 IntVal:(int32)80 StrVal:(string)}",
        "PeriodSeconds:(int32)5",
        "Divisor:(resource.Quantity){i:(resource.int64Amount){value:(int64)0 scale:(resource.Scale)0}",
        "{LocalObjectReference:(v1.LocalObjectReference){Name:(string)s} Key:(string)k Optional:(*bool)<nil>}",
        "cpu:{i:(resource.int64Amount){value:(int64)1500 scale:(resource.Scale)-3}",
        "memory:{i:(resource.int64Amount){value:(int64)1 scale:(resource.Scale)3}",
        "s:(string)1e3 Format:(resource.Format)DecimalExponent}",
        "x/y:{i:(resource.int64Amount){value:(int64)-2048 scale:(resource.Scale)0}",
        "SizeLimit:(*resource.Quantity){i:(resource.int64Amount){value:(int64)500 scale:(resource.Scale)-3}",
    ):
        assert part in text
