"""A whole first boot: nothing in the store, a model to be fetched, and somebody who listens
from the beginning."""
import hashlib
import json
import subprocess
import threading

from daemon import BIN, SCRIPTED, Client, processes, until
from fetching import Reply, certificate, server, servers  # noqa: F401
from test_daemon_store import Store, content, hold, store  # noqa: F401

import pytest  # noqa: F401

KNOWN = {"starting", "loading_model", "capabilities", "ready", "draining"}


def first_boot(store, content, server):  # noqa: F811
    """The daemon and its subscriber, who is there before the first byte of the model."""
    server.serve(content)
    go_on = threading.Event()
    server.answer = lambda request: hold(server.file(request), go_on)
    sha256 = hashlib.sha256(content).hexdigest()
    config = store.config(sha256, server.url(), model={"size_bytes": len(content)})
    return store.daemon(config, ready=False), go_on, sha256


def merged(frames):
    """(status, phase) of each, what repeats only once."""
    steps = []
    for f in frames:
        step = (f["status"], f.get("phase"))
        if not steps or steps[-1] != step:
            steps.append(step)
    return steps


def test_every_frame_of_a_first_boot(store, content, server):  # noqa: F811
    daemon, go_on, sha256 = first_boot(store, content, server)
    blob = str(store.blob(sha256))
    with daemon as d:
        admin = d.admin()
        seen = [admin.receive()]
        while seen[-1].get("phase") != "download":
            seen.append(admin.receive())
        assert not d.path.exists(), "nobody is let in before it is ready"
        go_on.set()
        while seen[-1]["status"] != "ready":
            seen.append(admin.receive())
        with Client(d.path) as c:  # ready is told when the socket accepts, not before
            c.ask("1", "hello", max_tokens=2)
            assert c.frames("1")[-1]["type"] == "done"

        for f in seen:
            assert f["id"] == "admin" and f["type"] == "status" and f["status"] in KNOWN
            assert list(f) == sorted(f)
        steps = merged(seen)
        # The first two may have come before the subscriber.
        assert steps[-7:] == [
            ("loading_model", "download"), ("loading_model", "verify"),
            ("loading_model", "checking_local"), ("loading_model", "verify"),
            ("loading_model", "mmap"), ("loading_model", "kv_cache"), ("capabilities", None),
            ("ready", None)][-7:]
        assert set(steps[:-7]) <= {("starting", None), ("loading_model", "checking_local"),
                                   ("loading_model", "download")}
        by_phase = {f["phase"]: f for f in seen if "phase" in f}
        downloads = [f for f in seen if f.get("phase") == "download"]
        assert all(f["source_url"] == server.url() for f in downloads)
        assert all(f["total_bytes"] in (None, len(content)) for f in downloads)
        counts = [f["downloaded_bytes"] for f in downloads]
        assert counts == sorted(counts) and counts[0] == 0 and counts[-1] <= len(content)
        assert by_phase["mmap"]["path"] == blob and by_phase["kv_cache"]["n_ctx"] == 256
        assert seen[-2]["backend"] == "main" and seen[-2]["n_ctx"] == 256

        d.signal()
        assert admin.receive() == {"id": "admin", "status": "draining", "type": "status"}
        admin.expect_end()
        assert d.wait() == 0


def test_a_second_boot_downloads_nothing(store, content, server):  # noqa: F811
    daemon, go_on, sha256 = first_boot(store, content, server)
    go_on.set()
    with daemon as d:
        d.await_ready()
    sent = server.sent
    with store.daemon(store.config(sha256, server.url()), ready=False) as d:
        admin, seen = d.admin(), []
        while not seen or seen[-1]["status"] != "ready":
            seen.append(admin.receive())
    assert "download" not in [f.get("phase") for f in seen]
    assert server.sent == sent


def test_every_listener_hears_the_same(store, content, server):  # noqa: F811
    """One who comes late hears the present state first, and from then on what all hear."""
    daemon, go_on, _ = first_boot(store, content, server)
    with daemon as d:
        early = d.admin("early")
        while early.receive().get("phase") != "download":
            pass
        late = d.admin("late")
        assert late.receive()["phase"] == "download"
        watch = subprocess.Popen([BIN / "inferdctl", "watch", "--admin-addr", d.admin_path],
                                 stdout=subprocess.PIPE, text=True)
        first = json.loads(watch.stdout.readline())
        assert first["phase"] == "download"
        go_on.set()
        heard = {name: [] for name in ("early", "late", "watch")}
        for name, read in (("early", early.receive), ("late", late.receive),
                           ("watch", lambda: json.loads(watch.stdout.readline()))):
            while not heard[name] or heard[name][-1]["status"] != "ready":
                heard[name].append(read())
        assert heard["early"] == heard["late"] == heard["watch"]
        d.signal()
        assert d.wait() == 0
        assert json.loads(watch.stdout.readline())["status"] == "draining"
        assert watch.wait(60) == 2


# --- fetching, and a configuration that changes meanwhile ------------------------------


def fetchers(d):
    return [pid for pid, name in processes(d.pid).items() if name.startswith("inferd-fetch")]


def state(admin, name):
    return next(b["state"] for b in admin.order("stats")["backends"] if b["name"] == name)


def test_a_download_that_nobody_wants_any_more_ends(store, content, server):  # noqa: F811
    daemon, go_on, _ = first_boot(store, content, server)
    with daemon as d:
        admin = d.admin()
        while admin.receive().get("phase") != "download":
            pass
        d.configure({"backends": [SCRIPTED]})
        assert admin.order("reload")["ok"]
        admin.await_status("ready")
        until(lambda: not fetchers(d), "the fetcher ends")
        with d.client() as c:
            c.ask("1", "say hi")
            assert c.answer("1") == "hi"
        go_on.set()


def test_a_download_that_is_still_wanted_goes_on(store, content, server):  # noqa: F811
    daemon, go_on, _ = first_boot(store, content, server)
    with daemon as d:
        admin = d.admin()
        while admin.receive().get("phase") != "download":
            pass
        fetching = fetchers(d)
        config = json.loads(d.config_path.read_text())
        config["backends"].append(SCRIPTED)
        d.configure(config)
        assert admin.order("reload")["notes"] == [
            "backends: 1 as before, 1 new or changed, 0 to end"]
        assert fetchers(d) == fetching
        go_on.set()
        until(lambda: state(admin, "main") == "ready", "it came")
        assert len(server.paths()) == 1


def test_a_fetch_that_failed_is_tried_again_by_order(store, content, server):  # noqa: F811
    server.answer = lambda request: Reply(404)
    config = store.config(hashlib.sha256(content).hexdigest(), server.url())
    config["backends"].append(SCRIPTED)
    with store.daemon(config) as d:
        admin = d.admin()
        until(lambda: state(admin, "main") == "failed", "it fails")
        server.serve(content)
        server.answer = server.file
        assert admin.order("load", backend="main")["ok"]
        until(lambda: state(admin, "main") == "ready", "it came")
