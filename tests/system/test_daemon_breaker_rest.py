"""What a breaker does when its rest of 30 s is over."""
from daemon import PATIENCE, SCRIPTED, until
from test_daemon_breaker import FIRST, breaker, fail_three_times, ready, says

REST = 30 + PATIENCE


def test_one_probe_decides(start):
    d = start("--active-permits", "4", config={"backends": [FIRST, says("second")]})
    ready(d, "first", "second")
    c = d.client()
    fail_three_times(c)
    until(lambda: breaker(d, "first") == "half_open", "it has rested", REST)
    probe = d.client("probe")
    probe.ask("1", "hold")
    assert probe.receive()["content"] == "held"
    c.ask("1", "say hi")
    assert c.answer("1") == "second", "there is only one probe"
    probe.close()
    until(lambda: d.settle() or breaker(d, "first") == "half_open", "a cancel decides nothing")
    c.ask("2", "fail internal")
    assert c.error("2")["code"] == "internal"
    assert breaker(d, "first") == "open"
    until(lambda: breaker(d, "first") == "half_open", "it has rested again", REST)
    c.ask("3", "say hi")
    assert c.answer("3") == "hi"
    assert breaker(d, "first") == "closed"
    assert "backend 'first' does not fail any more" in d.stderr()


def test_alone_others_wait_for_what_the_probe_finds(start):
    d = start("--active-permits", "2", config={"backends": [{**SCRIPTED, "name": "first"}]})
    c, other = d.client(), d.client("other")
    fail_three_times(c)
    until(lambda: breaker(d, "first") == "half_open", "it has rested", REST)
    c.ask("1", "hold")
    assert c.receive()["content"] == "held"
    other.ask("1", "say hi")
    d.settle()
    c.close()
    assert other.answer("1") == "hi"
