"""Requests that may be what killed an engine: they run alone until they have shown what they
are, and who kills it alone, twice, is refused."""
import signal
import subprocess

from daemon import BIN, PATIENCE, SCRIPTED, until

SLOW = {"backends": [{**SCRIPTED, "token_delay_ms": 20}]}


def stats(daemon):
    with daemon.admin() as admin:
        return admin.order("stats")


def kill(client, id, **more):
    """Ask for what kills the engine, and hear that it did."""
    client.ask(id, "crash SEGV", **more)
    error = client.error(id)
    assert error["code"] == "backend_unavailable", error


def convict(daemon):
    with daemon.client("bad") as bad:
        for i in range(3):
            kill(bad, str(i))


def test_it_is_refused_by_what_it_asks_whoever_asks(start):
    d = start()
    convict(d)
    engine = until(d.engines, "the next engine")
    with d.client() as c:
        c.ask("another id", "crash SEGV")
        error = c.error("another id")
        assert error["code"] == "invalid_request"
        assert "died 2 times while it worked on this request and nothing else" in error["message"]
    ctl = subprocess.run([BIN / "inferdctl", "generate", "--socket", d.path, "crash SEGV"],
                         stdin=subprocess.DEVNULL, capture_output=True, text=True,
                         timeout=PATIENCE)
    assert ctl.returncode == 1 and "(invalid_request)" in ctl.stderr
    assert d.engines() == engine


def test_what_is_asked_otherwise_is_another_request(start):
    d = start()
    convict(d)
    with d.client() as c:
        kill(c, "1", max_tokens=7)
        c.ask("2", "say hi")
        assert c.answer("2") == "hi"


def test_it_is_nothing_against_the_backend(start):
    """Two of its three deaths were nobody else's fault."""
    d = start()
    convict(d)
    with d.client() as c:
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"
    s = stats(d)
    assert (s["suspects"], s["suspects_refused"]) == (1, 1)
    (b,) = s["backends"]
    assert (b["deaths"], b["breaker"]) == (3, "closed")


def test_innocents_beside_a_killer_get_through(start):
    d = start("--active-permits", "4", "--queue-depth", "20", config=SLOW)
    innocents = [d.client(f"i{i}") for i in range(3)]
    words = [f"i{i} " + "x " * 60 for i in range(3)]
    for c, w in zip(innocents, words):
        c.ask("1", f"say {w}")
        assert c.receive()["type"] == "token"
    killer = d.client("killer")
    kill(killer, "1")
    for c in innocents:
        assert c.error("1")["code"] == "backend_unavailable"
    # All at once again, and others whom nothing is held against.
    killer.ask("2", "crash SEGV")
    for c, w in zip(innocents, words):
        c.ask("2", f"say {w}")
    others = [d.client(f"o{i}") for i in range(5)]
    for i, c in enumerate(others):
        c.ask("1", f"say o{i}")
    for c, w in zip(innocents, words):
        assert c.answer("2").split() == w.split()
    for i, c in enumerate(others):
        assert c.answer("1") == f"o{i}"
    assert killer.error("2")["code"] == "backend_unavailable"


def suspected(daemon):
    """A client whose `hold` was there when the engine died."""
    c = daemon.client("suspect")
    c.ask("1", "hold")
    assert c.receive()["content"] == "held"
    daemon.kill_engine(signal.SIGKILL)
    assert c.error("1")["code"] == "backend_unavailable"
    return c


def test_nothing_runs_beside_a_suspect(start):
    d = start("--active-permits", "2")
    suspect = suspected(d)
    suspect.ask("2", "hold")
    assert suspect.receive()["content"] == "held"
    other = d.client("other")
    other.ask("1", "say hi")
    d.settle()
    assert [r["state"] for r in stats(d)["requests"]] == ["running", "waiting"]
    suspect.close()
    assert other.answer("1") == "hi"


def test_a_suspect_waits_for_its_turn_and_gets_it(start):
    """Who came before it goes on, who comes after it does not overtake it for ever."""
    d = start("--active-permits", "2", "--queue-depth", "20")
    suspect = suspected(d)
    first, second = d.client("first"), d.client("second")
    first.ask("1", "hold", max_tokens=5)  # not what the suspect asked
    assert first.receive()["content"] == "held"
    suspect.ask("2", "hold")
    d.settle()
    second.ask("1", "say hi")
    d.settle()
    assert [r["state"] for r in stats(d)["requests"]] == ["running", "waiting", "waiting"]
    first.close()
    assert suspect.receive()["content"] == "held"
    assert stats(d)["waiting"] == 1
    suspect.close()
    assert second.answer("1") == "hi"


def test_who_came_through_alone_is_no_suspect_any_more(start):
    d = start("--active-permits", "2", config=SLOW)
    a, b = d.client("a"), d.client("b")
    long = "say " + "x " * 100
    a.ask("1", long)
    assert a.receive()["type"] == "token"
    d.kill_engine()
    assert a.error("1")["code"] == "backend_unavailable"
    a.ask("2", long)  # alone
    a.answer("2")
    a.ask("3", long)
    assert a.receive()["type"] == "token"
    b.ask("1", "say hi")  # beside it
    assert b.answer("1") == "hi"
    assert stats(d)["backends"][0]["running"] == 1
    a.close()


def test_what_is_convicted_while_it_waits_is_not_tried_again(start):
    d = start("--active-permits", "1", "--queue-depth", "20")
    clients = [d.client(f"c{i}") for i in range(5)]
    for c in clients:
        c.ask("1", "crash SEGV")  # all the same
        d.settle()
    codes = [c.error("1")["code"] for c in clients]
    assert codes == ["backend_unavailable"] * 3 + ["invalid_request"] * 2
    assert stats(d)["backends"][0]["deaths"] == 3
