"""inferd-fetch with servers that lie, stall and break off: success, or the right error, and
nothing wrong under the final name."""
import gzip
import threading

import pytest

from fetching import (MIB, Reply, certificate, content_of, fetch, server, servers,  # noqa: F401
                      sha256)

SMALL = content_of(300 * 1000)
LARGE = content_of(20 * MIB + 12345)
OTHER = content_of(20 * MIB + 12345, seed=2)


def waits(result):
    return [e for e in result.of("download") if "retry_in_seconds" in e]


def first(n, bad, good):
    """The first n requests are answered by `bad`, the others by `good`."""
    return lambda q: (bad if q.n < n else good)(q)


# --- ranges -----------------------------------------------------------------------


@pytest.mark.parametrize("content", [SMALL, LARGE], ids=["small", "large"])
def test_ranges_are_ignored(server, fetch, content):
    server.serve(content)
    server.answer = server.whole
    r = fetch(content, server.url())
    assert r.code == 0 and fetch.has(content)
    assert len(server.requests) == 1 and server.sent == len(content)


def test_ranges_are_ignored_from_some_point_on(server, fetch):
    server.serve(LARGE)
    server.answer = lambda q: server.file(q) if q.n < 2 else server.whole(q)
    assert fetch(LARGE, server.url()).code == 0 and fetch.has(LARGE)


def test_a_whole_answer_is_never_appended(server, fetch):
    """The first try breaks off; the second gets everything and not the rest."""
    server.serve(SMALL)

    def answer(q):
        reply = server.file(q) if q.n == 0 else server.whole(q)
        reply.chop = 200000 if q.n == 0 else None
        return reply
    server.answer = answer
    r = fetch(SMALL, server.url())
    assert r.code == 0 and fetch.has(SMALL)
    assert server.requests[1].span[0] == 200000
    assert any("restarted_because" in e for e in r.of("download"))


def test_a_whole_answer_without_a_length(server, fetch):
    server.serve(SMALL)

    def answer(q):
        reply = server.whole(q)
        reply.headers["Content-Length"] = None
        return reply
    server.answer = answer
    assert fetch(SMALL, server.url()).code == 0 and fetch.has(SMALL)


def test_an_empty_file(server, fetch):
    server.serve(b"")
    server.answer = server.whole
    assert fetch(SMALL, server.url(), "--retries", 0).failed(4, "transport", "empty")


@pytest.mark.parametrize("wrong", ["bytes 1-300000/300001", "bytes 0-299998/300000", "bytes 0-1/2/3",
                                   "bytes 0-299999/*", "lines 0-299999/300000", None])
def test_a_wrong_content_range(server, fetch, wrong):
    server.serve(SMALL)

    def answer(q):
        reply = server.file(q)
        reply.headers["Content-Range"] = wrong
        return reply
    server.answer = answer
    assert fetch(SMALL, server.url()).failed(4, "transport", "Content-Range")
    assert fetch.lacks(SMALL) and fetch.partial(SMALL).stat().st_size == 0


# --- another file -------------------------------------------------------------------


def test_the_etag_changes_midway(server, fetch):
    server.serve(OTHER)

    def answer(q):
        if q.n == 2:
            server.content, server.etag = LARGE, '"two"'
        return server.file(q)
    server.answer = answer
    r = fetch(LARGE, server.url())
    assert r.code == 0 and fetch.has(LARGE)
    assert "the file has changed on the server" in [
        e.get("restarted_because") for e in r.of("download")]
    assert "changed on the server" in r.stderr


def test_the_etag_changes_all_the_time(server, fetch):
    server.serve(LARGE)

    def answer(q):
        server.etag = f'"{q.n}"'
        return server.file(q)
    server.answer = answer
    assert fetch(LARGE, server.url()).failed(4, "transport", "keeps changing")
    assert fetch.lacks(LARGE)


def test_between_two_runs_it_became_another_file(server, fetch):
    """Of another size, of another ETag, or shorter than what is there."""
    for before in (OTHER + b"more", OTHER, LARGE + OTHER):
        server.serve(before)
        server.etag = f'"{len(before)}"'
        stop_midway(server, fetch, LARGE, at=15 * MIB if len(before) < 30 * MIB else 35 * MIB)
        server.serve(LARGE)
        server.etag = '"now"'
        r = fetch(LARGE, server.url())
        assert r.code == 0 and fetch.has(LARGE)
        fetch.blob(LARGE).unlink()
        fetch.blob(LARGE).parent.rmdir()


def stop_midway(server, fetch, content, at):
    """Kill a download when the server has sent so much."""
    reached, sent = threading.Event(), server.sent
    server.on_sent = lambda n: n - sent >= at and reached.set()
    p = fetch.start(content, server.url())
    assert reached.wait(60), "it does not get there"
    p.kill()
    fetch.finish(p)
    server.on_sent = lambda n: None
    assert fetch.partial(content).exists()


# --- lengths ------------------------------------------------------------------------


def test_content_length_is_longer_than_the_body(server, fetch):
    server.serve(SMALL)

    def answer(q):
        reply = server.whole(q)
        reply.headers["Content-Length"] = len(SMALL) + 1000
        reply.chop = len(SMALL)
        return reply
    server.answer = answer
    assert fetch(SMALL, server.url(), "--retries", 1).failed(4, "transport", "attempt 2 of 2")
    assert fetch.lacks(SMALL)


def test_content_length_contradicts_content_range(server, fetch):
    server.serve(SMALL)

    def answer(q):
        reply = server.file(q)
        reply.headers["Content-Length"] = len(SMALL) - 1000
        return reply
    server.answer = answer
    assert fetch(SMALL, server.url()).failed(4, "transport", "Content-Length")


def test_a_range_is_longer_than_announced(server, fetch):
    """Without a length, so that only counting can find it."""
    server.serve(SMALL)

    def answer(q):
        reply = server.file(q)
        reply.headers["Content-Length"] = None
        reply.extra = b"appended" * 100
        return reply
    server.answer = answer
    assert fetch(SMALL, server.url()).failed(4, "transport", "longer than the announced")
    assert fetch.lacks(SMALL)


def test_a_whole_file_is_longer_than_pinned(server, fetch):
    server.serve(SMALL)

    def answer(q):
        reply = server.whole(q)
        reply.headers["Content-Length"] = None
        reply.extra = b"appended"
        return reply
    server.answer = answer
    assert fetch(SMALL, server.url(), "--size", len(SMALL)).failed(12, "size_mismatch")
    assert fetch.lacks(SMALL)


def test_what_follows_a_body_is_not_read(server, fetch):
    server.serve(LARGE)

    def answer(q):
        reply = server.file(q)
        reply.extra = b"appended" * 1000
        return reply
    server.answer = answer
    assert fetch(LARGE, server.url()).code == 0 and fetch.has(LARGE)


def test_bodies_break_off(server, fetch):
    """Each but the last; what came is kept and not asked for again."""
    server.serve(SMALL)

    def answer(q):
        reply = server.file(q)
        reply.chop = 100000 if len(reply.body) > 100000 else None
        return reply
    server.answer = answer
    r = fetch(SMALL, server.url())
    assert r.code == 0 and fetch.has(SMALL)
    assert [q.span[0] for q in server.requests] == [0, 100000, 200000]
    assert server.sent == len(SMALL) and len(waits(r)) == 2


def test_bodies_that_always_break_off(server, fetch):
    server.serve(SMALL)

    def answer(q):
        reply = server.file(q)
        reply.chop = 100
        return reply
    server.answer = answer
    r = fetch(SMALL, server.url(), "--retries", 2)
    assert r.failed(4, "transport", "attempt 3 of 3", "300 bytes are kept")
    assert fetch.partial(SMALL).read_bytes() == SMALL[:300]
    server.answer = server.file
    assert fetch(SMALL, server.url()).code == 0 and fetch.has(SMALL)
    assert server.requests[-1].span[0] == 300


# --- time ---------------------------------------------------------------------------


def test_a_stalled_connection_is_dialled_again(server, fetch):
    server.serve(LARGE)
    never = threading.Event()

    def answer(q):
        reply = server.file(q)
        if q.n == 1:
            reply.hold = never
        return reply
    server.answer = answer
    r = fetch(LARGE, server.url(), "--stall-seconds", 1)
    never.set()
    assert r.code == 0 and fetch.has(LARGE)
    stalled = server.requests[1].span
    assert [q.span for q in server.requests].count(stalled) == 2


def test_one_byte_per_second_is_a_stall(server, fetch):
    server.serve(SMALL)

    def answer(q):
        reply = server.file(q)
        reply.pace = 1
        return reply
    server.answer = answer
    r = fetch(SMALL, server.url(), "--stall-seconds", 2, "--retries", 1)
    assert r.failed(4, "transport", "attempt 2 of 2") and fetch.lacks(SMALL)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_recovers(server, fetch, status):
    server.serve(SMALL)
    server.answer = first(1, lambda q: Reply(status, {"Retry-After": "1"}), server.file)
    r = fetch(SMALL, server.url())
    assert r.code == 0 and fetch.has(SMALL)
    wait, = waits(r)
    assert wait["retry_in_seconds"] >= 1 and f"http status {status}" in wait["waiting_for"]
    assert (wait["attempt"], wait["attempts"]) == (2, 9)


def test_a_server_that_stays_busy(server, fetch):
    server.answer = lambda q: Reply(503)
    r = fetch(SMALL, server.url(), "--retries", 2)
    assert r.failed(5, "http_status", "http status 503", "attempt 3 of 3")
    assert len(server.requests) == 3 and len(waits(r)) == 2
    assert waits(r)[0]["retry_in_seconds"] <= 0.5 <= 2 * waits(r)[1]["retry_in_seconds"]


def test_nobody_waits_for_hours(server, fetch):
    server.answer = lambda q: Reply(429, {"Retry-After": "86400"})
    assert fetch(SMALL, server.url()).failed(5, "http_status", "http status 429")
    assert len(server.requests) == 1


# --- encodings ----------------------------------------------------------------------


def test_an_encoded_body_is_refused(server, fetch):
    packed = gzip.compress(SMALL)
    server.answer = lambda q: Reply(200, {"Content-Encoding": "gzip"}, packed)
    assert fetch(SMALL, server.url()).failed(4, "transport", "encoded ('gzip')")
    assert fetch.lacks(SMALL)


def test_an_encoded_body_that_does_not_say_so(server, fetch):
    packed = gzip.compress(SMALL)
    server.answer = lambda q: Reply(200, {}, packed)
    assert fetch(SMALL, server.url()).failed(7, "hash_mismatch", sha256(packed))
    assert fetch.lacks(SMALL)


# --- the journal --------------------------------------------------------------------


def test_a_killed_download_goes_on_where_it_was(server, fetch):
    server.serve(LARGE)
    stop_midway(server, fetch, LARGE, at=12 * MIB)
    before = server.sent
    r = fetch(LARGE, server.url())
    assert r.code == 0 and fetch.has(LARGE)
    resumed = r.of("download")[0]["resumed_bytes"]
    assert resumed > 4 * MIB and server.sent - before == len(LARGE) - resumed


def test_after_a_restart_of_the_machine_only_flushed_bytes_count(server, fetch):
    server.serve(LARGE)
    stop_midway(server, fetch, LARGE, at=12 * MIB)
    journal = fetch.partial(LARGE).parent / "journal"
    page = bytearray(journal.read_bytes())
    assert page[4096 + 24:4096 + 60].count(b"-") == 4  # the boot id
    page[4096:8192] = bytes(4096)  # as a torn page would look
    journal.write_bytes(page)
    r = fetch(LARGE, server.url())
    assert r.code == 0 and fetch.has(LARGE)


@pytest.mark.parametrize("harm", ["garbage", "empty", "cut", "short data"])
def test_a_damaged_journal_is_no_journal(server, fetch, harm):
    server.serve(LARGE)
    stop_midway(server, fetch, LARGE, at=12 * MIB)
    journal = fetch.partial(LARGE).parent / "journal"
    if harm == "garbage":
        journal.write_bytes(content_of(16384))
    elif harm == "empty":
        journal.write_bytes(b"")
    elif harm == "cut":
        journal.write_bytes(journal.read_bytes()[:4110])
    else:
        with open(fetch.partial(LARGE), "r+b") as f:
            f.truncate(1000)
    before = server.sent
    assert fetch(LARGE, server.url()).code == 0 and fetch.has(LARGE)
    assert server.sent - before == len(LARGE)


def test_a_partial_of_somebody_else_is_written_anew(server, fetch):
    """One without a journal, as the reference leaves it."""
    server.serve(SMALL)
    fetch.partial(SMALL).parent.mkdir(parents=True)
    fetch.partial(SMALL).write_bytes(b"x" * 1000000)
    assert fetch(SMALL, server.url()).code == 0 and fetch.has(SMALL)


def test_another_mirror_goes_on_with_the_same_bytes(servers, fetch):
    one, two = servers(), servers()
    one.serve(LARGE)
    two.serve(LARGE)
    two.etag = '"of another machine"'
    stop_midway(one, fetch, LARGE, at=12 * MIB)
    assert fetch(LARGE, two.url()).code == 0 and fetch.has(LARGE)
    assert two.sent < len(LARGE)


def test_planted_links_are_refused(server, fetch):
    server.serve(SMALL)
    target = fetch.root / "target"
    target.write_text("mine")
    fetch.partial(SMALL).parent.mkdir(parents=True)
    for name in ("data.tmp", "journal"):
        planted = fetch.partial(SMALL).parent / name
        if name == "journal":
            fetch.partial(SMALL).write_bytes(SMALL[:100])
        planted.symlink_to(target)
        assert fetch(SMALL, server.url()).failed(6, "io", "symbolic link")
        assert target.read_text() == "mine"
        planted.unlink()
