"""Models of the store: served when they are there, fetched at the start when they are not,
and refused in words that help when they can't be."""
import hashlib
import json
import os
import shutil
import subprocess
import threading

import pytest

from daemon import BIN, SCRIPTED, Daemon, alive, processes, until
from fetching import MIB, Reply, certificate, server, servers  # noqa: F401

GONE = "0" * 64


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    """A model of some hundred kilobytes."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([BIN / "mkmodel", "--out", path], check=True, timeout=60)
    return path.read_bytes()


class Store:
    def __init__(self, root, certificate):
        self.root = root
        self.env = {**os.environ, "HOME": str(root.parent), "INFERD_CA_FILE": str(certificate)}

    def blob(self, sha256):
        return self.root / "blobs" / "sha256" / sha256[:2] / sha256 / "data"

    def put(self, content):
        """As any program that knows the layout would."""
        sha256 = hashlib.sha256(content).hexdigest()
        self.blob(sha256).parent.mkdir(parents=True)
        self.blob(sha256).write_bytes(content)
        return sha256

    def config(self, sha256, url="", **more):
        model = {"name": "tiny", "sha256": sha256, "source_url": url, **more.pop("model", {})}
        return {"models_home": str(self.root), **more.pop("top", {}),
                "backends": [{"kind": "llamacpp", "name": "main", "model": model, "n_ctx": 256, **more}]}

    def daemon(self, config, *args, **more):
        return Daemon(*args, config=config, env=self.env, **more)

    def refused(self, config, **more):
        with self.daemon(config, ready=False, **more) as d:
            assert d.wait() == 1
            return d.stderr()


@pytest.fixture
def store(tmp_path, certificate):  # noqa: F811
    return Store(tmp_path / "models", certificate)


def ask(daemon, **more):
    with daemon.client() as c:
        c.ask("q", "say hi", max_tokens=8, temperature=0, **more)
        return c.frames("q")[-1]


# --- there ----------------------------------------------------------------------


def test_a_model_of_the_store_serves(store, content):
    config = store.config(store.put(content))
    with store.daemon(config) as d:
        assert ask(d)["type"] == "done"


def test_one_model_alone_is_a_configuration(store, content):
    sha256 = store.put(content)
    config = {"models_home": str(store.root), "n_ctx": 256,
              "model": {"name": "tiny", "sha256": sha256, "source_url": ""}}
    with store.daemon(config) as d:
        frame = d.admin().await_status("capabilities")
        assert (frame["backend"], frame["n_ctx"]) == ("tiny", 256)


def test_the_environment_says_where_the_store_is(store, content):
    config = store.config(store.put(content))
    del config["models_home"]
    store.env["MODELS_HOME"] = str(store.root)
    with store.daemon(config) as d:
        assert ask(d)["type"] == "done"


def test_wrong_bytes_are_never_served(store, content):
    sha256 = store.put(content)
    wrong = bytearray(content)
    wrong[-1] ^= 1
    store.blob(sha256).write_bytes(wrong)
    said = store.refused(store.config(sha256))
    assert hashlib.sha256(wrong).hexdigest() in said and sha256 in said


def test_replacing_the_file_changes_nothing_for_the_running_engine(store, content):
    sha256 = store.put(content)
    with store.daemon(store.config(sha256)) as d:
        before = ask(d)["content"]
        other = store.root / "other"
        other.write_bytes(b"not a model at all" * 1000)
        os.replace(other, store.blob(sha256))
        assert ask(d)["content"] == before


# --- not there, and not to be had -------------------------------------------------


def test_auto_pull_may_be_turned_off(store):
    said = store.refused(store.config(GONE, "https://localhost:1/x", top={"auto_pull": False}))
    assert f"model tiny not present in store at {store.blob(GONE)} and auto_pull is disabled" in said
    assert not store.root.exists()


def test_without_a_source_it_says_how_to_import(store):
    said = store.refused(store.config(GONE))
    assert 'model "tiny" has no source_url' in said
    assert "inferdctl import --name tiny" in said


def test_an_installation_without_the_fetcher_refuses(store, tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("inferd-daemon", "inferd-engine-llama"):
        shutil.copy(BIN / name, programs)
    config = store.config(GONE, "https://localhost:1/x")
    said = store.refused(config, program=programs / "inferd-daemon")
    assert "airgapped" in said and "inferdctl import --name tiny" in said


@pytest.mark.parametrize("change, word", [
    ({"name": "../x"}, "model.name must be a name: invalid model name"),
    ({"name": ""}, "model.name must not be empty"),
    ({"sha256": "A" * 64}, "model.sha256 must be 64 lowercase hex chars"),
    ({"sha256": "a" * 63}, "model.sha256 must be 64 lowercase hex chars"),
    ({"source_url": "http://localhost/x"}, "model.source_url must be https://"),
    ({"size": 3}, 'unknown key "size"'),
    ({"size_bytes": -3}, "size_bytes"),
])
def test_what_a_model_may_be_called(store, change, word):
    said = store.refused(store.config(GONE, model=change))
    assert "invalid config" in said and word in said
    assert not store.root.exists()


def test_one_shape_not_both(store):
    config = store.config(GONE)
    config["model"] = config["backends"][0]["model"]
    assert "mutually exclusive" in store.refused(config)


# --- fetched ----------------------------------------------------------------------


def test_a_missing_model_is_fetched_and_then_served(store, content, server):  # noqa: F811
    server.serve(content)
    go_on = threading.Event()
    server.answer = lambda request: hold(server.file(request), go_on)
    sha256 = hashlib.sha256(content).hexdigest()
    with store.daemon(store.config(sha256, server.url()), ready=False) as d:
        admin = d.admin()
        download = admin.await_status("loading_model")
        while download.get("phase") != "download":
            download = admin.await_status("loading_model")
        assert download["source_url"] == server.url() and download["downloaded_bytes"] == 0
        go_on.set()
        seen = []
        while not seen or seen[-1]["status"] != "ready":
            seen.append(admin.receive())
        phases = [f["phase"] for f in seen if "phase" in f]
        assert phases.index("verify") < phases.index("mmap")
        assert ask(d)["type"] == "done"
        assert "fetching the model of 'main'" in d.stderr()
    assert store.blob(sha256).read_bytes() == content
    manifest = json.loads((store.root / "manifests" / "tiny.json").read_text())
    assert manifest["blob"] == f"sha256:{sha256}"


def hold(reply, event):
    reply.hold = event
    return reply


def test_a_fetch_that_fails_is_said_with_its_reason(store, content, server):  # noqa: F811
    server.answer = lambda request: Reply(404)
    sha256 = hashlib.sha256(content).hexdigest()
    said = store.refused(store.config(sha256, server.url()))
    assert "fetch failed for main: " in said and "404" in said
    assert not store.blob(sha256).exists()


def test_wrong_bytes_from_a_server_go_to_quarantine(store, content, server):  # noqa: F811
    server.serve(content)
    said = store.refused(store.config("1" * 64, server.url()))
    assert "fetch failed for main: SHA-256 mismatch" in said
    assert list((store.root / "locks" / "quarantine").iterdir())
    assert not store.blob("1" * 64).exists()


def test_others_serve_while_one_is_fetched(store, content, server):  # noqa: F811
    server.serve(content)
    go_on = threading.Event()
    server.answer = lambda request: hold(server.file(request), go_on)
    config = store.config(hashlib.sha256(content).hexdigest(), server.url())
    config["backends"].append(SCRIPTED)
    with store.daemon(config) as d:
        assert ask(d)["backend"] == "mock"
        go_on.set()
        admin = d.admin()
        while admin.await_status("capabilities")["backend"] != "main":
            pass
        assert until(lambda: ask(d)["backend"] == "llamacpp", "the first backend takes over")


def test_one_that_can_not_be_fetched_does_not_stop_the_others(store, server):  # noqa: F811
    server.answer = lambda request: Reply(404)
    config = store.config(GONE, server.url())
    config["backends"].append(SCRIPTED)
    with store.daemon(config) as d:
        until(lambda: "fetch failed for main" in d.stderr(), "the failure is told")
        assert ask(d)["backend"] == "mock"


def test_ending_while_fetching_keeps_what_came(store, content, server):  # noqa: F811
    big = content + bytes(24 * MIB)
    sha256 = hashlib.sha256(big).hexdigest()
    server.serve(big)
    server.answer = lambda request: pace(server.file(request), 4 * MIB)
    config = store.config(sha256, server.url())
    partial = store.root / "blobs" / "sha256" / sha256[:2] / f".partial-{sha256}" / "data.tmp"
    with store.daemon(config, ready=False) as d:
        until(lambda: server.sent > 2 * MIB, "some of it came")
        fetchers = [pid for pid, name in processes(d.pid).items() if name.startswith("inferd-fetch")]
        assert fetchers
        d.signal()
        assert d.wait() == 0
        assert not any(alive(pid) for pid in fetchers)
    sent = server.sent
    assert partial.exists()
    server.answer = server.file
    with store.daemon(config) as d:
        assert ask(d)["type"] == "done"
    assert store.blob(sha256).read_bytes() == big
    assert server.sent - sent < len(big) - MIB


def pace(reply, rate):
    reply.pace = rate
    return reply


# --- who can open a connection at all ----------------------------------------------


def test_only_the_fetcher_can_speak_tls():
    for program in BIN.iterdir():
        if program.name.startswith("inferd") and program.name != "inferd-fetch":
            linked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
            for library in ("libcurl", "libssl", "libgnutls"):
                assert library not in linked, program
