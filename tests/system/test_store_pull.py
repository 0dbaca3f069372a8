"""inferdctl pull and verify --repair, with the real inferd-fetch and a server on loopback."""
import json
import os
import re
import signal
import subprocess

import pytest

from daemon import alive, processes, until
from fetching import (MIB, PATIENCE, Reply, certificate, content_of, server, servers,  # noqa: F401
                      sha256)
from terminal import Terminal
from test_store_commands import INFERDCTL, Store

CONTENT = content_of(300 * 1000)
SLOW = content_of(3 * MIB)


@pytest.fixture
def store(tmp, certificate):  # noqa: F811
    s = Store(tmp)
    s.env["INFERD_CA_FILE"] = str(certificate)
    return s


def order(content, url, name="mine"):
    return ["pull", "--name", name, "--url", url, "--sha256", sha256(content),
            "--size", str(len(content))]


def dripping(server):  # noqa: F811
    """The server sends so slowly that whoever waits for the end waits for very long."""
    def answer(request):
        reply = server.file(request)
        reply.pace = 64 * 1024
        return reply
    server.answer = answer


def fetcher_of(pid):
    return next(p for p, name in processes(pid).items() if name.startswith("inferd-fetch"))


# --- pull ----------------------------------------------------------------------------------


def test_pull_says_what_it_does_and_prints_the_path(store, server):  # noqa: F811
    server.serve(CONTENT)
    run = store(*order(CONTENT, server.url()))
    blob = store.blob(sha256(CONTENT))
    assert (run.returncode, run.stdout) == (0, f"{blob}\n")
    assert blob.read_bytes() == CONTENT
    first, *progress, last = run.stderr.splitlines()
    assert first == f"inferdctl: pulling mine -> {store.root}"
    assert last == f"inferdctl: blob ready at {blob}"
    assert progress and all(line.startswith("inferdctl: mine: ") for line in progress)
    assert "293.0 KiB of 293.0 KiB" in progress[-1] and "\x1b" not in run.stderr
    assert store.json("list")[0]["source"]["registry"] == "localhost"

    asked = len(server.requests)
    run = store(*order(CONTENT, server.url()))
    assert run.returncode == 0 and run.stderr.splitlines() == [first, last]
    assert len(server.requests) == asked


def test_json_is_what_the_fetcher_tells(store, server):  # noqa: F811
    server.serve(CONTENT)
    events = store.json(*order(CONTENT, server.url()))
    assert [e.get("phase") for e in events if e["type"] == "status"][0] == "checking_local"
    assert {"checking_local", "download", "verify"} == {e["phase"] for e in events[:-1]}
    assert (events[-1]["type"], events[-1]["path"]) == ("done", str(store.blob(sha256(CONTENT))))


@pytest.mark.parametrize("flags, complaint", [
    (["--url", "http://localhost/x"], 'model URL must be https:// (got "http://localhost/x")'),
    (["--size", "7"], "the model has 7"),
    (["--size", "many"], "--size is 'many'; it must be a whole number"),
    (["--connections", "0"], "--connections is '0'"),
    (["--header-env", "NOT_THERE"], "--header-env NOT_THERE: there is no such variable"),
    (["--offline"], "--offline was given"),
    (["--sha256", "0" * 64], "SHA-256 mismatch (expected " + "0" * 64),
])
def test_a_pull_that_fails_says_why_once_and_ends_with_2(store, server, flags, complaint):  # noqa: F811
    server.serve(CONTENT)
    run = store(*order(CONTENT, server.url()), *flags)
    assert (run.returncode, run.stdout) == (2, "")
    assert re.search(r"^error: fetch failed: ", run.stderr, re.M) and complaint in run.stderr
    assert run.stderr.count(complaint) == 1
    assert store("list", "--json").stdout == ""


def test_json_of_a_failure(store, server):  # noqa: F811
    server.serve(CONTENT)
    run = store(*order(CONTENT, server.url()), "--offline", "--json")
    assert run.returncode == 2 and run.stderr.startswith("error: fetch failed: ")
    last = json.loads(run.stdout.splitlines()[-1])
    assert (last["type"], last["code"]) == ("error", "offline")


def test_options_reach_the_fetcher(store, server):  # noqa: F811
    server.serve(CONTENT)
    run = store(*order(CONTENT, server.url()), "--header-env", "SECRET", "--connections=2",
                "--limit-rate", "100000000", SECRET="X-Token: hush")
    assert run.returncode == 0
    assert server.requests[0].headers["x-token"] == "hush"
    assert "hush" not in run.stderr


def test_what_another_tool_has_is_taken_from_there(store, server, tmp):  # noqa: F811
    cache = tmp / "cache"
    cache.mkdir()
    (cache / f"sha256-{sha256(CONTENT)}").write_bytes(CONTENT)
    run = store(*order(CONTENT, server.url()), "--adopt-dir", cache)
    assert run.returncode == 0 and server.requests == []
    assert re.search(rf"^inferdctl: took '{cache}/sha256-\w+' in \(\w+\): 293.0 KiB need not be "
                     "downloaded$", run.stderr, re.M)


def test_one_pull_at_a_time_or_one_after_the_other(store, server):  # noqa: F811
    server.serve(CONTENT)
    with store.locked("mine"):
        run = store(*order(CONTENT, server.url()))
        assert run.returncode == 2
        assert run.stderr.endswith('error: fetch failed: model "mine" is being fetched by another '
                                   "process\n")


def test_the_bar_grows_and_is_gone_at_the_end(store, server):  # noqa: F811
    server.serve(CONTENT)
    with Terminal([INFERDCTL, *order(CONTENT, server.url())], store.env) as t:
        assert t.end() == 0
        blob = store.blob(sha256(CONTENT))
        assert re.search(rb"\rmine  |\x1b\[Kmine  \[=+\]  100%  293.0 of 293.0 KiB", t.raw)
        assert b"mine  verifying" in t.raw
        assert t.screen() == [f"inferdctl: pulling mine -> {store.root}",
                              f"inferdctl: blob ready at {blob}", str(blob)]


def stop_half_way(store, server):  # noqa: F811
    """Ctrl-C in the middle of a download; what the terminal shows then."""
    server.serve(SLOW)
    dripping(server)
    with Terminal([INFERDCTL, *order(SLOW, server.url())], store.env) as t:
        t.await_text("of 3.0 MiB")
        fetcher = fetcher_of(t.process.pid)
        until(lambda: server.sent > 40 * 1000, "some of it")
        t.type("\x03")
        assert t.end() == 130
        until(lambda: not alive(fetcher), "the end of inferd-fetch")
        assert not store.blob(sha256(SLOW)).exists()
        server.answer = server.file
        return t.screen()


def test_ctrl_c_leaves_a_clean_line_and_a_download_that_goes_on(store, server):  # noqa: F811
    assert stop_half_way(store, server) == [
        f"inferdctl: pulling mine -> {store.root}",
        "inferdctl: stopped; what has arrived is kept, and the same command goes on from there"]
    run = store(*order(SLOW, server.url()))
    assert run.returncode == 0
    assert run.stderr.count("inferdctl: going on where an earlier download ended: ") == 1
    assert store.blob(sha256(SLOW)).read_bytes() == SLOW


def test_a_download_that_starts_over_says_so(store, server):  # noqa: F811
    stop_half_way(store, server)
    server.etag = '"two"'
    run = store(*order(SLOW, server.url()))
    assert run.returncode == 0
    assert re.search("^inferdctl: starting over: .", run.stderr, re.M)
    assert store.blob(sha256(SLOW)).read_bytes() == SLOW


@pytest.mark.parametrize("number, code", [
    (signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_the_fetcher_ends_with_the_command_that_started_it(store, server, number, code):  # noqa: F811
    """By a signal to that command alone."""
    server.serve(SLOW)
    dripping(server)
    run = subprocess.Popen([INFERDCTL, *order(SLOW, server.url())], env=store.env, text=True,
                           stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    while "3.0 MiB" not in (line := run.stderr.readline()):
        assert line, "it ended"
    fetcher = fetcher_of(run.pid)
    run.send_signal(number)
    _, err = run.communicate(timeout=PATIENCE)
    assert run.returncode == code
    assert number == signal.SIGKILL or "inferdctl: stopped; what has arrived is kept" in err
    until(lambda: not alive(fetcher), "the end of inferd-fetch")


def test_nobody_reads_the_events(store, server):  # noqa: F811
    server.serve(SLOW)
    dripping(server)
    read, write = os.pipe()
    os.close(read)
    run = subprocess.run([INFERDCTL, *order(SLOW, server.url()), "--json"], env=store.env,
                         stdout=write, stderr=subprocess.PIPE, timeout=PATIENCE)
    os.close(write)
    assert (run.returncode, run.stderr) == (141, b"")
    assert not store.blob(sha256(SLOW)).exists()


def test_a_server_that_is_busy_is_waited_for_and_that_is_said(store, server):  # noqa: F811
    server.serve(CONTENT)
    server.answer = lambda r: Reply(503, {"Retry-After": "1"}) if r.n == 0 else server.file(r)
    run = store(*order(CONTENT, server.url()))
    assert run.returncode == 0
    assert re.search(r"^inferdctl: .*503.*; trying again in \d+ s \(attempt 2 of \d+\)$", run.stderr, re.M)


# --- verify --repair -------------------------------------------------------------------------


def broken(store, server):  # noqa: F811
    """Three models: right, wrong and missing."""
    for name, seed in ("good", 1), ("bad", 2), ("gone", 3):
        content = content_of(1000 * seed, seed)
        server.serve(content)
        assert store(*order(content, server.url(), name)).returncode == 0
    bad, gone = (store.blob(sha256(content_of(1000 * n, n))) for n in (2, 3))
    bad.write_bytes(b"x" * 2000)
    gone.unlink()
    return bad, gone


def test_repair_brings_only_what_is_wrong(store, server):  # noqa: F811
    bad, gone = broken(store, server)
    server.requests.clear()
    for name, seed in ("bad", 2), ("gone", 3), ("good", 1):
        server.serve(content_of(1000 * seed, seed))
        run = store("verify", name, "--repair", "--url", server.url())
        assert run.returncode == 0, run.stderr
    assert len(server.requests) == 2
    run = store("verify")
    assert (run.returncode, run.stdout) == (0, "bad: right\ngone: right\ngood: right\n")
    wrong, = (store.root / "locks" / "quarantine").glob("*-sha-mismatch.bin")
    assert wrong.read_bytes() == b"x" * 2000


def test_repair_of_a_model_that_came_from_nowhere(store, server):  # noqa: F811
    bad, gone = broken(store, server)
    server.requests.clear()
    run = store("verify", "--all", "--repair")
    assert run.returncode == 2 and server.requests == []
    assert "bad: wrong: expected" in run.stdout and "good: right" in run.stdout
    assert "the store does not know where gone came from: give --url, or import" in run.stderr
    assert not bad.exists()


def test_repair_from_another_tool(store, server, tmp):  # noqa: F811
    broken(store, server)
    cache = tmp / ".ollama" / "models" / "blobs"
    cache.mkdir(parents=True)
    for n in 2, 3:
        content = content_of(1000 * n, n)
        (cache / f"sha256-{sha256(content)}").write_bytes(content)
    run = store("verify", "--repair")
    assert run.returncode == 0
    assert [line for line in run.stdout.splitlines() if "repaired" in line or "right" in line] == \
        ["bad: repaired", "gone: repaired", "good: right"]
    verdicts = [e for e in store.json("verify", "--repair") if e["type"] == "verified"]
    assert [v["verdict"] for v in verdicts] == ["right"] * 3


def test_repair_keeps_its_hands_off_what_others_work_on(store, server):  # noqa: F811
    bad, _ = broken(store, server)
    with store.locked("bad"):
        run = store("verify", "bad", "--repair")
    assert run.returncode == 2 and "is being written by another process" in run.stderr
    assert bad.read_bytes() == b"x" * 2000
