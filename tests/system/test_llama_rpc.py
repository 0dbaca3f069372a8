"""A model whose layers another process computes, over TCP."""
import json
import re
import socket
import subprocess

import pytest

from daemon import BIN, FACTOR, until
from engine_protocol import Engine

LLAMA = "inferd-engine-llama"
LIB = BIN / ".." / "lib"
SERVER = LIB / "test" / "rpc-server-for-tests"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("rpc")


@pytest.fixture(scope="module")
def model(directory):
    path = directory / "tiny.gguf"
    subprocess.run([BIN / "mkmodel", "--out", path, "--type", "f32", "--scale", "8",
                    "--end-tokens", "unreachable"], check=True, timeout=120)
    return path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def accepts(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def server(model, directory):
    """The port that a server listens on."""
    with Engine(LLAMA, model=model) as e:  # which CPU module runs here
        variant = e.load({"n_ctx": 64}, cache_dir=str(directory))[-1]["cpu_variant"]
    port = free_port()
    process = subprocess.Popen(
        [SERVER, LIB / "inferd", f"libggml-cpu-{variant}.so", str(port)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: accepts(port) or process.poll() is not None, "the server")
    assert process.poll() is None
    yield port, process
    process.kill()
    process.wait()


def load(e, directory, **options):
    return e.load({"threads": 1, "n_ctx": 256, **options}, cache_dir=str(directory))[-1]


def greedy(e, serial):
    e.generate(serial, "hello", temperature=0, top_p=1, top_k=0, max_tokens=30)
    texts, end = e.pieces(serial)
    assert end["type"] == "done"
    return "".join(texts)


def test_layers_are_computed_elsewhere(model, directory, server):
    with Engine(LLAMA, model=model) as e:
        assert load(e, directory)["accelerator"] == "cpu"
        alone = greedy(e, 1)
    with Engine(LLAMA, model=model) as e:
        ready = load(e, directory, rpc_servers=[f"localhost:{server[0]}"])
        assert (ready["accelerator"], ready["gpu_layers"]) == ("rpc", 3)
        if FACTOR == 1:
            assert ready["sandbox"] == "landlock+seccomp, open to RPC servers"
        assert [greedy(e, 1), greedy(e, 2)] == [alone, alone]


def test_a_server_that_goes_ends_the_engine_and_nothing_else(model, directory, server):
    with Engine(LLAMA, model=model) as e:
        load(e, directory, rpc_servers=[f"127.0.0.1:{server[0]}"])
        e.generate(1, "hello", max_tokens=200)
        assert e.event()["type"] == "text"
        server[1].kill()
        while e.event():
            pass
        assert e.wait() != 0


def test_a_server_that_is_not_there_is_named(model, directory):
    with Engine(LLAMA, model=model) as e:
        last = load(e, directory, rpc_servers=[f"localhost:{free_port()}"])
        assert last["type"] == "error"
        assert "localhost:" in last["message"] and "refused" in last["message"]
        assert e.wait() == 1


@pytest.mark.parametrize("servers", [["localhost"], ["localhost:0"], ["localhost:65536"],
                                     [":50052"], ["a b:1"], [7], "localhost:1",
                                     ["localhost:1"] * 17])
def test_what_is_no_server_is_refused(model, directory, servers):
    with Engine(LLAMA, model=model) as e:
        last = load(e, directory, rpc_servers=servers)
        assert last["type"] == "error" and "rpc_servers" in last["message"]
        assert e.wait() == 1


def test_the_daemon_warns(model, directory):
    config = directory / "config.json"
    digest = re.match(r"\w{64}", subprocess.run(
        ["sha256sum", model], check=True, capture_output=True, text=True).stdout)[0]
    config.write_text(json.dumps({"backends": [{
        "kind": "llamacpp", "name": "far", "path": str(model), "sha256": digest,
        "rpc_servers": ["10.0.0.2:50052"]}]}))
    told = subprocess.run([BIN / "inferd-daemon", "--config", config, "--check-config",
                           "--runtime-dir", directory / "run"],
                          capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told
    assert "without encryption" in told.stdout + told.stderr
