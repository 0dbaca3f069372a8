"""Clients that go: what they asked for is forgotten at once, by the engine too."""
import os
import pathlib
import socket

import pytest

from daemon import FACTOR, until


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


def test_the_engine_stops_working_for_a_client_that_is_gone(start):
    d = start("--active-permits", "2", config={"backends": [
        {"kind": "mock", "name": "mock", "scripted": True, "token_delay_ms": 1}]})
    a = d.client("a")
    a.ask("1", "babble 10000000 1")
    for _ in range(50):
        assert a.receive()["type"] == "token"
    a.close()

    # Done for a, the engine has nothing to do: its clock stands still.
    engine = d.engine()
    seen = [cpu_ticks(engine)]

    def stands_still():
        b = d.client("b")
        b.ask("1", "say " + "x " * 100)
        b.answer("1")
        b.close()
        seen.append(cpu_ticks(engine))
        return len(seen) > 3 and seen[-1] - seen[-2] <= 2
    until(stands_still, f"the engine to rest; its ticks: {seen}")


def test_who_goes_without_asking_leaves_nothing(start):
    d = start()
    before = len(os.listdir(f"/proc/{d.pid}/fd")) if os.access(f"/proc/{d.pid}/fd", os.R_OK) else None
    for _ in range(200):
        d.client().close()
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"
    c.close()
    if before is not None:
        until(lambda: len(os.listdir(f"/proc/{d.pid}/fd")) <= before, "its descriptors are closed")


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
