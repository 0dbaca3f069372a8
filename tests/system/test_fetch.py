"""inferd-fetch with servers that behave: what it does, says and leaves."""
import contextlib
import fcntl
import os
import re
import socket
import subprocess
import sys
import threading
import time
import types

import pytest

from fetching import (FACTOR, MIB, Reply, certificate, content_of, fetch, server,  # noqa: F401
                      servers, sha256)

SMALL = content_of(300 * 1000)
LARGE = content_of(20 * MIB + 12345)


# --- bringing a model -----------------------------------------------------------


def test_a_model_is_downloaded_verified_and_published(server, fetch):
    server.serve(SMALL)
    r = fetch(SMALL, server.url("/a/model.gguf?secret=1"), "--license", "apache-2.0")
    assert r.code == 0 and fetch.has(SMALL)
    assert r.phases() == ["checking_local", "download", "verify"]
    assert r.last["type"] == "done" and r.last["how"] == "download"
    assert r.last["transferred_bytes"] == len(SMALL)
    m = fetch.manifest()
    assert m["source"] == {"registry": "localhost", "repo": "", "revision": "",
                           "filename": "model.gguf"}
    assert m["license"] == "apache-2.0" and m["produced_by"].startswith("inferd/")
    assert "secret" not in r.stdout + r.stderr


def test_progress_is_in_the_words_of_the_admin_socket(server, fetch):
    server.serve(SMALL)
    r = fetch(SMALL, server.url())
    for e in r.events[:-1]:
        assert (e["id"], e["type"], e["status"]) == ("admin", "status", "loading_model")
        assert list(e) == sorted(e)
    first, *_, last = r.of("download")
    assert first["source_url"] == server.url()
    assert last["downloaded_bytes"] == last["total_bytes"] == len(SMALL)
    assert last["eta_seconds"] == 0 and last["rate_bytes_per_second"] >= 0
    assert r.of("verify")[0]["path"] == str(fetch.partial(SMALL))


def test_a_model_that_is_there_needs_no_network_and_no_hash(server, fetch):
    server.serve(SMALL)
    assert fetch(SMALL, server.url()).code == 0
    asked = len(server.requests)
    r = fetch(SMALL, server.url(), "--offline")
    assert r.code == 0 and r.last["how"] == "manifest" and r.phases() == ["checking_local"]
    assert len(server.requests) == asked


def test_a_blob_without_a_manifest_is_hashed_and_named(server, fetch):
    server.serve(SMALL)
    assert fetch(SMALL, server.url()).code == 0
    r = fetch(SMALL, None, name="other")
    assert r.code == 0 and r.last["how"] == "blob" and fetch.has(SMALL, "other")


def test_a_blob_with_wrong_bytes_is_quarantined_and_brought_again(server, fetch):
    server.serve(SMALL)
    assert fetch(SMALL, server.url()).code == 0
    (fetch.store / "manifests" / "model.json").unlink()
    fetch.blob(SMALL).write_bytes(b"x" * len(SMALL))
    r = fetch(SMALL, server.url())
    assert r.code == 0 and fetch.has(SMALL)
    q, = r.of("quarantine")
    assert q["expected_sha256"] == sha256(SMALL) and q["path"] == str(fetch.blob(SMALL))
    assert [str(p) for p in fetch.quarantined()] == [q["quarantine_path"]]


def test_a_large_file_comes_over_several_connections(server, fetch):
    server.serve(LARGE)
    r = fetch(LARGE, server.url())
    assert r.code == 0 and fetch.has(LARGE)
    assert len({q.connection for q in server.requests}) > 1
    spans = sorted(q.span for q in server.requests)
    assert [s[0] for s in spans] == [0, 8 * MIB, 16 * MIB]
    assert r.last["transferred_bytes"] == len(LARGE)


def test_one_connection_is_enough(server, fetch):
    server.serve(LARGE)
    assert fetch(LARGE, server.url(), "--connections", 1).code == 0 and fetch.has(LARGE)
    assert len({q.connection for q in server.requests}) == 1


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "one stream"])
def test_a_rate_limit_is_kept(server, fetch, ranges):
    content = LARGE[:4 * MIB]  # what a second may bring may come at once
    server.serve(content)
    server.answer = server.file if ranges else server.whole
    started = time.monotonic()
    r = fetch(content, server.url(), "--limit-rate", MIB, "--connections", 1 if ranges else 4)
    seconds = time.monotonic() - started
    assert r.code == 0 and 2 < seconds
    if not ranges:  # a quarter of the rate would take twice as long
        assert seconds < 8 * FACTOR


def test_what_is_asked_for(server, fetch):
    server.serve(SMALL)
    assert fetch(SMALL, server.url()).code == 0
    headers = server.requests[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["user-agent"].startswith("inferd-fetch/")
    assert "authorization" not in headers


# --- the kinds of failure -------------------------------------------------------


def test_only_https(fetch):
    for url in ("http://localhost/x", "ftp://localhost/x", "file:///etc/passwd", "localhost/x"):
        assert fetch(SMALL, url).failed(3, "insecure_url", "model URL must be https:// (got ", url)
    r = fetch(SMALL, "https://me:hunter2@localhost/x")
    assert r.failed(3, "insecure_url") and "hunter2" not in r.stdout + r.stderr
    assert fetch.lacks(SMALL)


def test_nobody_there(servers, fetch):
    s = servers()
    url = s.url()
    s.close()
    s.close = lambda: None
    r = fetch(SMALL, url, "--retries", 1)
    assert r.failed(4, "transport", "http transport: " + url, "attempt 2 of 2")
    assert [e["waiting_for"] for e in r.of("download") if "retry_in_seconds" in e]


def test_a_certificate_of_somebody_else(server, fetch):
    server.serve(SMALL)
    r = fetch(SMALL, server.url(), env={"INFERD_CA_FILE": ""})
    assert r.failed(4, "transport", "certificate") and fetch.lacks(SMALL)
    assert server.requests == []


def test_http_status(server, fetch):
    server.answer = lambda q: Reply(404, body=b"no such thing")
    assert fetch(SMALL, server.url()).failed(5, "http_status", "http status 404")
    assert len(server.requests) == 1 and fetch.lacks(SMALL)


def test_wrong_bytes_are_quarantined_and_never_published(server, fetch):
    server.serve(SMALL[:-1] + b"?")
    r = fetch(SMALL, server.url())
    quarantined, = fetch.quarantined()
    assert r.failed(7, "hash_mismatch", f"SHA-256 mismatch (expected {sha256(SMALL)}, "
                    f"got {sha256(server.content)}); quarantined to {quarantined}")
    assert r.phases()[-2:] == ["verify", "quarantine"]
    assert quarantined.read_bytes() == server.content and fetch.lacks(SMALL)
    assert not fetch.partial(SMALL).parent.exists()


def test_the_place_of_the_blob_is_taken(server, fetch):
    server.serve(SMALL)

    def get_in_the_way(_):
        fetch.blob(SMALL).mkdir(parents=True, exist_ok=True)
        (fetch.blob(SMALL) / "x").touch()

    server.on_sent = get_in_the_way
    assert fetch(SMALL, server.url()).failed(8, "finalise", "finalise")


def test_the_store_is_no_directory(server, fetch):
    fetch.store.write_text("")
    assert fetch(SMALL, server.url()).failed(6, "io")


def test_no_source(fetch):
    r = fetch(SMALL)
    assert r.failed(10, "no_source", 'model "model" has no source_url and no manifest exists')


def test_offline(server, fetch):
    r = fetch(SMALL, server.url(), "--offline")
    assert r.failed(11, "offline", "inferdctl import --name model") and server.requests == []


def test_another_size_than_the_models(server, fetch):
    server.serve(SMALL)
    r = fetch(SMALL, server.url(), "--size", len(SMALL) + 1)
    assert r.failed(12, "size_mismatch", str(len(SMALL)), str(len(SMALL) + 1))
    assert not fetch.partial(SMALL).exists() or fetch.partial(SMALL).stat().st_size == 0
    assert fetch(SMALL, server.url(), "--size", len(SMALL)).code == 0


def test_no_room_is_said_before_the_first_byte(server, fetch):
    size = 1 << 55
    server.answer = lambda q: Reply(206, {"Content-Range": f"bytes 0-{q.span[1]}/{size}",
                                          "Content-Length": q.span[1] + 1}, b"x", chop=1)
    assert fetch(SMALL, server.url()).failed(13, "no_space")
    assert fetch.partial(SMALL).stat().st_size == 0


def test_when_nobody_listens_any_more_it_ends_and_keeps_what_it_has(server, fetch):
    server.serve(LARGE)

    def slowly(q):
        reply = server.file(q)
        reply.pace = 8 * MIB
        return reply
    server.answer = slowly
    reached = threading.Event()
    server.on_sent = lambda sent: sent >= 4 * MIB and reached.set()
    p = fetch.start(LARGE, server.url(), "--connections", 1)
    assert reached.wait(60)
    p.stdout.close()
    with p.stderr:
        said = p.stderr.read()
    assert p.wait(60) == 6 and "standard output was closed" in said
    assert fetch.partial(LARGE).stat().st_size > 0
    server.answer = server.file
    assert fetch(LARGE, server.url()).code == 0 and fetch.has(LARGE)


@pytest.mark.parametrize("flags", [
    ["--name", "../../x"], ["--name", "CON"], ["--name", ""], ["--sha256", "a" * 63],
    ["--sha256", "a" * 65], ["--sha256", "A" * 64], ["--sha256", "../" + "a" * 61],
    ["--connections", "0"], ["--connections", "9"], ["--size", "-1"], ["--size", "0x10"],
    ["--limit-rate", "fast"], ["--header-env", "NOT_SET"], ["--what"], ["word"], ["--url"]])
def test_wrong_orders_create_nothing(fetch, flags):
    assert fetch(SMALL, "https://localhost/x", *flags).failed(2, "usage")
    assert not fetch.store.exists()


# --- locks ----------------------------------------------------------------------


def hold_lock(fetch):
    (fetch.store / "locks").mkdir(parents=True, exist_ok=True)
    f = open(fetch.store / "locks" / "model.lock", "w")
    fcntl.flock(f, fcntl.LOCK_EX)
    return f


def test_a_name_that_somebody_works_on(server, fetch):
    with hold_lock(fetch):
        r = fetch(SMALL, server.url())
    assert r.failed(9, "lock_contended", 'model "model" is being fetched by another process')
    assert server.requests == []


def test_waiting_for_the_other(server, fetch):
    server.serve(SMALL)
    with hold_lock(fetch):
        p = fetch.start(SMALL, server.url(), "--wait")
        seen = ""
        while "waiting_for" not in seen:
            seen = p.stdout.readline()
            assert seen, "it ended instead of waiting"
    assert fetch.finish(p).code == 0 and fetch.has(SMALL)


def test_two_at_once_make_one_blob(server, fetch):
    server.serve(LARGE)
    both = [fetch.start(LARGE, server.url(), "--wait") for _ in range(2)]
    ends = sorted(fetch.finish(p).last["how"] for p in both)
    assert ends == ["download", "manifest"] and fetch.has(LARGE)
    assert server.sent == len(LARGE)


def test_two_names_for_the_same_bytes_make_one_download(server, fetch):
    server.serve(LARGE)
    both = [fetch.start(LARGE, server.url(), "--wait", name=name) for name in ("one", "two")]
    ends = sorted(fetch.finish(p).last["how"] for p in both)
    assert ends == ["blob", "download"] and fetch.has(LARGE, "one") and fetch.has(LARGE, "two")
    assert server.sent == len(LARGE)


# --- redirects, and who is told what ----------------------------------------------


def redirecting(server, where):
    def answer(q):
        if q.path in where:
            return Reply(302, {"Location": where[q.path]}, b"elsewhere")
        return server.file(q)
    server.answer = answer


def test_redirects_are_followed_once_per_download(server, fetch):
    server.serve(LARGE)
    redirecting(server, {"/model.gguf": "/b", "/b": server.url("/c?signature=1")})
    r = fetch(LARGE, server.url())
    assert r.code == 0 and fetch.has(LARGE)
    assert server.paths().count("/model.gguf") == 1 and server.paths().count("/b") == 1
    assert fetch.manifest()["source"]["filename"] == "model.gguf"
    assert "signature" not in r.stdout + r.stderr


@pytest.mark.parametrize("target", ["http://localhost/x", "file:///etc/passwd", "ftp://a/b"])
def test_redirects_stay_with_https(server, fetch, target):
    redirecting(server, {"/model.gguf": target})
    assert fetch(SMALL, server.url()).failed(3, "insecure_url", "redirect", target)
    assert fetch.lacks(SMALL)


def test_redirects_end(server, fetch):
    redirecting(server, {"/model.gguf": "/a", "/a": "/model.gguf"})
    assert fetch(SMALL, server.url()).failed(4, "transport", "more than 5 redirects")
    assert len(server.requests) == 6


def test_five_redirects_are_allowed(server, fetch):
    server.serve(SMALL)
    redirecting(server, {"/model.gguf": "/1", "/1": "/2", "/2": "/3", "/3": "/4", "/4": "/5"})
    assert fetch(SMALL, server.url()).code == 0


def test_credentials_do_not_follow_to_another_host(servers, fetch):
    first, second = servers(), servers()
    second.serve(SMALL)
    redirecting(first, {"/model.gguf": "/again", "/again": second.url("/x", host="127.0.0.1")})
    r = fetch(SMALL, first.url(), "--header-env", "MY_HEADER",
              env={"MY_HEADER": "Authorization: Bearer hunter2", "HF_TOKEN": "hf_hunter3"})
    assert r.code == 0
    assert [q.headers.get("authorization") for q in first.requests] == ["Bearer hunter2"] * 2
    assert all("authorization" not in q.headers for q in second.requests) and second.requests
    assert not re.search("hunter[23]", r.stdout + r.stderr)
    everything = subprocess.run(["grep", "-r", "hunter", fetch.store], capture_output=True)
    assert everything.stdout == b""


def test_a_header_line_is_one_line_and_not_ours(fetch):
    for value in ("no colon", "A: b\r\nC: d", "Range: bytes=0-1", "accept-encoding: gzip", ""):
        r = fetch(SMALL, "https://localhost/x", "--header-env", "H", env={"H": value})
        assert r.failed(2, "usage", "--header-env H")


def test_an_expired_target_is_asked_for_again(server, fetch):
    server.serve(LARGE)
    signed = []

    def answer(q):
        if q.path == "/model.gguf":
            signed.append(f"/signed-{len(signed)}")
            return Reply(302, {"Location": signed[-1]})
        if q.path == "/signed-0" and q.span[0] > 0:
            return Reply(403)
        return server.file(q)
    server.answer = answer
    assert fetch(LARGE, server.url(), "--connections", 1).code == 0 and fetch.has(LARGE)
    assert len(signed) == 2


def test_from_a_public_address_no_redirect_leads_inside():
    """In a network of its own, where 192.0.2.1 answers."""
    inside = ["unshare", "-Urn", "sh", "-c",
              "ip link set lo up && ip addr add 192.0.2.1/32 dev lo && exec \"$@\"", "sh"]
    if subprocess.run(inside + ["true"], capture_output=True).returncode:
        pytest.skip("no network namespaces here")
    run = subprocess.run(inside + ["/usr/bin/env", "INFERD_TEST_INSIDE=1", sys.executable, "-m",
                                   "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k",
                                   "inside_a_network_of_its_own"],
                         capture_output=True, text=True)
    print(run.stdout)
    assert run.returncode == 0 and "2 passed" in run.stdout


only_inside = pytest.mark.skipif("INFERD_TEST_INSIDE" not in os.environ,
                                 reason="run by the test above")


@only_inside
def test_refused_inside_a_network_of_its_own(servers, fetch):
    public, private = servers("192.0.2.1"), servers("127.0.0.1")
    private.serve(SMALL)
    redirecting(public, {"/model.gguf": private.url("/x")})
    r = fetch(SMALL, public.url(host="192.0.2.1"))
    assert r.failed(3, "insecure_url", "redirect from a public to a loopback address refused")
    assert private.requests == [] and fetch.lacks(SMALL)


@only_inside
def test_allowed_inside_a_network_of_its_own(servers, fetch):
    public, private = servers("192.0.2.1"), servers("127.0.0.1")
    public.serve(SMALL)
    redirecting(private, {"/model.gguf": public.url("/x", host="192.0.2.1")})
    assert fetch(SMALL, private.url()).code == 0 and fetch.has(SMALL)


# --- proxies ----------------------------------------------------------------------


@pytest.fixture
def proxy():
    """An HTTP proxy that knows CONNECT; proxy.asked is whom for."""
    p = types.SimpleNamespace(asked=[])
    listener = socket.create_server(("127.0.0.1", 0))
    p.url = f"http://127.0.0.1:{listener.getsockname()[1]}"

    def pump(a, b):
        with contextlib.suppress(OSError):
            while data := a.recv(65536):
                b.sendall(data)
        for s in (a, b):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    def serve(client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        host, port = head.split()[1].decode().rsplit(":", 1)
        p.asked.append(host)
        server = socket.create_connection((host, int(port)))
        client.sendall(b"HTTP/1.1 200 yes\r\n\r\n")
        t = threading.Thread(target=pump, args=(server, client), daemon=True)
        t.start()
        pump(client, server)
        t.join()
        client.close()
        server.close()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
    t = threading.Thread(target=accept, daemon=True)
    t.start()
    yield p
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    t.join()


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
def test_the_usual_variables_name_a_proxy(server, fetch, proxy, variable):
    server.serve(SMALL)
    r = fetch(SMALL, server.url(), env={variable: proxy.url})
    assert r.code == 0 and proxy.asked == ["localhost"]
    assert "going through a proxy" in r.stderr


def test_no_proxy_exempts_hosts(server, fetch, proxy):
    server.serve(SMALL)
    env = {"https_proxy": proxy.url, "no_proxy": "example.com, localhost"}
    assert fetch(SMALL, server.url(), env=env).code == 0 and proxy.asked == []


# --- adoption ---------------------------------------------------------------------


def test_another_tools_copy_is_taken_in(fetch):
    cache = fetch.root / "cache"
    cache.mkdir()
    (cache / f"sha256-{sha256(SMALL)}").write_bytes(SMALL)
    r = fetch(SMALL, None, "--adopt-dir", cache)
    assert r.code == 0 and fetch.has(SMALL)
    adopted = [e for e in r.of("checking_local") if "saved_bytes" in e]
    assert adopted[0]["saved_bytes"] == len(SMALL)
    assert adopted[0]["adopted"] == r.last["how"] != "download"


def test_a_copy_with_wrong_bytes_is_not(server, fetch):
    server.serve(SMALL)
    cache = fetch.root / "cache"
    cache.mkdir()
    (cache / f"sha256-{sha256(SMALL)}").write_bytes(b"?" + SMALL[1:])
    r = fetch(SMALL, server.url(), "--adopt-dir", cache)
    assert r.code == 0 and r.last["how"] == "download" and fetch.has(SMALL)
