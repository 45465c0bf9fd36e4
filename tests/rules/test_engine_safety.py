"""What the C engine does in silence is noticed: poisoned chunks, lost firings, errors, leaks, use by two at a time."""

import gc
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest

import rules.engine as module
from rules._native import lang, native
from rules.engine import CHUNK, Engine, EngineError, Rule, c, m

GOOD = '{"id":"000001","kind":"Pod","x":1}'
END = ',{"id":"999999","$end":1}]'


def counting():
    return Engine("counting", [Rule("count", (m.kind == "Pod") & (m.x == 1), print, "")])


def matches(engine):
    return [firing.slots for firing in engine.match([{"kind": "Pod", "x": 1}, {"kind": "Pod", "x": 2}])]


POISON = {
    "too many properties": '{"id":"000002","kind":"Pod",' + ",".join(f'"p{n}":1' for n in range(300)) + "}",
    "float with exponent": '{"id":"000002","kind":"Pod","x":1e-07}',
    "large float": '{"id":"000002","kind":"Pod","x":1e+16}',
    "infinity": '{"id":"000002","kind":"Pod","x":Infinity}',
    "16 MiB value": '{"id":"000002","kind":"Pod","x":"' + "x" * 2**24 + '"}',
    "truncated object": '{"id":"000002","kind":',
    "bad literal": '{"id":"000002","kind":"Pod","x":tru}',
    "bad array": '{"id":"000002","kind":"Pod","x":[1,}',
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON.keys())
@pytest.mark.parametrize("place", ["first", "middle", "last"])
def test_sentinel_catches_a_poisoned_chunk(poison, place):
    """The validator is bypassed. The C engine answers with code 0, and the next match is exact again."""
    facts = {"first": [poison, GOOD], "middle": [GOOD, poison, GOOD], "last": [GOOD, poison]}[place]
    with counting() as engine:
        with pytest.raises(
            EngineError, match="rule set 'counting': the C engine did not read a chunk of facts to its end"
        ):
            engine._run("[" + ",".join(facts) + END)
        assert matches(engine) == [(0,)]


def test_sentinel_alone_is_well():
    with counting() as engine:
        assert engine._run("[" + END[1:]) == []


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ([GOOD, GOOD], "refused a chunk of facts with code 2"),
        ([GOOD, '{"id":"999999","$end":1}'], "refused a chunk of facts with code 2"),
        ([GOOD, '{"id":"000002","$end":1}'], "did not deliver the sentinel once and last"),
    ],
    ids=["doubled id", "doubled sentinel", "second sentinel"],
)
def test_doubled_facts_are_noticed(facts, message):
    with counting() as engine:
        with pytest.raises(EngineError, match=message):
            engine._run("[" + ",".join(facts) + END)
        assert matches(engine) == [(0,)]


def substitute(monkeypatch, **functions):
    """The C module with some functions replaced."""
    original = {name: getattr(native, name) for name in dir(native) if not name.startswith("_")}
    monkeypatch.setattr(module, "native", SimpleNamespace(**{**original, **functions}))


def fails_with(error):
    def fail(*args):
        raise error

    return fail


def test_a_firing_after_the_sentinel_is_noticed(monkeypatch):
    rest = iter(['{"r_0":[{"p0":{"id":"000000"}}]}', None])
    with counting() as engine:
        with monkeypatch.context() as patch:
            substitute(
                patch,
                start_action=lambda handle: (native.start_action(handle)[0], '{"r_1":[{"p0":{"id":"999999"}}]}', 1),
                complete_and_start_action=lambda *args: next(rest),
            )
            with pytest.raises(EngineError, match="did not deliver the sentinel once and last"):
                matches(engine)
        assert matches(engine) == [(0,)]


def test_facts_of_a_join_in_the_wrong_places_are_noticed(monkeypatch):
    pair = Rule("pair", (c.a << m.kind == "A", c.b << (m.kind == "B") & (m.key == c.a.key)), print, "")
    with Engine("joining", [pair]) as engine:
        substitute(
            monkeypatch,
            complete_and_start_action=lambda *args: (
                (text := native.complete_and_start_action(*args)) and text.replace('"p1"', '"p2"')
            ),
            start_action=lambda *args: tuple(
                part.replace('"p1"', '"p2"') if isinstance(part, str) else part for part in native.start_action(*args)
            ),
        )
        with pytest.raises(EngineError, match="rule set 'joining', rule 'pair': the C engine mixed up the facts"):
            engine.match([{"kind": "A", "key": 1}, {"kind": "B", "key": 1}])


@pytest.mark.parametrize("function", ["assert_facts", "start_action", "complete_and_start_action"])
def test_an_error_of_the_c_engine_surfaces_and_leaves_nothing_behind(monkeypatch, function):
    with counting() as engine:
        with monkeypatch.context() as patch:
            substitute(patch, **{function: fails_with(native.error("error code: 303"))})
            with pytest.raises(EngineError, match=r"rule set 'counting': .*error code: 303") as raised:
                matches(engine)
            assert isinstance(raised.value.__cause__, native.error)
        assert matches(engine) == [(0,)]


def test_keyboard_interrupt_passes_through_and_leaves_nothing_behind(monkeypatch):
    with counting() as engine:
        with monkeypatch.context() as patch:
            substitute(patch, complete_and_start_action=fails_with(KeyboardInterrupt()))
            with pytest.raises(KeyboardInterrupt):
                matches(engine)
        assert matches(engine) == [(0,)]


def test_an_error_while_emptying_surfaces(monkeypatch):
    with counting() as engine, monkeypatch.context() as patch:
        substitute(patch, delete_state=fails_with(native.error("error code: 111")))
        with pytest.raises(
            EngineError, match="rule set 'counting': the C engine failed on a chunk of facts: error code: 111"
        ):
            matches(engine)


def test_a_new_engine_runs_the_sentinel_alone_first(monkeypatch):
    """Else the C engine frees uninitialised pointers when the very first chunk fails before anything fires."""
    texts = []

    def spy(handle, text):
        texts.append(text)
        return native.assert_facts(handle, text)

    substitute(monkeypatch, assert_facts=spy)
    counting()
    assert texts == ["[" + END[1:]]


def test_rules_that_the_c_engine_refuses(monkeypatch):
    substitute(monkeypatch, create_ruleset=fails_with(native.error("error code: 112")))
    with pytest.raises(EngineError, match="rule set 'counting': the C engine refuses the rules: error code: 112"):
        counting()


def test_a_partition_must_have_one_entry_a_fact():
    with counting() as engine, pytest.raises(EngineError, match="1 facts, but 2 partitions"):
        engine.match([{"x": 1}], [1, 2])


def test_a_partition_beyond_the_ids_is_refused(monkeypatch):
    pair = Rule("pair", (c.a << +m.key, c.b << +m.key & (m.key == c.a.key)), print, "")
    monkeypatch.setattr(module, "_MAX_CHUNK", 2)
    with Engine("joining", [pair]) as engine:
        assert len(engine.match([{"key": 1}] * 2)) == 2
        with pytest.raises(EngineError, match="a partition has 3 facts, at most 2"):
            engine.match([{"key": 1}] * 3)


def test_a_closed_engine_is_refused():
    engine = counting()
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="rule set 'counting': the engine is closed"):
        matches(engine)


@pytest.mark.parametrize("use", [matches, Engine.close])
def test_use_by_two_at_a_time_is_refused(monkeypatch, use):
    with counting() as engine:
        with monkeypatch.context() as patch:
            substitute(patch, start_action=lambda handle: use(engine))
            with pytest.raises(
                EngineError, match="'counting': in use by another thread or call: make one engine for each"
            ):
                matches(engine)
        assert matches(engine) == [(0,)]


def test_one_engine_for_each_thread_is_exact():
    facts = [{"kind": "Pod", "x": number % 2} for number in range(5 * CHUNK)]
    results = []

    def work():
        with counting() as engine:
            results.append(sum(len(engine.match(facts)) for _ in range(3)))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [len(facts) // 2 * 3] * 4


def test_durable_langs_module_lists_stay_empty():
    with counting() as engine:
        matches(engine)
    assert (lang._rulesets, lang._ruleset_stack, lang._rule_stack, lang._main_host) == ({}, [], [], None)


def test_an_engine_that_is_forgotten_is_freed(monkeypatch):
    deleted = []
    gc.collect()  # those that other tests have forgotten
    substitute(monkeypatch, delete_ruleset=lambda handle: (deleted.append(handle), native.delete_ruleset(handle)))
    engine = counting()
    handle, watched = engine._handle, weakref.ref(engine)
    del engine
    gc.collect()
    assert watched() is None
    assert deleted == [handle]


STATM = Path("/proc/self/statm")


def resident_kib():
    return int(STATM.read_text().split()[1]) * 4


@pytest.mark.skipif(not STATM.exists(), reason="no /proc: resident memory is not known")
def test_memory_is_flat_over_200_cycles():
    """A chunk takes about 9 MB while it is matched; 200 cycles that leaked would take gigabytes."""
    facts = [{"kind": "Pod", "x": number % 2, "name": f"pod-{number}"} for number in range(2 * CHUNK)]
    with counting() as engine:
        for _ in range(20):
            engine.match(facts)
        before = resident_kib()
        assert sum(len(engine.match(facts)) for _ in range(200)) == 200 * CHUNK
    assert resident_kib() - before < 16 * 1024


@pytest.mark.skipif(not STATM.exists(), reason="no /proc: resident memory is not known")
def test_memory_is_flat_over_300_engines():
    """An engine takes about 0.2 MB; half of these are closed, half forgotten, and some had an error."""

    def use(number):
        engine = counting()
        matches(engine)
        if number % 3 == 0:
            with pytest.raises(EngineError):
                engine._run("[" + POISON["infinity"] + END)
        if number % 2:
            engine.close()

    for number in range(30):
        use(number)
    gc.collect()
    before = resident_kib()
    for number in range(300):
        use(number)
    gc.collect()
    assert resident_kib() - before < 16 * 1024
