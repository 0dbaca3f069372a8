"""The configuration read again: what is as it was goes on, what changed is replaced when its
work is done, what is wrong changes nothing."""
import json
import signal

import pytest

from daemon import SCRIPTED, until

A, B = {**SCRIPTED, "name": "a"}, {**SCRIPTED, "name": "b"}
A2 = {**A, "token_delay_ms": 0}  # another entry, of the same meaning


def config(*backends, **more):
    return {"backends": list(backends), **more}


def all_ready(d, n):
    """An admin connection that has seen `n` backends become ready."""
    admin = d.admin()
    for _ in range(n):
        admin.await_status("capabilities")
    return admin


def backends(admin):
    return {(b["name"], b["state"]): b for b in admin.order("stats")["backends"]}


def hold(d, name="holder"):
    c = d.client(name)
    c.ask(name, "hold")
    assert c.receive()["content"] == "held"
    return c


def reload(d, admin, *backends, **more):
    d.configure(config(*backends, **more))
    reply = admin.order("reload")
    assert reply["ok"], reply
    return reply["notes"]


def test_nothing_changed_means_that_nothing_happens(start):
    d = start(config=config(A, B))
    admin = all_ready(d, 2)
    engines = d.engines()
    holder = hold(d)
    assert reload(d, admin, A, B) == ["backends: 2 as before, 0 new or changed, 0 to end"]
    assert d.engines() == engines
    holder.close()


def test_a_changed_backend_finishes_its_work_and_is_replaced(start):
    d = start(config=config(A))
    admin = all_ready(d, 1)
    old = d.engine()
    holder = hold(d)
    assert reload(d, admin, A2) == ["backends: 0 as before, 1 new or changed, 1 to end"]
    other = d.admin("other")
    other.await_status("restarting")

    waiter = d.client("waiter")
    waiter.ask("w", "say hello")
    assert set(backends(admin)) == {("a", "draining"), ("a", "restarting")}
    assert d.engines() == [old], "one at a time"

    serial = admin.order("stats")["requests"][0]["serial"]
    assert admin.order("cancel", serial=serial)["ok"]
    assert holder.frames("holder")[-1]["stop_reason"] == "cancelled"
    assert waiter.answer("w") == "hello"
    other.await_status("loading_model")
    other.await_status("ready")
    assert until(lambda: d.engines() != [old] and d.engine(), "another engine") != old


def test_others_serve_meanwhile(start):
    d = start(config=config(A, B))
    admin = all_ready(d, 2)
    hold(d)  # the first has it
    reload(d, admin, A2, B)
    c = d.client()
    c.ask("1", "say from b")
    assert c.answer("1") == "from b"


def test_a_backend_that_is_gone_ends(start):
    d = start(config=config(A, B))
    admin = all_ready(d, 2)
    assert len(d.engines()) == 2
    reload(d, admin, B)
    until(lambda: len(d.engines()) == 1, "its engine ends")
    assert set(backends(admin)) == {("b", "ready")}
    late = d.admin("late")
    assert [late.receive().get("backend") for _ in range(2)] == ["b", None]


def test_a_new_backend_comes_first_if_it_is_first(start):
    d = start(config=config(B))
    admin = all_ready(d, 1)
    engine = d.engine()
    reload(d, admin, {**A, "scripted": False, "tokens": ["I", " am", " new"]}, B)
    admin.await_status("capabilities")
    c = d.client()
    c.ask("1", "say old")
    assert c.answer("1") == "I am new"
    assert engine in d.engines()


def test_the_order_alone_is_no_change(start):
    d = start(config=config(A, B))
    admin = all_ready(d, 2)
    engines = d.engines()
    assert reload(d, admin, B, A) == ["backends: 2 as before, 0 new or changed, 0 to end"]
    assert d.engines() == engines
    hold(d)
    assert backends(admin)[("b", "ready")]["running"] == 1


def test_a_note_alone_is_no_change(start):
    d = start(config=config({**A, "x-note": "old", "capabilities": {"x-why": 1}}))
    before = d.engine()
    notes = reload(d, d.admin(), {**A, "x-note": "new", "capabilities": {"x-why": 2}})
    assert notes == ["backends: 1 as before, 0 new or changed, 0 to end"]
    assert d.engine() == before


def test_limits_change_at_once(start):
    one = {**A, "slots": 1}
    d = start(config=config(one))
    admin = all_ready(d, 1)
    hold(d)
    reload(d, admin, one, queue_depth=0)
    c = d.client()
    c.ask("1", "say hi")
    assert c.error("1")["code"] == "queue_full"


def test_a_limit_of_the_daemon_restarts_no_engine(start):
    d = start(config=config(A))
    admin = all_ready(d, 1)
    engine = d.engine()
    assert reload(d, admin, A, idle_unload_secs=1)[0].startswith("backends: 1 as before")
    assert d.engine() == engine
    until(lambda: not d.engines(), "nobody uses it, so it is unloaded", 20)


def test_a_signal_does_the_same(start):
    d = start(config=config(A))
    all_ready(d, 1)
    d.configure(config(A, B))
    d.signal(signal.SIGHUP)
    until(lambda: len(d.engines()) == 2, "the new backend's engine")
    until(lambda: "reloaded: backends: 1 as before, 1 new or changed, 0 to end" in d.stderr(),
          "the log tells it")


WRONG = {
    "no JSON": ("{", "not valid JSON"),
    "an unknown key": (config({**A, "nmae": 1}), 'unknown key "nmae"'),
    "no engine": (config({"kind": "anthropic", "name": "r", "model": "m"}), "has no engine"),
    "no model": (config({"kind": "llamacpp", "name": "l", "model": {
        "name": "gone", "sha256": "a" * 64}}), "no source_url"),
    "a level that is none": (config(A, log={"level": "loud"}), "loud"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_changes_nothing(start, kind):
    text, word = WRONG[kind]
    d = start(config=config(A))
    admin = all_ready(d, 1)
    engine = d.engine()
    holder = hold(d)
    d.configure(text)
    reply = admin.order("reload")
    assert not reply["ok"] and word in reply["error"], reply
    assert "the configuration stays as it was" in d.stderr() and word in d.stderr()
    assert d.engine() == engine
    d.signal(signal.SIGHUP)
    until(lambda: d.stderr().count("the configuration stays as it was") == 2, "the signal is heard")
    holder.close()
    c = d.client()
    c.ask("1", "say still here")
    assert c.answer("1") == "still here"


def test_a_file_that_is_gone_changes_nothing(start):
    d = start(config=config(A))
    admin = all_ready(d, 1)
    d.config_path.unlink()
    reply = admin.order("reload")
    assert not reply["ok"] and d.config_path.name in reply["error"]


def test_what_takes_a_restart_is_said(start):
    d = start(config=config(A))
    admin = all_ready(d, 1)
    for _ in range(2):  # it is still true the second time
        notes = reload(d, admin, A, listen={"generate": str(d.home / "elsewhere.sock")},
                       log={"dir": str(d.home / "logs")})
    assert notes[1:] == [f"{name} has changed: that takes a restart of the daemon"
                         for name in ("listen.generate", "log.dir")]
    assert d.path.exists() and not (d.home / "elsewhere.sock").exists()


def test_warnings_are_in_the_reply(start):
    d = start(config=config(A))
    admin = all_ready(d, 1)
    notes = reload(d, admin, A, admin_addr="/x")
    assert any("admin_addr has no effect" in note for note in notes)


def test_a_good_configuration_heals_a_failed_backend(start):
    """Also one that is as it was: what made it fail may be gone."""
    broken = {**B, "kind": "llamacpp", "path": "/nowhere.gguf", "sha256": "a" * 64}
    del broken["scripted"]
    d = start(config=config(A, broken))
    admin = all_ready(d, 1)
    until(lambda: ("b", "failed") in backends(admin), "one has failed")
    assert reload(d, admin, A, broken)[0].startswith("backends: 1 as before, 1 new or changed")
    until(lambda: ("b", "failed") in backends(admin), "it fails again")
    reload(d, admin, A, B)
    until(lambda: ("b", "ready") in backends(admin), "it is healed")


def test_replaced_again_before_the_first_has_gone(start):
    d = start(config=config(A))
    admin = all_ready(d, 1)
    holder = hold(d)
    for i in range(5):
        reload(d, admin, {**A, "load_delay_ms": i})
    holder.close()
    c = d.client()
    c.ask("1", "say done")
    assert c.answer("1") == "done"
    until(lambda: len(d.engines()) == 1, "one engine is left")
    assert set(backends(admin)) == {("a", "ready")}


def test_one_that_is_done_does_not_take_another_with_it(start):
    d = start(config=config(A, B))
    admin = all_ready(d, 2)
    holder = hold(d)
    reload(d, admin, A2, {**B, "load_delay_ms": 1})
    until(lambda: ("b", "draining") not in backends(admin), "the idle one ends")
    assert ("a", "draining") in backends(admin)
    serial = admin.order("stats")["requests"][0]["serial"]
    admin.order("cancel", serial=serial)
    assert holder.frames("holder")[-1]["stop_reason"] == "cancelled"


def test_ending_while_one_is_replaced(start):
    d = start("--drain-timeout-secs", "0", config=config(A))
    admin = all_ready(d, 1)
    hold(d)
    reload(d, admin, A2)
    d.signal()
    assert d.wait() == 0


def test_no_reload_while_it_ends(start):
    d = start(config=config(A))
    admin = all_ready(d, 1)
    holder = hold(d)
    d.signal()
    admin.await_status("draining")
    reply = admin.order("reload")
    assert not reply["ok"] and "shutting down" in reply["error"]
    holder.close()
    assert d.wait() == 0


def test_a_hundred_reloads_under_load(start):
    d = start(config=config(A, B, queue_depth=100))
    admin = all_ready(d, 2)
    asking = [d.client(f"c{i}") for i in range(4)]
    for i in range(100):
        for c in asking:
            c.ask(str(i), f"say {i}")
        reload(d, admin, {**A, "load_delay_ms": i % 3}, B, queue_depth=100)
        for c in asking:
            assert c.answer(str(i)) == str(i)
    totals = admin.order("stats")["totals"]
    assert (totals["done"], totals["failed"]) == (400, 0)
    until(lambda: len(d.engines()) == 2, "no engine is left behind")
