"""A backend that fails again and again is left alone for a while, and who can't do what is
needed is not asked.

The first backend obeys; the second and later ones say their names, whatever is asked."""
import os
import signal

import pytest

from daemon import SCRIPTED, until

FIRST = {**SCRIPTED, "name": "first"}


def says(name, **more):
    return {"kind": "mock", "name": name, "tokens": [name], **more}


def breaker(d, name):
    return stats(d, name)["breaker"]


def stats(d, name):
    with d.admin() as admin:
        return next(b for b in admin.order("stats")["backends"] if b["name"] == name)


def ready(d, *names):
    until(lambda: all(stats(d, name)["state"] == "ready" for name in names), f"{names} are ready")


def fail_three_times(c, how="fail unavailable"):
    for i in range(3):
        c.ask(f"f{i}", how)
        assert c.frames(f"f{i}")[-1]["type"] == "error"


@pytest.mark.parametrize("how", ["fail unavailable", "fail internal", "fail not_ready", "drop"])
def test_three_failures_send_requests_to_the_next(start, how):
    d = start(config={"backends": [FIRST, says("second")]})
    ready(d, "first", "second")
    c = d.client()
    fail_three_times(c, how)
    c.ask("next", "say hi")
    assert c.answer("next") == "second"
    assert (breaker(d, "first"), breaker(d, "second")) == ("open", "closed")
    assert "backend 'first' has failed 3 times" in d.stderr()
    assert len(d.engines()) == 2, "it is left alone, not ended"


def test_alone_it_refuses_and_says_for_how_long(start):
    d = start(config={"backends": [FIRST]})
    c = d.client()
    fail_three_times(c)
    c.ask("next", "say hi")
    error = c.error("next")
    assert error["code"] == "backend_unavailable"
    assert "'first' has failed 3 times and is asked again in 30 s" in error["message"]


def test_mistakes_and_cancels_do_not_count(start):
    d = start(config={"backends": [FIRST]})
    c = d.client()
    for i in range(5):
        c.ask("m", "fail invalid_request")
        assert c.error("m")["code"] == "invalid_request"
        with d.client() as gone:
            gone.ask("g", "hold")
            assert gone.receive()["content"] == "held"
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"
    assert breaker(d, "first") == "closed"


def test_a_success_forgets_failures(start):
    d = start(config={"backends": [FIRST]})
    c = d.client()
    for i in range(4):
        for _ in range(2):
            c.ask("f", "fail internal")
            c.error("f")
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"


def test_a_death_counts_once_however_many_it_ends(start):
    d = start("--active-permits", "4", config={"backends": [FIRST]})
    held = [d.client(f"h{i}") for i in range(4)]
    for deaths in range(3):
        assert breaker(d, "first") == "closed"
        for c in held:  # another request each time: what was there when it died runs alone
            c.ask(f"{deaths}", "hold", max_tokens=1 + deaths)
            assert c.receive()["content"] == "held"
        d.kill_engine(signal.SIGSEGV)
        for c in held:
            assert c.error(f"{deaths}")["code"] == "backend_unavailable"
    until(lambda: breaker(d, "first") == "open", "the third death opens it")


def test_behind_a_crash_loop_an_unloaded_backend_is_woken(start):
    d = start(config={"backends": [FIRST, says("second")]})
    ready(d, "first", "second")
    admin = d.admin()
    admin.order("unload", backend="second")
    until(lambda: len(d.engines()) == 1, "it is gone")
    for deaths in range(1, 4):
        os.kill(until(lambda: stats(d, "first").get("pid"), "a process"), signal.SIGSEGV)
        until(lambda: stats(d, "first")["deaths"] == deaths, "it is noticed")
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "second"


def test_it_survives_being_unloaded(start):
    d = start(config={"backends": [FIRST]})
    c, admin = d.client(), d.admin()
    fail_three_times(c)
    admin.order("unload", backend="first")
    until(lambda: not d.engines(), "it is gone")
    assert breaker(d, "first") == "open"
    c.ask("1", "say hi")
    assert c.error("1")["code"] == "backend_unavailable"
    assert not d.engines(), "nobody is started for a request that is refused"


def test_a_changed_configuration_begins_anew(start):
    d = start(config={"backends": [FIRST]})
    c, admin = d.client(), d.admin()
    fail_three_times(c)
    d.configure({"backends": [{**FIRST, "token_delay_ms": 1}]})
    assert admin.order("reload")["ok"]
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


def test_each_need_finds_the_first_that_can(start):
    d = start(config={"backends": [
        says("plain", capabilities={"grammar": False}),
        says("embedder", capabilities={"embed": True, "v2": False}),
        says("strict")]})
    ready(d, "plain", "embedder", "strict")
    c = d.client()
    c.ask("1", "hi")
    assert c.answer("1") == "plain"
    c.ask("2", "hi", grammar='root ::= "x"')
    assert c.answer("2") == "strict"


def test_one_need_does_not_wait_behind_another(start):
    d = start(config={"backends": [
        {**FIRST, "capabilities": {"grammar": False}}, says("strict")]})
    ready(d, "first", "strict")
    busy, waiting, other = d.client("busy"), d.client("waiting"), d.client("other")
    busy.ask("1", "hold")
    assert busy.receive()["content"] == "held"
    waiting.ask("1", "say hi")
    d.settle()
    other.ask("1", "hi", grammar='root ::= "x"')
    assert other.answer("1") == "strict"
    busy.close()
    assert waiting.answer("1") == "hi"


def test_what_nobody_can_do_is_refused(start):
    d = start(config={"backends": [{**FIRST, "capabilities": {"grammar": False}}]})
    c = d.client()
    c.ask("1", "say hi", grammar='root ::= "x"')
    error = c.error("1")
    assert (error["code"], error["message"]) == (
        "backend_unavailable", "no grammar-capable backend available")
    c.ask("2", "say hi")
    assert c.answer("2") == "hi"


def test_what_only_an_unloaded_backend_can_do_wakes_it(start):
    d = start(config={"backends": [
        says("plain", capabilities={"grammar": False}), says("strict")]})
    ready(d, "plain", "strict")
    d.admin().order("unload", backend="strict")
    until(lambda: len(d.engines()) == 1, "it is gone")
    c = d.client()
    c.ask("1", "hi")
    assert c.answer("1") == "plain"
    assert len(d.engines()) == 1
    c.ask("2", "hi", grammar='root ::= "x"')
    assert c.answer("2") == "strict"
