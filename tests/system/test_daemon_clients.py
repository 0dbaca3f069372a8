"""Clients that go: what they asked for is forgotten at once, by the engine too."""
import os
import pathlib
import socket
import time

import pytest

from daemon import FACTOR, SCRIPTED, until


def cpu_ticks(pid):
    fields = pathlib.Path("/proc", str(pid), "stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def hang_up(client):
    client.close()


def hang_up_after_half_close(client):
    client.shut()
    client.close()


def shut_both_ways(client):
    client.socket.shutdown(socket.SHUT_RDWR)


GOODBYES = [hang_up, hang_up_after_half_close, shut_both_ways]


@pytest.mark.parametrize("leave", GOODBYES)
def test_a_slot_is_free_when_its_client_goes(start, leave):
    d = start("--active-permits", "1", "--queue-depth", "1")
    for _ in range(20):
        a, b = d.client("a"), d.client("b")
        a.ask("a", "hold")
        assert a.receive()["content"] == "held"
        b.ask("b", "say hi")
        leave(a)
        assert b.answer("b") == "hi"


@pytest.mark.parametrize("leave", GOODBYES)
def test_a_place_in_the_queue_is_free_when_its_client_goes(start, leave):
    d = start("--active-permits", "1", "--queue-depth", "1")
    holder = d.client("holder")
    holder.ask("h", "hold")
    assert holder.receive()["content"] == "held"
    for _ in range(20):
        a = d.client("a")
        a.ask("a", "hold")
        with d.client("b") as b:
            b.ask("b", "say hi")
            assert b.error("b")["code"] == "queue_full"
        leave(a)
    d.settle()
    waiting = d.client("waiting")
    waiting.ask("w", "say hi")
    holder.close()
    assert waiting.answer("w") == "hi"


def wakeups(pid):
    """How often a process had to wait for something so far."""
    status = pathlib.Path("/proc", str(pid), "status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_the_engine_stops_working_for_a_client_that_is_gone(start):
    """One that makes a token per millisecond wakes up as often; one at rest hardly does."""
    d = start(config={"backends": [{**SCRIPTED, "token_delay_ms": 1}]})
    a = d.client("a")
    a.ask("1", "babble 10000000 1")
    engine = d.engine()
    before = wakeups(engine)
    for _ in range(200):
        assert a.receive()["type"] == "token"
    assert wakeups(engine) - before > 100
    a.close()

    window = (time.monotonic(), wakeups(engine))

    def rests():
        nonlocal window
        now = (time.monotonic(), wakeups(engine))
        if now[0] - window[0] < 0.25:
            return False
        woken, window = now[1] - window[1], now
        return woken < 20
    until(rests, "the engine to rest")


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_who_goes_without_asking_leaves_nothing(start):
    d = start("--log-level", "off")  # the log's file is opened whenever its first line comes
    if not os.access(f"/proc/{d.pid}/fd", os.R_OK):
        pytest.skip("this user can't list the daemon's descriptors")
    d.settle()
    before = descriptors(d.pid)
    for _ in range(200):
        d.client().close()
    until(lambda: descriptors(d.pid) <= before, "its descriptors are closed")


def test_a_client_that_stops_reading_holds_up_nobody(start):
    d = start("--active-permits", "2")
    lazy, b = d.client("lazy"), d.client("b")
    lazy.ask("1", "babble 100000 10000")
    lazy.receive()
    for i in range(50):
        b.ask(str(i), "say hi")
        assert b.answer(str(i)) == "hi"


def test_what_is_kept_for_clients_that_stop_reading_is_bounded(start):
    """Hundreds of megabytes for clients that do not read them are not made yet."""
    d = start("--active-permits", "17")
    lazy = [d.client(f"lazy{i}") for i in range(16)]
    for c in lazy:
        c.ask("1", "babble 1500 10000")
        c.receive()
    b = d.client("b")
    engine = d.engine()
    seen = [cpu_ticks(engine)]

    def rests():
        for i in range(20):
            b.ask(str(i), "say hi")
            assert b.answer(str(i)) == "hi"
        seen.append(cpu_ticks(engine))
        return len(seen) > 3 and seen[-1] - seen[-3] <= 1
    until(rests, f"the engine to rest; its ticks: {seen}")
    for pid in (d.pid, engine):
        status = pathlib.Path("/proc", str(pid), "status").read_text()
        resident = int(status.split("VmRSS:")[1].split()[0])
        assert resident < 100 * 1024 * FACTOR, f"process {pid} has {resident} KiB"
    # And when they do read, nothing is missing.
    assert [f["type"] for f in lazy[0].frames("1")].count("token") == 1499
