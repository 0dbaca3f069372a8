"""The admin socket takes orders from the daemon's owner: each does what it says, answers only
whoever gave it, and a line that makes no sense harms nobody."""
import json
import os
import socket
import subprocess
import sys

import pytest

from daemon import BIN, PATIENCE, SCRIPTED, until

A, B = {**SCRIPTED, "name": "a"}, {**SCRIPTED, "name": "b"}


@pytest.fixture
def d(start):
    return start(config={"backends": [{**SCRIPTED, "name": "a", "slots": 2}]})


@pytest.fixture
def admin(d):
    a = d.admin()
    a.await_status("ready")
    return a


def hold(d, name="holder"):
    c = d.client(name)
    c.ask(name, "hold")
    assert c.receive()["content"] == "held"
    return c


def in_hand(admin):
    return admin.order("stats")["requests"]


def state(admin, name="a"):
    return next(b["state"] for b in admin.order("stats")["backends"] if b["name"] == name)


# --- stats ----------------------------------------------------------------------


def test_stats_count_what_was_asked(d, admin):
    c = d.client()
    c.ask("1", "say one two three")
    c.answer("1")
    c.ask("2", "fail internal")
    c.error("2")
    c.send({"messages": []})
    c.receive()
    gone = hold(d)
    gone.close()
    until(lambda: not in_hand(admin), "it is noticed")
    stats = admin.order("stats")
    assert list(stats) == sorted(stats)
    totals = stats["totals"]
    assert (totals["requests"], totals["done"], totals["failed"], totals["abandoned"],
            totals["refused"]) == (4, 1, 1, 1, 1)
    assert totals["errors"] == {"internal": 1, "invalid_request": 1}
    assert totals["completion_tokens"] >= 3 and totals["prompt_tokens"] >= 4
    for name in ("queue_wait", "time_to_first_token", "request"):
        latency = totals["latencies"][name]
        assert latency["count"] >= 1 and latency["sum"] >= 0
        assert sum(latency["counts"]) == latency["count"]
        bounds = stats["bounds"][name]
        assert bounds == sorted(bounds) and len(bounds) == len(latency["counts"]) - 1
    assert totals["latencies"]["inter_token"]["count"] == 2
    until(lambda: "context" in admin.order("stats")["backends"][0], "its engine tells, too")
    backend, = admin.order("stats")["backends"]
    assert (backend["name"], backend["kind"], backend["state"], backend["slots"],
            backend["running"], backend["pid"]) == ("a", "mock", "ready", 2, 0, d.engine())
    assert backend["totals"]["requests"] == 3
    assert (backend["breaker"], backend["context"]["size"] > 0) == ("closed", True)
    caller, = stats["callers"]
    assert caller["uid"] == os.getuid()
    assert caller["executable"] == os.path.realpath(sys.executable)
    assert caller["totals"]["requests"] == 4


def test_stats_count_the_deaths_of_an_engine(d, admin):
    assert admin.order("stats")["backends"][0]["deaths"] == 0
    d.kill_engine()
    admin.await_status("ready")
    assert admin.order("stats")["backends"][0]["deaths"] == 1
    admin.order("unload", backend="a")
    until(lambda: not d.engines(), "its process ends")
    assert admin.order("stats")["backends"][0]["deaths"] == 1, "that was no death"


def test_stats_list_what_is_in_hand(d, admin):
    for i in range(3):
        c = d.client(f"c{i}")
        c.ask(str(i), "hold")
    until(lambda: len(in_hand(admin)) == 3, "all are there")
    requests = in_hand(admin)
    assert sorted(r["state"] for r in requests) == ["running", "running", "waiting"]
    for r in requests:
        assert r["pid"] == os.getpid() and r["uid"] == os.getuid() and r["surface"] == "v1"
        assert r.get("backend") == (None if r["state"] == "waiting" else "a")
    stats = admin.order("stats")
    assert (stats["waiting"], stats["queue_depth"], stats["state"]) == (1, 10, "ready")


def test_nothing_of_what_is_said_is_in_the_stats(d, admin):
    c = d.client()
    c.ask("secret-id", "say secret-word")
    c.answer("secret-id")
    hold(d, "secret-holder")
    assert "secret" not in json.dumps(admin.order("stats"))


# --- cancel ----------------------------------------------------------------------


def test_cancel_what_runs(d, admin):
    c = hold(d)
    request, = in_hand(admin)
    assert admin.order("cancel", serial=request["serial"]) == {
        "id": "admin", "type": "reply", "op": "cancel", "ok": True}
    assert c.frames("holder")[-1]["stop_reason"] == "cancelled"
    c.ask("again", "say hi")
    assert c.answer("again") == "hi"


def test_cancel_what_waits(d, admin):
    hold(d, "h1"), hold(d, "h2")
    c = d.client()
    c.ask("w", "say hi")
    until(lambda: len(in_hand(admin)) == 3, "it waits")
    serial = next(r["serial"] for r in in_hand(admin) if r["state"] == "waiting")
    assert admin.order("cancel", serial=serial)["ok"]
    error = c.error("w")
    assert error["code"] == "backend_unavailable" and "cancelled by the operator" in error["message"]


def test_cancel_what_is_not_there(admin):
    reply = admin.order("cancel", serial=12345)
    assert not reply["ok"] and "12345" in reply["error"]


# --- load and unload ----------------------------------------------------------------


def test_unload_gives_the_memory_back_and_load_takes_it(d, admin):
    assert admin.order("unload", backend="a")["ok"]
    until(lambda: not d.engines(), "its process ends")
    assert state(admin) == "stopped"
    assert admin.order("unload", backend="a")["ok"], "twice is fine"
    assert admin.order("load", backend="a")["ok"]
    until(lambda: state(admin) == "ready", "it is back")
    assert admin.order("load", backend="a")["ok"], "likewise"


def test_a_request_wakes_an_unloaded_backend(d, admin):
    old = d.engine()
    admin.order("unload", backend="a")
    until(lambda: not d.engines(), "its process ends")
    c = d.client()
    c.ask("1", "say good morning")
    assert c.answer("1") == "good morning"
    assert d.engine() != old


def test_unload_lets_work_be_finished(d, admin):
    c = hold(d)
    admin.order("unload", backend="a")
    assert len(d.engines()) == 1
    serial = in_hand(admin)[0]["serial"]
    admin.order("cancel", serial=serial)
    assert c.frames("holder")[-1]["type"] == "done"
    until(lambda: not d.engines(), "then it ends")


def test_nobody_is_woken_while_another_can_serve(start):
    d = start(config={"backends": [A, B]})
    admin = d.admin()
    for _ in range(2):
        admin.await_status("capabilities")
    admin.order("unload", backend="a")
    until(lambda: len(d.engines()) == 1, "its process ends")
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"
    assert state(admin, "a") == "stopped" and len(d.engines()) == 1


def test_a_backend_that_is_not_there(admin):
    for op in ("load", "unload"):
        reply = admin.order(op, backend="zebra")
        assert not reply["ok"] and "zebra" in reply["error"]


def unused_since(d, admin):
    until(lambda: not d.engines(), "nobody uses it, so it is unloaded", 20)
    return state(admin)


def test_an_engine_that_nobody_uses_ends_and_comes_back(start):
    d = start("--idle-unload-secs", "1", config={"backends": [A]})
    admin = d.admin()
    admin.await_status("ready")
    assert unused_since(d, admin) == "stopped"
    stats = admin.order("stats")
    assert stats["state"] == "ready", "whoever waits for ready need not wait"
    assert stats["backends"][0]["accelerator"] == "cpu", "what it can do is remembered"
    late = d.admin("late")
    assert late.receive()["backend"] == "a" and late.receive()["status"] == "ready"
    c = d.client()
    c.ask("1", "say good morning")
    assert c.answer("1") == "good morning"
    assert unused_since(d, admin) == "stopped", "and again"
    assert "backend 'a' is unloaded" in d.stderr()


def test_an_engine_that_works_is_not_idle(start):
    d = start(config={"backends": [{**A, "idle_unload_secs": 1}, {**B, "idle_unload_secs": 2}]})
    admin = d.admin()
    admin.await_status("ready")
    until(lambda: state(admin) == "ready", "the first is ready")
    hold(d)
    until(lambda: in_hand(admin)[0]["age_ms"] > 2000, "the request lasts longer than that")
    assert state(admin) == "ready"
    until(lambda: state(admin, "b") == "stopped", "the other is unloaded", 20)


def test_without_a_limit_nothing_is_unloaded(start):
    d = start(config={"backends": [{**A, "idle_unload_secs": 0}, {**B, "idle_unload_secs": 1}]})
    admin = d.admin()
    until(lambda: state(admin, "b") == "stopped", "the other is unloaded", 20)
    assert state(admin, "a") == "ready"


# --- drain -----------------------------------------------------------------------


def test_drain_finishes_what_runs(d, admin):
    c = d.client()
    c.ask("1", "babble 200 10")
    assert c.receive()["type"] == "token"
    admin.send({"op": "drain"})
    frames = []
    while (frame := admin.receive()) is not None:
        frames.append(frame.get("status") or frame["op"])
    assert sorted(frames) == ["drain", "draining"]
    assert c.frames("1")[-1]["type"] == "done"
    assert d.wait() == 0


# --- lines that make no sense -----------------------------------------------------


@pytest.mark.parametrize("line, op, word", [
    (b"hello", "", "not valid JSON"),
    (b"[]", "", "an order is an object"),
    (b"{}", "", "no op"),
    (b'{"op":"explode"}', "explode", "unknown op"),
    (b'{"op":"stats"} {"op":"stats"}', "", "not valid JSON"),
    (b'{"op":"stats","op":"drain"}', "", "duplicate"),
    (b'{"op":"stats","x":1}', "stats", 'no member "x"'),
    (b'{"op":"cancel","serial":1.5}', "cancel", "serial"),
    (b'{"op":"cancel","serial":99999999999999999999999}', "", "not valid JSON"),
    (b"[" * 10_000, "", "not valid JSON"),
    (b'{"op":"' + b"x" * 20_000 + b'"}', "", "at most 16384 bytes"),
    (b"x" * 1_000_000, "", "at most 16384 bytes"),
    (b"\xff\xfe", "", "not valid JSON"),
    (b'{"op":"st\x00ats"}', "", "not valid JSON"),
], ids=lambda value: repr(value[:20]))
def test_a_line_that_makes_no_sense_is_answered(admin, line, op, word):
    admin.send(line + b"\n")
    reply = admin.reply()
    assert (reply["ok"], reply["op"]) == (False, op) and word in reply["error"], reply
    assert admin.order("stats")["ok"], "the connection goes on"


def test_blank_lines_are_no_orders(admin):
    admin.send(b"\n \r\n\n")
    assert admin.order("stats")["ok"]


def test_an_order_in_pieces(admin):
    for byte in b'{"op":"stats"}\n':
        admin.send(bytes([byte]))
    assert admin.reply()["ok"]


def test_many_orders_at_once_are_answered_in_order(admin):
    admin.send(b'{"op":"stats"}\n{"op":"cancel","serial":1}\n' * 100)
    for _ in range(100):
        assert admin.reply()["op"] == "stats"
        assert admin.reply()["op"] == "cancel"


def test_an_order_without_its_newline_counts_at_the_end(admin):
    admin.send(b'{"op":"stats"}')
    admin.shut()
    assert admin.reply()["ok"]


def test_a_reply_is_for_whoever_asked(d, admin):
    other = d.admin("other")
    other.await_status("ready")
    assert admin.order("stats")["ok"]
    d.kill_engine()
    assert other.receive()["status"] == "restarting"


def test_who_reads_no_replies_is_not_listened_to(d, admin):
    """So what waits for it in the daemon's memory is bounded; the others are served."""
    lazy = d.admin("lazy")
    lazy.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
    lazy.socket.setblocking(False)
    sent = refused = 0
    while refused < 400 and sent < 200_000:
        try:
            sent += lazy.socket.send(b'{"op":"stats"}\n' * 100)
            refused = 0
        except BlockingIOError:
            refused += 1
            admin.order("stats")  # the loop has turned: one more of its orders could have been read
    assert refused == 400, f"{sent} bytes of orders were taken"


# --- who -------------------------------------------------------------------------


VISIT = """
import json, os, socket, sys
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
s = socket.socket(socket.AF_UNIX)
try:
    s.connect(sys.argv[1])
except PermissionError:
    sys.exit("not let in")
s.sendall(b'{"op":"stats"}\\n{"op":"drain"}\\n')
lines = s.makefile("rb")
for line in lines:
    frame = json.loads(line)
    if frame["type"] == "reply":
        print(json.dumps(frame))
    if frame.get("op") == "drain":
        break
"""


def visit(d):
    return subprocess.run([sys.executable, "-c", VISIT, d.admin_path], capture_output=True,
                          text=True, timeout=60)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_others_are_not_let_in(d):
    assert (d.admin_path.stat().st_mode & 0o777) == 0o600
    assert visit(d).stderr.strip() == "not let in"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_others_that_got_in_order_nothing(d):
    """Somebody opened the doors; the daemon still looks who it is."""
    for path, mode in ((d.home, 0o755), (d.runtime, 0o755), (d.admin_path, 0o666)):
        path.chmod(mode)
    done = visit(d)
    assert done.returncode == 0, done.stderr
    for reply in map(json.loads, done.stdout.splitlines()):
        assert not reply["ok"]
        assert reply["error"] == f"only the daemon's own user and root may order {reply['op']}"
    c = d.client()
    c.ask("1", "say still here")
    assert c.answer("1") == "still here"


# --- slow subscribers ---------------------------------------------------------------


def stuff(lazy):
    """Until the kernel takes no more for it: replies that it does not read."""
    lazy.socket.setblocking(False)
    try:
        while True:
            lazy.socket.send(b'{"op":"stats"}\n' * 100)
    except BlockingIOError:
        pass
    lazy.socket.settimeout(PATIENCE)


def sockets(d):
    """How many sockets it has open."""
    n = 0
    for fd in os.listdir(f"/proc/{d.pid}/fd"):
        try:
            n += os.readlink(f"/proc/{d.pid}/fd/{fd}").startswith("socket:")
        except FileNotFoundError:
            pass
    return n


def cycle(admin):
    """Unload and load; how many events that were, for everybody."""
    told = 0
    admin.order("unload", backend="a")
    admin.send({"op": "load", "backend": "a"})
    while True:
        frame = admin.receive()
        told += frame["type"] == "status"
        if frame.get("status") == "ready":
            return told


def test_who_is_256_events_behind_is_cut(d, admin):
    lazy = d.admin("lazy")
    lazy.await_status("ready")
    stuff(lazy)
    admin.order("stats")
    told, before = cycle(admin), sockets(d)
    while told <= 250:
        assert sockets(d) >= before, f"it was cut after {told} events"
        told += cycle(admin)
    while told < 400:  # it was not stuffed at once
        told += cycle(admin)
    until(lambda: sockets(d) < before, "it is cut")
    try:
        while lazy.receive() is not None:
            pass
    except AssertionError as e:
        assert "half a frame" in str(e)  # what the kernel had taken may end anywhere
    assert admin.order("stats")["ok"]


# --- inferdctl ---------------------------------------------------------------------


@pytest.fixture
def ctl(d):
    def run(*args):
        done = subprocess.run([BIN / "inferdctl", *args, "--admin-addr", d.admin_path],
                              capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr
    return run


def test_inferdctl_stats(d, ctl):
    c = d.client()
    c.ask("1", "say hello there")
    c.answer("1")
    hold(d)
    code, out, err = ctl("stats")
    assert (code, err) == (0, "")
    for words in ("daemon       ready, version", "requests     1: 1 done, 0 failed",
                  "backend      a (mock): ready", "slots        1 of 2 in use",
                  os.path.realpath(sys.executable), "running"):
        assert words in out, f"{words!r} is missing in\n{out}"
    code, out, err = ctl("stats", "--json")
    assert code == 0 and json.loads(out)["totals"]["done"] == 1


def test_inferdctl_reload(d, ctl):
    assert ctl("reload") == (0, "backends: 1 as before, 0 new or changed, 0 to end\n", "")
    d.configure("{")
    code, out, err = ctl("reload")
    assert (code, out) == (1, "") and "not valid JSON" in err


def test_inferdctl_cancel(d, admin, ctl):
    c = hold(d)
    serial = in_hand(admin)[0]["serial"]
    assert ctl("cancel", str(serial)) == (0, "", "")
    assert c.frames("holder")[-1]["stop_reason"] == "cancelled"
    assert ctl("cancel", "999")[0] == 1
    assert ctl("cancel", "x")[0] == 2
    assert ctl("cancel")[0] == 2


def test_inferdctl_unload_and_load(d, admin, ctl):
    assert ctl("unload", "a") == (0, "", "")
    until(lambda: not d.engines(), "its process ends")
    assert ctl("load", "a") == (0, "", "")
    until(lambda: state(admin) == "ready", "it is back")
    assert ctl("load", "zebra") == (1, "", "inferdctl: there is no backend 'zebra'\n")
    assert ctl("load")[0] == 2


def test_inferdctl_drain(d, ctl):
    assert ctl("drain") == (0, "", "")
    assert d.wait() == 0
    code, out, err = ctl("stats")
    assert code == 2 and err
