"""The activity log: what is in it, what is not, and what happens when its disk does not play
along."""
import json
import os
import resource
import signal
import stat

import pytest

from daemon import FACTOR, until

MIB = 1024 * 1024


def log_of(d):
    return d.home / ".inferd" / "logs" / "inferd.ndjson"


def lines(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def event(d, msg, **fields):
    """The first line with that message and those fields, as soon as it is there."""
    def find():
        path = log_of(d)
        return path.exists() and next(
            (e for e in lines(path)
             if e["msg"] == msg and all(e.get(k) == v for k, v in fields.items())), None)
    return until(find, f"{msg} {fields} in the log")


def all_said(d):
    d.stop()
    return lines(log_of(d))


# --- what is in it -----------------------------------------------------------

def test_first_and_last_line(start):
    d = start()
    said = all_said(d)
    assert said[0]["msg"] == "daemon_started"
    assert said[0]["build"] in ("networked", "airgapped") and said[0]["pid"] == d.pid
    assert said[-1] == {**said[-1], "msg": "daemon_ended", "exit_code": 0}
    states = [e["state"] for e in said if e["msg"] == "state_changed"]
    assert states[0] == "starting" and "ready" in states and states[-1] == "draining"


def test_keys_are_sorted_and_levels_known(start):
    d = start()
    with d.client() as c:
        c.ask("1", "say one two")
        c.answer("1")
    d.stop()
    for line in log_of(d).read_text().splitlines():
        pairs = json.loads(line, object_pairs_hook=list)
        keys = [k for k, _ in pairs]
        assert keys == sorted(keys) and {"t", "level", "component", "msg"} <= set(keys)
        assert dict(pairs)["level"] in ("error", "warn", "info", "debug")
        assert dict(pairs)["t"].endswith("+00:00")


def test_only_its_owner_may_read(start):
    d = start()
    event(d, "daemon_started")
    assert stat.S_IMODE(log_of(d).stat().st_mode) == 0o600
    assert stat.S_IMODE(log_of(d).parent.stat().st_mode) == 0o700


def test_who_connected(start):
    d = start()
    with d.client():
        e = event(d, "connection_accepted", peer_pid=os.getpid())
    assert e["peer_uid"] == os.getuid() and e["peer_gid"] == os.getgid()
    assert e["peer"] == f"unix:{os.getuid()}:{os.getpid()}" and e["transport"] == "unix"
    assert e["peer_exe"] == os.path.realpath("/proc/self/exe")
    assert event(d, "admin_connection_accepted")["peer_uid"] == os.getuid()


def test_whose_request_it_was_is_known_after_it_hung_up(start):
    d = start()
    with d.client() as c:
        c.ask("1", "babble 100000 10")
        c.receive()
    e = event(d, "request_abandoned")
    assert e["peer_exe"] == os.path.realpath("/proc/self/exe") and e["req_id"] == "1"
    assert e["completion_tokens"] > 0


def test_an_answer(start):
    d = start()
    with d.client() as c:
        c.ask("job-1", "say one two three")
        c.answer("job-1")
    e = event(d, "request_done")
    assert e["req_id"] == "job-1" and e["stop_reason"] == "End" and e["surface"] == "v1"
    assert e["backend"] == "mock" and e["kind"] == "mock"
    assert e["completion_tokens"] == 3 and e["prompt_tokens"] == 4 and e["cached_tokens"] == 0
    assert e["peer_uid"] == os.getuid() and e["peer_pid"] == os.getpid()
    assert 0 <= e["queue_ms"] <= e["first_token_ms"] <= e["total_ms"]


def test_every_way_to_end(start):
    d = start("--active-permits", "1", "--queue-depth", "0")
    with d.client() as c, d.client() as other:
        c.ask("full", "hold")
        c.receive()
        other.ask("refused", "say x")
        other.error("refused")
        c.close()
        assert event(d, "request_abandoned", req_id="full")["backend"] == "mock"
    with d.client() as c:
        c.ask("failed", "fail unavailable")
        c.error("failed")
        c.send({"id": "invalid", "messages": []})
        c.receive()
        c.send("{")
        c.receive()
    assert event(d, "request_refused", req_id="refused")["code"] == "queue_full"
    assert event(d, "request_failed", req_id="failed")["code"] == "backend_unavailable"
    assert event(d, "request_failed", req_id="failed")["level"] == "warn"
    assert event(d, "request_refused", req_id="invalid")["code"] == "invalid_request"
    assert [e for e in all_said(d) if e["msg"] == "request_refused" and "req_id" not in e]


def test_an_engine_that_dies_in_the_middle(start):
    d = start(config={"backends": [{"kind": "mock", "name": "frail", "tokens": ["a", "b", "c"],
                                    "crash_after": {"tokens": 2, "signal": "ABRT"}}]})
    with d.client() as c:
        c.ask("1", "anything")
        c.error("1")
    death = event(d, "engine_died")
    assert death["backend"] == "frail" and death["phase"] == "ready"
    assert death["signal"] == "SIGABRT" and death["requests_lost"] == 1
    assert event(d, "request_error_mid_stream")["code"] == "backend_unavailable"
    assert event(d, "backend_changed", state="restarting")["level"] == "warn"


def test_an_engine_that_is_killed_while_idle(start):
    d = start()
    pid = d.kill_engine(signal.SIGKILL)
    death = event(d, "engine_died")
    assert death["signal"] == "SIGKILL" and death["pid"] == pid and death["requests_lost"] == 0


def test_ids_that_say_too_much(start):
    d = start()
    ids = {"a.b_c:d-9": "a.b_c:d-9", "x" * 64: "x" * 64, "x" * 65: None, "my secret": None,
           "é": None, "a\n{\"msg\":\"forged\"}": None}
    with d.client() as c:
        for id in ids:
            c.ask(id, "say x")
            c.answer(id)
        c.ask("my secret", "say x")
        c.answer("my secret")
    said = [e["req_id"] for e in all_said(d) if e["msg"] == "request_done"]
    for got, (id, want) in zip(said, ids.items()):
        assert got == want or (want is None and got.startswith("#") and len(got) == 17), id
    assert said[-1] == said[3]     # the same id is the same hash
    assert len(set(said)) == len(ids)


# --- how much ----------------------------------------------------------------

@pytest.mark.parametrize("levels,has,has_not", [
    ("warn", {"request_failed"}, {"request_done", "daemon_started"}),
    ("off,activity=info", {"request_done", "request_failed"}, {"daemon_started"}),
    ("activity=off", {"daemon_started"}, {"request_done", "request_failed"}),
    ("inferd_daemon=debug", {"daemon_started", "request_done"}, set()),
])
def test_levels(start, levels, has, has_not):
    d = start("--log-level", levels)
    with d.client() as c:
        c.ask("1", "say x")
        c.answer("1")
        c.ask("2", "fail unavailable")
        c.error("2")
    said = {e["msg"] for e in all_said(d)}
    assert has <= said and not has_not & said


def test_off_makes_no_file(start):
    d = start("--log-level", "off")
    with d.client() as c:
        c.ask("1", "say x")
        c.answer("1")
    d.stop()
    assert not log_of(d).parent.exists()
    assert d.stderr() == ""


def test_a_level_that_is_none(start):
    d = start("--log-level", "loud", ready=False)
    assert d.wait() != 0
    assert "'loud'" in d.stderr()


# --- where -------------------------------------------------------------------

def test_another_directory(start, tmp):
    d = start("--log-dir", tmp / "deep" / "logs")
    until((tmp / "deep" / "logs" / "inferd.ndjson").exists, "the log")
    assert not log_of(d).exists()


def ask(d, id="1"):
    with d.client() as c:
        c.ask(id, "say x")
        assert c.answer(id) == "x"


def test_rotation(start, tmp):
    log = tmp / "inferd.ndjson"
    with open(log, "wb") as f:
        f.write(b'{"old":true}\n')
        f.truncate(16 * MIB - 10)
    for i in range(1, 4):
        (tmp / f"inferd.ndjson.{i}").write_text(f'{{"generation":{i}}}\n')
    os.chmod(tmp, 0o700)
    start("--log-dir", tmp)
    until(lambda: log.exists() and 0 < log.stat().st_size < MIB, "a new file")
    assert lines(log)[0]["msg"] == "daemon_started"
    assert (tmp / "inferd.ndjson.1").read_bytes().startswith(b'{"old":true}')
    assert lines(tmp / "inferd.ndjson.2") == [{"generation": 1}]
    assert lines(tmp / "inferd.ndjson.3") == [{"generation": 2}]
    assert sorted(p.name for p in tmp.iterdir()) == [
        "inferd.ndjson", "inferd.ndjson.1", "inferd.ndjson.2", "inferd.ndjson.3"]


def test_half_a_line_of_a_daemon_that_was_killed(start, tmp):
    log = tmp / "inferd.ndjson"
    log.write_bytes(b'{"msg":"whole"}\n{"msg":"ha')
    os.chmod(tmp, 0o700)
    start("--log-dir", tmp)
    until(lambda: log.read_bytes().count(b"\n") > 2, "more lines")
    first, half, third = log.read_bytes().splitlines()[:3]
    assert half == b'{"msg":"ha' and json.loads(third)["msg"] == "daemon_started"


def test_two_daemons_share_a_log(start, tmp):
    a = start("--log-dir", tmp / "logs")
    b = start("--log-dir", tmp / "logs")
    for i in range(20):
        ask(a, f"a{i}")
        ask(b, f"b{i}")
    a.stop()
    b.stop()
    said = [e.get("req_id") for e in lines(tmp / "logs" / "inferd.ndjson")]
    assert {f"{x}{i}" for x in "ab" for i in range(20)} <= set(said)


def test_a_link_is_not_followed(start, tmp):
    (tmp / "logs").mkdir(mode=0o700)
    (tmp / "logs" / "inferd.ndjson").symlink_to(tmp / "victim")
    (tmp / "victim").write_text("precious")
    d = start("--log-dir", tmp / "logs")
    until(lambda: "has to wait" in d.stderr(), "the complaint")
    ask(d)
    assert (tmp / "victim").read_text() == "precious"


# --- a disk that does not play along -----------------------------------------

def complaints(d):
    return d.stderr().count("the activity log has to wait")


def log_state(d):
    with d.admin() as a:
        a.send({"op": "stats"})
        while (frame := a.receive())["type"] != "reply":
            pass
    return frame["log"]


def test_the_directory_goes(start):
    d = start()
    event(d, "daemon_started")
    for path in sorted(log_of(d).parent.iterdir()) + [log_of(d).parent]:
        path.rmdir() if path.is_dir() else path.unlink()
    ask(d, "after")
    event(d, "request_done", req_id="after")
    assert complaints(d) == 0


def test_the_directory_cannot_be_made_and_then_it_can(start, tmp):
    (tmp / "logs").write_text("in the way")
    d = start("--log-dir", tmp / "logs")
    until(lambda: complaints(d) == 1, "the complaint")
    assert log_state(d) == {"works": False, "lost": 0}
    for i in range(5):
        ask(d, str(i))
    (tmp / "logs").unlink()
    until(lambda: "is written again; 0 lines were lost" in d.stderr(), "the recovery")
    assert complaints(d) == 1
    assert log_state(d) == {"works": True, "lost": 0}
    d.stop()
    said = lines(tmp / "logs" / "inferd.ndjson")
    assert said[0]["msg"] == "daemon_started"
    assert [e["req_id"] for e in said if e["msg"] == "request_done"] == list("01234")


def test_no_file_may_grow(start, tmp):
    """As a full disk: whole lines only, one complaint, and on it goes in a new file."""
    limit = 2000
    log = tmp / "logs" / "inferd.ndjson"
    d = start("--log-dir", tmp / "logs", preexec_fn=lambda: resource.setrlimit(
        resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY)))
    for i in range(20):
        ask(d, str(i))
    until(lambda: complaints(d) == 1, "the complaint")
    ask(d, "still")
    assert log.stat().st_size <= limit
    before = lines(log)                     # each of them whole
    log.unlink()
    until(lambda: log.exists() and log.stat().st_size, "a new file")
    assert lines(log)[0]["t"] >= before[-1]["t"]


@pytest.mark.skipif(FACTOR != 1, reason="takes long")
def test_more_lines_than_memory_for_them(start, tmp):
    (tmp / "logs").write_text("in the way")
    d = start("--log-dir", tmp / "logs")
    until(lambda: complaints(d) == 1, "the complaint")
    n = 30000
    with d.client() as c:
        for _ in range(n // 100):
            c.send(b'{"id":"too-many","messages":[]}\n' * 100)
            for _ in range(100):
                assert c.receive()["code"] == "invalid_request"
    (tmp / "logs").unlink()
    until(lambda: "is written again" in d.stderr(), "the recovery")
    d.stop()
    said = lines(tmp / "logs" / "inferd.ndjson")
    kept = sum(e["msg"] == "request_refused" for e in said)
    lost = sum(e["lost"] for e in said if e["msg"] == "lines_lost")
    assert lost > 0 and n * 0.99 < kept + lost < n * 1.01
    assert (tmp / "logs" / "inferd.ndjson").stat().st_size < 4.5 * MIB


def test_a_log_that_cannot_be_written_delays_no_end(start, tmp):
    (tmp / "logs").write_text("in the way")
    d = start("--log-dir", tmp / "logs")
    ask(d)
    d.stop()


# --- the accounts ------------------------------------------------------------

def test_the_log_and_the_accounts_agree(start):
    d = start()
    with d.client() as c:
        for i in range(10):
            c.ask(f"{i}", "say a b c")
            c.answer(f"{i}")
        c.ask("f", "fail unavailable")
        c.error("f")
        for _ in range(3):
            c.send({"messages": []})
            c.receive()
    with d.admin() as a:
        a.send({"op": "stats"})
        while (stats := a.receive())["type"] != "reply":
            pass
    said = [e for e in all_said(d) if e["msg"].startswith("request_")]
    totals = stats["totals"]
    assert totals["requests"] == len(said) == 14
    assert totals["done"] == 10 and totals["failed"] == 1 and totals["refused"] == 3
    assert totals["errors"] == {"backend_unavailable": 1, "invalid_request": 3}
    for key in ("prompt_tokens", "completion_tokens", "cached_tokens"):
        assert totals[key] == sum(e.get(key, 0) for e in said)
    caller, = stats["callers"]
    assert caller["executable"] == os.path.realpath("/proc/self/exe")
    assert caller["totals"]["requests"] == 14
    assert stats["backends"][0]["totals"]["requests"] == 11
