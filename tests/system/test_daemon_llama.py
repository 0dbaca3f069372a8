"""The daemon with a real model: random weights, but the real engine end to end."""
import hashlib
import re
import signal
import subprocess

import pytest

from daemon import BIN, FACTOR, Daemon, until

N_CTX = 512


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """(path, digest) of a model that fits in a few hundred kilobytes."""
    path = tmp_path_factory.mktemp("model") / "tiny.gguf"
    subprocess.run([BIN / "mkmodel", "--out", path], check=True, timeout=60)
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def config(model, **more):
    path, digest = model
    return {"backends": [{"kind": "llamacpp", "name": "tiny", "path": str(path), "sha256": digest,
                          "n_ctx": N_CTX, **more}]}


@pytest.fixture(scope="module")
def daemon(model):
    """One for all tests that leave it as it was."""
    with Daemon("--active-permits", "2", config=config(model)) as d:
        yield d


def ask(daemon, text, **more):
    with daemon.client() as c:
        c.ask("q", text, **more)
        return c.frames("q")


def test_text_is_streamed(daemon):
    *tokens, done = ask(daemon, "hello", max_tokens=20)
    assert done["type"] == "done", done
    assert done["backend"] == "llamacpp"
    assert "".join(t["content"] for t in tokens) == done["content"]
    assert done["stop_reason"] in ("end", "length")
    usage = done["usage"]
    assert usage["prompt_tokens"] >= len("hello")
    assert 0 <= usage["completion_tokens"] <= 20
    if done["stop_reason"] == "length":
        assert usage["completion_tokens"] == 20
    assert done["timings"]["prompt_ms"] > 0


def test_greedy_answers_repeat(daemon):
    first, second = (ask(daemon, "again", temperature=0, max_tokens=12)[-1] for _ in range(2))
    assert first["content"] == second["content"]
    assert first["usage"]["completion_tokens"] == second["usage"]["completion_tokens"]


def test_without_a_stream(daemon):
    frames = ask(daemon, "again", temperature=0, max_tokens=12, stream=False)
    assert len(frames) == 1
    assert frames[0]["content"] == ask(daemon, "again", temperature=0, max_tokens=12)[-1]["content"]


def test_a_prompt_that_does_not_fit_is_refused_with_both_numbers(daemon):
    error = ask(daemon, "word " * 1000)[-1]
    assert error["type"] == "error"
    assert error["code"] == "invalid_request"
    numbers = [int(n) for n in re.findall(r"\d+", error["message"])]
    assert N_CTX in numbers, error["message"]
    assert any(n > N_CTX for n in numbers), error["message"]
    assert ask(daemon, "hello", max_tokens=2)[-1]["type"] == "done"


def test_a_grammar_that_is_none_is_refused(daemon):
    error = ask(daemon, "hello", grammar="root ::= (")[-1]
    assert (error["type"], error["code"]) == ("error", "invalid_request")


def test_a_grammar_is_kept_to(daemon):
    *_, done = ask(daemon, "hello", grammar='root ::= ("yes" | "no")', max_tokens=10)
    assert done["content"] in ("yes", "no"), done


def test_an_answer_ends_before_a_stop_string(daemon):
    *tokens, done = ask(daemon, "x", grammar='root ::= "one, two, three"', stop=["never", "two"])
    assert (done["content"], done["stop_reason"]) == ("one, ", "end")
    assert "".join(t["content"] for t in tokens) == "one, "


def test_a_client_that_goes_stops_its_generation(daemon):
    gone = [daemon.client(f"gone{i}") for i in range(2)]
    for c in gone:
        c.ask("1", "hello", max_tokens=400, temperature=0)
    for c in gone:
        c.close()
    assert ask(daemon, "hello", max_tokens=2)[-1]["type"] == "done"


def test_capabilities_name_the_model_and_the_cpu_variant(daemon):
    frame = daemon.admin().await_status("capabilities")
    assert frame["backend"] == "tiny"
    assert frame["accelerator"] == "cpu"
    assert frame["cpu_variant"]
    assert frame["sandbox"].startswith("landlock+seccomp" if FACTOR == 1 else "off (")
    assert frame["n_ctx"] == N_CTX


def test_stats_tell_what_it_runs_on_and_what_it_keeps(daemon):
    ask(daemon, "hello", max_tokens=2)
    admin = daemon.admin()

    def told():
        backend, = admin.order("stats")["backends"]
        return backend if "context" in backend else None

    backend = until(told, "the engine's own figures")
    assert backend["threads"] >= 1 and backend["batch_threads"] >= 1
    assert backend["device"] and backend["accelerator"] == "cpu"
    context = backend["context"]
    assert 0 <= context["used"] <= context["size"] and context["size"] >= N_CTX
    assert context["prompt_tokens"] >= context["cached_tokens"]


def test_the_phases_of_loading(start, model):
    d = start(config=config(model), ready=False)
    admin = d.admin()
    phases = []
    while (frame := admin.receive())["status"] != "ready":
        if frame["status"] == "loading_model":
            phases.append(frame["phase"])
    assert "verify" in phases and "mmap" in phases
    assert phases == sorted(phases, key=["checking_local", "verify", "mmap", "kv_cache"].index)


def test_an_engine_that_dies_is_replaced(start, model):
    d = start(config=config(model))
    admin = d.admin()
    admin.await_status("ready")
    d.kill_engine()
    admin.await_status("restarting")
    assert ask(d, "hello", max_tokens=2)[-1]["type"] == "done"


def test_an_instruction_that_faults_lowers_the_cpu_variant(start, model):
    d = start(config=config(model))
    admin = d.admin()
    before = admin.await_status("capabilities")["cpu_variant"]
    admin.await_status("ready")
    d.kill_engine(signal.SIGILL)
    admin.socket.settimeout(30)
    admin.await_status("restarting")
    after = admin.await_status("capabilities")["cpu_variant"]
    assert after and after != before
    assert ask(d, "hello", max_tokens=2)[-1]["type"] == "done"


def test_unloading_keeps_what_was_found_out(start, model):
    """The file is not hashed again, and the variant that faulted is still avoided."""
    d = start(config=config(model))
    admin = d.admin()
    admin.socket.settimeout(30)
    admin.await_status("ready")
    d.kill_engine(signal.SIGILL)
    admin.await_status("restarting")
    variant = admin.await_status("capabilities")["cpu_variant"]
    admin.await_status("ready")
    assert admin.order("unload", backend="tiny")["ok"]
    until(lambda: not d.engines(), "it is gone")
    assert ask(d, "hello", max_tokens=2)[-1]["type"] == "done"
    frames = []
    while not frames or frames[-1]["status"] != "ready":
        frames.append(admin.receive())
    assert "mmap" in [f.get("phase") for f in frames]
    assert "verify" not in [f.get("phase") for f in frames]
    assert variant in [f.get("cpu_variant") for f in frames]
    backend, = admin.order("stats")["backends"]
    assert (backend["deaths"], backend["breaker"]) == (1, "closed")


def test_other_bytes_than_the_digest_says(start, model):
    wrong = "0123456789abcdef" * 4
    d = start(config=config((model[0], wrong)), ready=False)
    assert d.wait() == 1
    assert wrong in d.stderr() and model[1] in d.stderr()


def test_a_digest_in_capitals(start, model):
    d = start("--backend", "llamacpp", "--model-path", model[0], "--model-sha256",
              model[1].upper(), config=False)
    assert ask(d, "hello", max_tokens=2)[-1]["type"] == "done"


def test_a_model_that_is_not_there(start, tmp):
    d = start(config=config((tmp / "nothing.gguf", "0" * 64)), ready=False)
    assert d.wait() == 1
    assert str(tmp / "nothing.gguf") in d.stderr()


@pytest.mark.parametrize("damage", ["no model at all", "cut short"])
def test_a_file_that_is_no_model(start, tmp, model, damage):
    """The digest is right, the bytes are nonsense: refused by the engine, not by a crash."""
    path = tmp / "bad.gguf"
    data = model[0].read_bytes()
    path.write_bytes(b"hello" * 1000 if damage == "no model at all" else data[:len(data) // 2])
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    d = start(config=config((path, digest)), ready=False)
    assert d.wait() == 1
    assert str(path) in d.stderr()


def test_a_model_that_lies_about_itself(start, tmp, model):
    """Nor by llama.cpp: it is told where the lie is."""
    path = tmp / "lies.gguf"
    data = bytearray(model[0].read_bytes())
    data[16:24] = (1 << 40).to_bytes(8, "little")
    path.write_bytes(data)
    d = start(config=config((path, hashlib.sha256(data).hexdigest())), ready=False)
    assert d.wait() == 1
    assert "it claims 1099511627776 keys" in d.stderr()


def test_a_model_that_needs_more_memory_than_there_is(start, tmp):
    path = tmp / "long.gguf"
    subprocess.run([BIN / "mkmodel", "--out", path, "--context", str(1 << 30)], check=True,
                   timeout=60)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    d = start(config=config((path, digest), n_ctx=1 << 24, slots=100), ready=False)
    assert d.wait() == 1
    assert "100 requests with 16777216 tokens" in d.stderr()


def test_a_model_that_is_replaced_while_it_serves(start, tmp, model):
    """What was verified keeps serving; a restarted engine sees the new bytes and refuses."""
    path = tmp / "m.gguf"
    path.write_bytes(model[0].read_bytes())
    d = start(config=config((path, model[1])))
    other = tmp / "other.gguf"
    other.write_bytes(b"x" * 1000)
    other.rename(path)
    assert ask(d, "hello", max_tokens=2)[-1]["type"] == "done"
    engine = d.kill_engine()
    until(lambda: engine not in d.engines(), "the engine is gone")
    error = ask(d, "hello")[-1]
    assert (error["type"], error["code"]) == ("error", "backend_unavailable")
    assert d.process.poll() is None


@pytest.mark.skipif(FACTOR > 1, reason="a sanitizer needs more memory itself")
def test_slots_that_do_not_fit_are_not_counted_on(start, tmp_path):
    path = tmp_path / "deep.gguf"
    subprocess.run([BIN / "mkmodel", "--out", path, "--layers", "40", "--kv-heads", "4"],
                   check=True, timeout=60)
    deep = path, hashlib.sha256(path.read_bytes()).hexdigest()
    d = start("--active-permits", "16", config=config(deep, n_ctx=1024, memory_limit_mib=350))
    with d.client() as c:
        c.ask("q", "hello", max_tokens=2)
        assert c.frames("q")[-1]["type"] == "done"
    [backend] = d.admin().order("stats")["backends"]
    assert 1 <= backend["slots"] < 16
    assert (backend["kv"], backend["prefixes"]) == ("streams", "anywhere")


def test_users_programs_share_what_they_have_in_common(daemon):
    system = {"role": "system", "content": "The same words for everybody. " * 8}
    cached = []
    for question in ("first", "second"):
        with daemon.client() as c:
            c.send({"id": "q", "messages": [system, {"role": "user", "content": question}],
                    "max_tokens": 3})
            cached.append(c.frames("q")[-1]["usage"]["cached_tokens"])
    assert cached[0] < 100 and cached[1] > 200
