"""Whose turn it is, and who makes room: this program on one side, inferdctl on the other."""
import os
import subprocess
import threading

import pytest

from daemon import BIN, PATIENCE, SCRIPTED, until
from strangers import STRANGER, ask_as, needs_root


class Other:
    """Another program of the same user that asks one thing."""

    def __init__(self, daemon, command):
        self.process = subprocess.Popen(
            [BIN / "inferdctl", "generate", "--socket", daemon.path, command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def answer(self):
        text, complaint = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, complaint
        return text.strip()


@pytest.fixture
def other():
    others = []

    def make(*args):
        others.append(Other(*args))
        return others[-1]

    yield make
    for o in others:
        o.process.kill()
        o.process.communicate()


def waiting(daemon):
    with daemon.admin() as admin:
        return admin.order("stats")["waiting"]


def caller(daemon, program):
    with daemon.admin() as admin:
        for c in admin.order("stats")["callers"]:
            if c.get("executable", "").endswith(program):
                return c
    return None


def queued(daemon, n):
    """One that holds the only slot, and n that wait behind it."""
    clients = [daemon.client(f"c{i}") for i in range(n + 1)]
    for c in clients:
        c.ask("1", "hold")
        daemon.settle()
    assert clients[0].receive()["content"] == "held"
    assert waiting(daemon) == n
    return clients


def test_who_asks_once_does_not_wait_for_all_that_another_has_sent(start, other):
    d = start("--active-permits", "1", "--queue-depth", "20")
    clients = queued(d, 10)
    o = other(d, "say hi")
    until(lambda: waiting(d) == 11, "its request waits")
    clients[0].close()  # ours had its turn
    assert o.answer() == "hi"
    assert clients[1].receive()["content"] == "held"
    assert waiting(d) == 9


def test_when_the_queue_is_full_the_newest_of_the_one_with_most_makes_room(start, other):
    d = start("--active-permits", "1", "--queue-depth", "4")
    clients = queued(d, 4)
    o = other(d, "say hi")
    error = clients[4].error("1")
    assert error["code"] == "queue_full"
    assert "this caller had most" in error["message"]
    clients[4].ask("2", "say no")  # who has most takes nothing back
    assert clients[4].error("2")["code"] == "queue_full"
    clients[0].close()
    assert o.answer() == "hi"
    clients[4].ask("3", "say yes")  # its connection is as good as any
    for c in clients[1:4]:
        c.close()
    assert clients[4].answer("3") == "yes"


@needs_root
def test_users_take_turns_whatever_programs_they_run(start, other):
    """Two programs of ours wait; another user's comes before both, for ours had a turn."""
    d = start("--active-permits", "1", "--queue-depth", "20")
    clients = queued(d, 2)
    o = other(d, "hold")
    until(lambda: waiting(d) == 3, "its request waits")
    frames = []
    stranger = threading.Thread(target=lambda: frames.append(ask_as(d, STRANGER, 77)))
    stranger.start()
    until(lambda: waiting(d) == 4, "the stranger's request waits")
    clients[0].close()
    stranger.join()
    assert frames[0]["content"] == "hi"
    until(lambda: waiting(d) == 2, "one of ours has its turn")
    assert o.process.poll() is None


def test_all_connections_of_a_program_are_one_caller(start, other):
    d = start("--active-permits", "1", "--queue-depth", "20")
    clients = queued(d, 3)
    o = other(d, "hold")
    until(lambda: waiting(d) == 4, "its request waits")
    o.process.kill()
    clients.pop().close()  # from now on there are accounts of both
    theirs = until(lambda: caller(d, "inferdctl"), "an account of the other's")
    ours = until(lambda: caller(d, os.path.basename(os.readlink("/proc/self/exe"))),
                 "an account of ours")
    assert theirs["number"] != ours["number"]
    assert (theirs["connections"], theirs["waiting"], theirs["running"]) == (0, 0, 0)
    assert (ours["connections"], ours["waiting"], ours["running"]) == (3, 2, 1)
    assert ours["totals"]["abandoned"] == theirs["totals"]["abandoned"] == 1


def test_what_can_wait_until_later_does(start, other):
    d = start("--active-permits", "1", "--queue-depth", "3")
    holder, idle, late = queued(d, 0)[0], d.client("idle"), d.client("late")
    idle.ask("1", "hold", priority=-1)
    d.settle()
    o = other(d, "hold")
    until(lambda: waiting(d) == 2, "its request waits")
    late.ask("1", "hold")
    d.settle()
    full = d.client("full")
    full.ask("1", "say hi")  # takes its place, for all that is there has its share
    error = idle.error("1")
    assert error["code"] == "queue_full" and "later" in error["message"]
    idle.ask("2", "say done", priority=-1)
    assert idle.error("2")["code"] == "queue_full"
    o.process.kill()
    until(lambda: waiting(d) == 2, "the other is gone")
    idle.ask("3", "say done", priority=-1)
    d.settle()
    holder.close()
    assert late.receive()["content"] == "held"
    late.close()
    assert full.answer("1") == "hi"
    assert idle.answer("3") == "done"


# --- connections ------------------------------------------------------------------------


def test_one_program_has_only_so_many_connections(start, other):
    d = start("--connections-per-caller", "3")
    ours = [d.client(f"c{i}") for i in range(3)]
    ours[2].ask("1", "say hi")  # it was let in
    assert ours[2].answer("1") == "hi"
    late = d.client("late")
    error = late.receive()
    assert (error["code"], error["id"]) == ("queue_full", "")
    assert "3 connections" in error["message"] and "connections_per_caller" in error["message"]
    late.expect_end()
    assert other(d, "say ho").answer() == "ho"  # another program has its own
    log = d.home / ".inferd" / "logs" / "inferd.ndjson"
    until(lambda: log.exists() and '"too_many_connections"' in log.read_text(), "the log's line")
    ours[0].close()

    def let_in():
        with d.client("next") as c:
            c.ask("1", "say hi")
            return c.receive()["id"] == "1"
    until(let_in, "a place for another")


def test_a_reload_changes_how_many(start):
    config = {"connections_per_caller": 1, "backends": [SCRIPTED]}
    d = start(config=config)
    a, b = d.client("a"), d.client("b")
    assert b.receive()["code"] == "queue_full"
    d.configure({**config, "connections_per_caller": 2})
    with d.admin() as admin:
        assert admin.order("reload")["ok"]
    c = d.client("c")
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"
    a.ask("1", "say ho")
    assert a.answer("1") == "ho"
