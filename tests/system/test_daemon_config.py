"""Configurations and flags that are wrong are said so: which file, which key, what would
be right."""
import shutil
import subprocess

import pytest

from daemon import BIN, SCRIPTED, Daemon

DIGEST = "0" * 64


def refused(*args, config=None, status=(1, 2)):
    """What it says when it refuses to start."""
    with Daemon(*args, config=config, ready=False) as d:
        got = d.wait()
        said = d.stderr()
        assert got in status, f"exit status {got}; it said: {said}"
        assert not d.path.exists() and not d.admin_path.exists()
        return said


def backend(**more):
    return {"backends": [{**SCRIPTED, **more}]}


WRONG = {
    "not JSON": ('{"backends":[', []),
    "an array": ("[]", []),
    "two values": ('{"backends":[]} {}', []),
    "an unknown key": ({**backend(), "bakends": []}, ["bakends"]),
    "an unknown key of a backend": (backend(slotz=2), ["slotz"]),
    "an unknown kind": ({"backends": [{"kind": "oracle", "name": "o"}]}, ["oracle"]),
    "no kind": ({"backends": [{"name": "o"}]}, ["kind"]),
    "a kind that is a number": ({"backends": [{"kind": 1, "name": "o"}]}, ["kind"]),
    "backends that are no list": ({"backends": {"kind": "mock"}}, ["backends"]),
    "a backend that is no object": ({"backends": ["mock"]}, ["backends"]),
    "no backends": ({"backends": []}, ["backend"]),
    "two of one name": ({"backends": [SCRIPTED, SCRIPTED]}, ["mock"]),
    "a name that is a number": (backend(name=7), ["name"]),
    "an empty name": (backend(name=""), ["name"]),
    "slots that are none": (backend(slots=0), ["slots"]),
    "slots that are text": (backend(slots="two"), ["slots"]),
    "a depth below zero": ({**backend(), "queue_depth": -1}, ["queue_depth", "-1"]),
    "a depth that is text": ({**backend(), "queue_depth": "deep"}, ["queue_depth"]),
    "no permits": ({**backend(), "active_permits": 0}, ["active_permits"]),
    "a model without a path": ({"backends": [
        {"kind": "llamacpp", "name": "x", "sha256": DIGEST}]}, ["path"]),
    "a model without a digest": ({"backends": [
        {"kind": "llamacpp", "name": "x", "path": "/x.gguf"}]}, ["sha256"]),
    "a digest that is none": ({"backends": [
        {"kind": "llamacpp", "name": "x", "path": "/x.gguf", "sha256": "0123"}]}, ["sha256", "64"]),
    "a digest with other characters": ({"backends": [
        {"kind": "llamacpp", "name": "x", "path": "/x.gguf", "sha256": "g" * 64}]}, ["sha256"]),
    "a path that is a number": ({"backends": [
        {"kind": "llamacpp", "name": "x", "path": 5, "sha256": DIGEST}]}, ["path"]),
    "a key twice": ('{"queue_depth":1,"queue_depth":2,"backends":[{"kind":"mock","name":"m"}]}',
                    ["queue_depth"]),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_configuration_that_is_wrong(kind):
    config, words = WRONG[kind]
    said = refused(config=config)
    for word in ["config.0.json", *words]:
        assert word in said, f"{word!r} is missing in: {said}"


@pytest.mark.parametrize("key, value", [
    ("scripted", "yes"), ("load_delay_ms", "long"), ("tokens", 5), ("fail", "softly")])
def test_a_knob_that_only_its_engine_knows(key, value):
    said = refused(config=backend(name="knobs", **{key: value}))
    assert "knobs" in said and key in said


def test_a_configuration_that_is_not_there(tmp):
    path = tmp / "nothing.json"
    assert str(path) in refused("--config", path, config=False)


def test_a_configuration_that_is_a_directory(tmp):
    assert str(tmp) in refused("--config", tmp, config=False)


def test_names_that_begin_with_x_are_free(start):
    d = start(config={**backend(**{"x-note": "ours"}), "x-anything": {"a": 1}})
    c = d.client()
    c.ask("1", "say hi")
    assert c.answer("1") == "hi"


def test_numbers_in_the_configuration_count(start):
    d = start(config={**backend(), "active_permits": 1, "queue_depth": 0})
    a, b = d.client("a"), d.client("b")
    a.ask("1", "hold")
    assert a.receive()["content"] == "held"
    b.ask("1", "say hi")
    assert b.error("1")["code"] == "queue_full"


def test_slots_of_a_backend_count(start):
    d = start("--active-permits", "1", "--queue-depth", "0", config=backend(slots=2))
    a, b, c = d.client("a"), d.client("b"), d.client("c")
    for client in (a, b):
        client.ask("1", "hold")
        assert client.receive()["content"] == "held"
    c.ask("1", "say hi")
    assert c.error("1")["code"] == "queue_full"


def test_a_flag_goes_before_the_configuration(start):
    d = start("--queue-depth", "0", config={**backend(slots=1), "queue_depth": 5})
    a, b = d.client("a"), d.client("b")
    a.ask("1", "hold")
    assert a.receive()["content"] == "held"
    b.ask("1", "say hi")
    assert b.error("1")["code"] == "queue_full"


@pytest.mark.parametrize("args, word", [
    (["--no-such-flag"], "--no-such-flag"),
    (["--queu-depth", "5"], "did you mean '--queue-depth'?"),
    (["--queue-depth"], "--queue-depth"),
    (["--queue-depth", "many"], "many"),
    (["--queue-depth", "-1"], "-1"),
    (["--active-permits", "0"], "--active-permits"),
    (["--backend", "oracle"], "oracle"),
    (["stray"], "stray"),
])
def test_flags_that_are_wrong(args, word):
    assert word in refused(*args, status=(2,))


def test_a_model_needs_both_flags():
    said = refused("--backend", "llamacpp", config=False, status=(1, 2))
    assert "--model-path" in said
    said = refused("--backend", "llamacpp", "--model-path", "/x", config=False, status=(1, 2))
    assert "--model-sha256" in said


def test_version_and_help(tmp):
    for flag, word in (("--version", "inferd-daemon "), ("--help", "--runtime-dir")):
        done = subprocess.run([BIN / "inferd-daemon", flag], capture_output=True, text=True,
                              timeout=10, cwd=tmp)
        assert done.returncode == 0
        assert word in done.stdout
        assert done.stderr == ""


def test_a_program_without_engines_says_so(tmp):
    """The engines are looked for beside the daemon, not on the PATH."""
    alone = tmp / "inferd-daemon"
    shutil.copy(BIN / "inferd-daemon", alone)
    with Daemon(ready=False, program=alone, env={"PATH": str(BIN), "HOME": str(tmp)}) as d:
        assert d.wait() == 1
        assert "inferd-engine-mock" in d.stderr()


def test_json_errors_say_where():
    said = refused(config='{\n  "backends": [\n    oops\n  ]\n}')
    assert "line 3" in said or ":3" in said


@pytest.mark.parametrize("args", [["--api-key", "sesame-sesame"], ["--api-key=sesame-sesame"],
                                  ["--openai-api-key", "sesame-sesame"]])
def test_a_key_does_not_stay_where_everybody_can_read_it(start, args):
    d = start(*args)
    with open(f"/proc/{d.pid}/cmdline", "rb") as f:
        assert b"sesame" not in f.read()
    for pid in [d.pid, d.engine()]:
        with open(f"/proc/{pid}/environ", "rb") as f:
            assert b"sesame" not in f.read()
    assert "sesame" not in d.stderr()
