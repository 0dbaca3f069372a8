"""The mock engine keeps the engine protocol, and does what it is told."""
import hashlib
import os
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from daemon import BIN, PATIENCE
from engine_protocol import JSON, Engine, frame, generate, order

MOCK = "inferd-engine-mock"


@pytest.fixture
def mock():
    """mock(options) is a loaded engine; all must have ended well after the test."""
    engines = []

    def make(options=None, **more):
        engines.append(Engine(MOCK, **more))
        if options is not None:
            assert engines[-1].load(options)[-1]["type"] == "ready"
        return engines[-1]

    yield make
    for e in engines:
        e.__exit__(None)


@pytest.fixture
def scripted(mock):
    return mock({"scripted": True})


# --- loading ---

def test_it_tells_a_phase_and_then_that_it_is_ready(mock):
    phase, ready = mock().load({}, slots=7)
    assert (phase["type"], phase["phase"], phase["path"]) == ("phase", "checking_local", "(mock)")
    assert ready["type"] == "ready"
    assert ready["slots"] == 7
    assert ready["accelerator"] == "cpu" and ready["gpu_layers"] == 0
    assert {c for c, has in ready.items() if has is True} == {"v2", "thinking", "grammar"}


def test_loading_takes_the_time_it_was_given(mock):
    began = time.monotonic()
    mock({"load_delay_ms": 150})
    assert time.monotonic() - began >= 0.15


def test_it_answers_pings_while_it_loads(mock):
    e = mock()
    e.order("load", protocol=1, slots=1, options={"load_delay_ms": 60_000})
    assert e.event()["type"] == "phase"
    assert e.ping()[1] == []


def test_requests_that_come_too_early_are_refused(mock):
    e = mock()
    e.generate(3, "x")
    assert e.pieces(3) == ([], {"type": "error", "serial": 3, "code": "backend_unavailable",
                                "message": "backend not ready"})


def test_capabilities_can_be_overridden(mock):
    ready = mock().load({"capabilities": {"tools": True, "thinking": False}})[-1]
    assert ready["tools"] and not ready["thinking"] and ready["v2"]


def test_what_is_not_for_the_mock_is_passed_over(mock):
    e = mock({"kind": "mock", "name": "m", "model": "x", "slots": 3, "x-note": {}})
    e.generate(1, "x")
    assert e.pieces(1)[0] == ["mock-response"]


@pytest.mark.parametrize("options, what", [
    ({"tokens": 5}, "tokens"),
    ({"tokens": ["a", 1]}, "tokens[1]"),
    ({"tokens": {"count": -1}}, "count"),
    ({"tokens": {"size": 0}}, "size"),
    ({"token_delay_ms": "slow"}, "token_delay_ms"),
    ({"token_delay_ms": -1}, "token_delay_ms"),
    ({"load_delay_ms": 1.5}, "load_delay_ms"),
    ({"fail": "often"}, "often"),
    ({"fail": True}, "fail"),
    ({"drop_after": []}, "drop_after"),
    ({"crash_after": 3}, "crash_after"),
    ({"crash_after": {"tokens": 1, "signal": "WINCH"}}, "crash_after"),
    ({"hang_after": "never"}, "hang_after"),
    ({"capabilities": ["tools"]}, "capabilities"),
    ({"capabilities": {"tools": 1}}, "tools"),
    ({"scripted": "yes"}, "scripted"),
])
def test_a_wrong_option_is_named(mock, options, what):
    error = mock().load(options)[-1]
    assert error["type"] == "error" and error["serial"] == 0
    assert what in error["message"]


# --- answers ---

def test_without_options_there_is_one_text(mock):
    e = mock({})
    e.generate(1, "whatever")
    texts, done = e.pieces(1)
    assert texts == ["mock-response"]
    assert done["type"] == "done" and done["stop_reason"] == "end"
    assert (done["prompt_tokens"], done["completion_tokens"], done["cached_tokens"]) == (0, 1, 0)


@pytest.mark.parametrize("tokens, want", [
    (["a", " b", "", "ü😀"], ["a", " b", "", "ü😀"]),
    ([], []),
    ({"count": 3, "size": 5}, ["xxxxx"] * 3),
    ({"count": 0}, []),
    ({"count": 2}, ["x", "x"]),
])
def test_tokens(mock, tokens, want):
    e = mock({"tokens": tokens})
    for serial in (1, 2):
        e.generate(serial, "x")
        texts, done = e.pieces(serial)
        assert texts == want
        assert done["completion_tokens"] == len(want)


def test_tokens_keep_their_pace(mock):
    e = mock({"tokens": {"count": 5}, "token_delay_ms": 30})
    began = time.monotonic()
    e.generate(1, "x")
    times = []
    while e.event()["type"] == "text":
        times.append(time.monotonic() - began)
    assert len(times) == 5
    assert all(t >= 0.03 * (i + 1) - 0.001 for i, t in enumerate(times)), times


def test_the_times_in_done_are_those_of_the_tokens(mock):
    e = mock({"tokens": {"count": 4}, "token_delay_ms": 20})
    asked = time.monotonic()
    e.generate(1, "x")
    assert e.event()["type"] == "text"
    first = time.monotonic() - asked  # or a little earlier
    done = e.pieces(1)[1]
    assert done["first_token_ms"] >= 20
    assert done["generate_ms"] >= 80 - first * 1000
    assert done["first_token_ms"] + done["generate_ms"] >= 79.999


FAILURES = {
    "not_ready": ("backend_unavailable", "backend not ready"),
    "unavailable": ("backend_unavailable", "mock"),
    "invalid_request": ("invalid_request", "mock"),
    "internal": ("internal", "mock"),
}
DROPPED = ("backend_unavailable", "backend ended stream without terminal frame")


def ending(texts_and_end):
    texts, end = texts_and_end
    return texts, (end.get("code"), end.get("message"))


@pytest.mark.parametrize("how", FAILURES)
def test_fail(mock, scripted, how):
    e = mock({"fail": how})
    e.generate(1, "x")
    assert ending(e.pieces(1)) == ([], FAILURES[how])
    scripted.generate(1, f"fail {how}")
    assert ending(scripted.pieces(1)) == ([], FAILURES[how])


@pytest.mark.parametrize("after", [0, 2, 3])
def test_drop_after(mock, after):
    e = mock({"tokens": ["a", "b", "c"], "drop_after": after})
    e.generate(1, "x")
    assert ending(e.pieces(1)) == (["a", "b", "c"][:after], DROPPED)


def test_a_drop_behind_the_end_never_comes(mock):
    e = mock({"tokens": ["a", "b"], "drop_after": 3})
    e.generate(1, "x")
    assert e.pieces(1)[1]["stop_reason"] == "end"


@pytest.mark.parametrize("name", ["KILL", "SEGV", "ABRT", "ILL", "BUS", "FPE", "TERM"])
def test_crash_after(mock, name):
    e = mock({"tokens": ["a", "b", "c"], "crash_after": {"tokens": 2, "signal": name}})
    e.generate(1, "x")
    assert [e.event()["text"] for _ in range(2)] == ["a", "b"]
    assert e.event() is None
    assert e.wait() == -getattr(signal, "SIG" + name)


def test_hang_after(mock):
    e = mock({"tokens": ["a", "b"], "hang_after": 1})
    e.generate(1, "x")
    assert e.event()["text"] == "a"
    e.order("ping")
    e.socket.settimeout(0.3)
    with pytest.raises(AssertionError, match="said nothing"):
        e.event()
    assert e.process.poll() is None
    assert e.kill() == -signal.SIGKILL


# --- commands ---

@pytest.mark.parametrize("command, want", [
    ("say one", ["one"]),
    ("say one two three", ["one", " two", " three"]),
    ("say ü 😀", ["ü", " 😀"]),
    ("  say\n a\t b \n", ["a", " b"]),
    ("say", []),
    ("babble 3 4", ["xxxx"] * 3),
    ("babble 0 4", []),
])
def test_commands_that_say_something(scripted, command, want):
    scripted.generate(1, command)
    texts, done = scripted.pieces(1)
    assert texts == want
    assert (done["stop_reason"], done["completion_tokens"]) == ("end", len(want))
    assert done["prompt_tokens"] == len(command.split())


def test_the_last_user_message_is_the_command(scripted):
    scripted.send(generate(1, [("user", "say no"), ("user", "say yes"),
                               ("assistant", "say maybe")]))
    assert scripted.pieces(1)[0] == ["yes"]


@pytest.mark.parametrize("command, what", [
    ("dance", "'dance'"),
    ("", "''"),
    ("sayonara x", "'sayonara'"),
    ("babble", "number"),
    ("babble 5", "number"),
    ("babble x 5", "number"),
    ("babble 99999999999999999999 5", "number"),
    ("babble 1 0", "size"),
    ("fail softly", "softly"),
    ("crash WINCH", "WINCH"),
    ("ä" * 60, "ääää"),
])
def test_a_command_that_is_none_is_refused(scripted, command, what):
    scripted.generate(1, command)
    texts, error = scripted.pieces(1)
    assert texts == [] and error["code"] == "invalid_request" and what in error["message"]
    scripted.generate(2, "say still here")
    assert len(scripted.pieces(2)[0]) == 2


def test_drop(scripted):
    scripted.generate(1, "drop")
    assert ending(scripted.pieces(1)) == (["dropped"], DROPPED)


def test_crash(scripted):
    scripted.generate(1, "crash SEGV")
    assert scripted.event() is None
    assert scripted.wait() == -signal.SIGSEGV


def test_hang(scripted):
    scripted.generate(1, "hang")
    scripted.order("ping")
    scripted.socket.settimeout(0.3)
    with pytest.raises(AssertionError, match="said nothing"):
        scripted.event()
    scripted.kill()


# --- several at a time ---

def test_hold_holds_until_it_is_cancelled(scripted):
    scripted.generate(1, "hold")
    assert scripted.event()["text"] == "held"
    scripted.generate(2, "say meanwhile")
    assert scripted.pieces(2)[0] == ["meanwhile"]
    scripted.order("cancel", serial=1)
    assert scripted.pieces(1)[1]["stop_reason"] == "cancelled"


def test_cancelling_stops_a_long_answer_in_the_middle(scripted):
    scripted.generate(1, "babble 1000000 1000")
    assert scripted.event()["type"] == "text"
    scripted.order("cancel", serial=1)
    texts, done = scripted.pieces(1)
    assert done["stop_reason"] == "cancelled"
    assert done["completion_tokens"] == len(texts) + 1 < 1_000_000


def test_news_of_the_finished_and_the_unknown_is_no_news(scripted):
    scripted.generate(1, "say x")
    scripted.pieces(1)
    for type in ("cancel", "pause", "resume"):
        scripted.order(type, serial=1)
        scripted.order(type, serial=99)
    assert scripted.ping()[1] == []


def test_pause_and_resume(scripted):
    scripted.generate(1, "babble 3000 1000")
    first = scripted.event()
    scripted.order("pause", serial=1)
    got = [first] + scripted.ping()[1]
    assert len(got) < 3000
    scripted.generate(2, "say meanwhile")
    assert scripted.pieces(2)[0] == ["meanwhile"], "text after the pause was answered"
    assert scripted.ping()[1] == []
    scripted.order("resume", serial=1)
    texts, done = scripted.pieces(1)
    assert len(got) + len(texts) == 3000 and done["stop_reason"] == "end"


def test_a_paused_request_can_be_cancelled(scripted):
    scripted.generate(1, "babble 3000 1000")
    scripted.order("pause", serial=1)
    scripted.ping()
    scripted.order("cancel", serial=1)
    texts, done = scripted.pieces(1)
    assert texts == [] and done["stop_reason"] == "cancelled"


def test_a_pause_is_not_made_up_for(mock):
    e = mock({"tokens": {"count": 3}, "token_delay_ms": 100})
    e.generate(1, "x")
    assert e.event()["type"] == "text"
    e.order("pause", serial=1)
    assert e.ping()[1] == []
    assert not select.select([e.socket], [], [], 0.35)[0]
    resumed = time.monotonic()
    e.order("resume", serial=1)
    assert [e.event()["type"] for _ in range(2)] == ["text"] * 2
    assert time.monotonic() - resumed >= 0.1


def test_a_long_answer_lets_others_through(scripted):
    scripted.generate(1, "babble 100000 1000")
    scripted.event()
    scripted.generate(2, "say quick")
    while True:
        event = scripted.event()
        if event["serial"] == 2:
            break
        assert event["type"] == "text"
    assert event["text"] == "quick"
    scripted.order("cancel", serial=1)


def test_hundreds_at_once_each_get_their_own(scripted):
    n = 300
    scripted.send(b"".join(generate(i, [("user", f"say a{i} b{i} c{i}")])
                           for i in range(1, n + 1)))
    texts = {i: "" for i in range(1, n + 1)}
    ended = set()
    while len(ended) < n:
        event = scripted.event()
        assert event["serial"] not in ended
        if event["type"] == "text":
            texts[event["serial"]] += event["text"]
        else:
            assert event["stop_reason"] == "end"
            ended.add(event["serial"])
    assert texts == {i: f"a{i} b{i} c{i}" for i in texts}


# --- signs of life ---

def test_it_is_busy_only_while_it_has_something_to_say(mock):
    e = mock({"tokens": {"count": 3}, "token_delay_ms": 60_000})
    assert e.ping()[0]["busy"] is False
    e.generate(1, "x")
    assert e.ping()[0]["busy"] is True
    e.order("pause", serial=1)
    assert e.ping()[0]["busy"] is False


def test_progress_grows_with_every_answer(scripted):
    before = scripted.ping()[0]["progress"]
    scripted.generate(1, "say x")
    scripted.pieces(1)
    assert scripted.ping()[0]["progress"] > before


# --- the model file ---

def test_what_it_has_in_hand_is_told_with_the_next_pong(scripted):
    scripted.generate(1, "hold")
    assert scripted.event()["text"] == "held"
    scripted.ping()
    held = scripted.usage
    assert held["context_used"] > 0 and held["context_size"] > held["context_used"]
    assert held["prompt_tokens"] > 0 and held["cached_tokens"] == 0
    scripted.usage = None
    scripted.ping()
    assert scripted.usage is None, "nothing has changed"
    scripted.order("cancel", serial=1)
    scripted.pieces(1)
    scripted.ping()
    assert scripted.usage["context_used"] == 0
    assert scripted.usage["prompt_tokens"] == held["prompt_tokens"]


def test_verify_tells_the_digest_whatever_the_offset_is(mock, tmp_path):
    data = os.urandom(3_000_001)
    (tmp_path / "model").write_bytes(data)
    e = mock(model=tmp_path / "model", model_offset=1000)
    e.order("verify")
    assert e.event() == {"type": "digest", "sha256": hashlib.sha256(data).hexdigest()}
    assert e.load({})[-1]["type"] == "ready"


def test_a_long_verification_shows_that_it_is_alive(mock, tmp_path):
    with open(tmp_path / "model", "wb") as f:
        f.truncate(4 << 30)  # a hole: takes seconds to hash and no room
    e = mock(model=tmp_path / "model")
    e.order("verify")
    first, second = e.event(), e.event()
    assert first["type"] == second["type"] == "pong"
    assert first["busy"] and second["progress"] > first["progress"]
    e.kill()


def test_verify_without_a_file_is_an_error_of_loading(mock):
    e = mock()
    e.order("verify")
    error = e.event()
    assert (error["type"], error["serial"]) == ("error", 0)
    assert "model file" in error["message"]


# --- the end ---

def test_drain_finishes_what_runs_and_takes_no_more(scripted):
    scripted.generate(1, "hold")
    assert scripted.event()["text"] == "held"
    scripted.order("drain")
    scripted.generate(2, "say late")
    assert scripted.pieces(2)[1]["message"] == "backend not ready"
    assert scripted.process.poll() is None
    scripted.order("cancel", serial=1)
    assert scripted.pieces(1)[1]["stop_reason"] == "cancelled"
    assert scripted.event() is None
    assert scripted.wait() == 0


def test_drain_ends_an_idle_engine_at_once(mock):
    for options in (None, {}):
        e = mock(options)
        e.order("drain")
        assert e.event() is None
        assert e.wait() == 0


@pytest.mark.parametrize("command", ["say x", "hold", "babble 100000 1000"])
def test_it_ends_when_the_daemon_hangs_up(scripted, command):
    scripted.generate(1, command)
    scripted.event()
    scripted.socket.close()
    assert scripted.wait() == 0
    assert scripted.stderr() == ""


@pytest.mark.parametrize("rubbish, what", [
    (frame(JSON, b"{"), "JSON"),
    (frame(JSON, b'{"type":"dance"}'), "dance"),
    (frame(JSON, b'{"type":"cancel"}'), "serial"),
    (frame(JSON, b'{"type":"generate","serial":1,"messages":[]}'), "messages"),
    (generate(1, [("user", "x")]).replace(b'"bytes": 1', b'"bytes": 2'), "BLOB of 2 bytes"),
    (generate(1, [("user", "x")])[:-3] + order("ping"), "BLOB of 1 bytes"),
    (frame(9, b"x"), "0x09"),
    (b"\xff\xff\xff\xff\xff\xff\x01", "varint"),
    (b"\xff\xff\xff\xff\x0f\x01", "at most"),
    (order("load", protocol=99, slots=1, options={}), "99"),
    (order("load", protocol=1, slots=1), "options"),
    (order("load", protocol=1, slots=1, options={}) * 2, "twice"),
], ids=lambda v: v if isinstance(v, str) else "")
def test_it_leaves_when_the_daemon_speaks_nonsense(mock, rubbish, what):
    e = mock()
    e.send(rubbish)
    assert e.wait() == 3
    assert e.stderr().count("\n") == 1 and what in e.stderr()


def test_what_comes_with_a_request_does_not_hold_its_answer_back(scripted):
    for behind in (order("ping"), order("cancel", serial=99), order("ping")[:5]):
        scripted.send(generate(1, [("user", "say a")]) + behind)
        events = [scripted.event() for _ in range(3 if behind == order("ping") else 2)]
        assert [e["type"] for e in events if e["type"] != "pong"] == ["text", "done"]


def test_orders_may_arrive_byte_by_byte(scripted):
    for byte in generate(1, [("user", "say slow")]):
        scripted.send(bytes([byte]))
    assert scripted.pieces(1)[0] == ["slow"]


def test_a_prompt_of_the_largest_size_is_taken(scripted):
    text = "x" * (64 * 1024 * 1024 - 100)
    scripted.send(generate(1, [("system", text), ("user", "say yes")]))
    assert scripted.pieces(1)[0] == ["yes"]


@pytest.mark.parametrize("sig", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_whole_group_are_the_daemon_s_to_handle(scripted, sig):
    scripted.process.send_signal(sig)
    assert scripted.ping()[1] == []


def test_started_by_hand_it_says_so():
    run = subprocess.run([BIN / MOCK], stdin=subprocess.DEVNULL, capture_output=True,
                         timeout=PATIENCE)
    assert run.returncode == 2
    assert b"not by hand" in run.stderr


def test_it_dies_with_its_parent():
    """Even if somebody else still holds the other end of its socket."""
    ours, theirs = socket.socketpair()
    ours.settimeout(PATIENCE)
    parent = subprocess.Popen(
        [sys.executable, "-c", "import os, subprocess, sys\n"
         "fd = int(sys.argv[2])\n"
         "p = subprocess.Popen([sys.argv[1]], close_fds=False,\n"
         "                     preexec_fn=lambda: os.dup2(fd, 3))\n"
         "os.close(fd)\n"
         "p.wait()\n", str(BIN / MOCK), str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    try:
        ours.sendall(order("ping"))
        assert b"pong" in ours.recv(1000)
    finally:
        parent.kill()
        parent.wait()
    assert ours.recv(1000) == b""
    ours.close()
