"""--check-config: what would be started, said without starting it; and where the daemon
looks for its configuration."""
import json
import os
import subprocess

import pytest

from daemon import BIN, SCRIPTED

DIGEST = "ab" * 32


class Check:
    def __init__(self, home):
        self.home = home
        self.env = {"HOME": str(home), "PATH": os.environ["PATH"]}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS"):
            if name in os.environ:
                self.env[name] = os.environ[name]

    def write(self, config, path=None):
        path = path or self.home / "c.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))
        return path

    def __call__(self, *args, config=None):
        if config is not None:
            args = ["--config", self.write(config), *args]
        before = set(self.home.rglob("*"))
        done = subprocess.run([BIN / "inferd-daemon", "--check-config", *map(str, args)],
                              capture_output=True, text=True, timeout=60, env=self.env)
        assert set(self.home.rglob("*")) == before, "it should touch nothing"
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def check(tmp):
    return Check(tmp)


def test_what_would_be_started(check):
    code, out, err = check(config={
        "queue_depth": 7, "models_home": str(check.home / "store"), "backends": [
            {**SCRIPTED, "name": "double", "slots": 3},
            {"kind": "llamacpp", "name": "big", "sandbox": "require", "n_ctx": 64, "model": {
                "name": "gemma", "sha256": DIGEST,
                "source_url": "https://models.example/a/b.gguf?token=sesame"}}]})
    assert (code, err) == (0, "")
    for line in ("backend 1: double (mock)", "slots      3", "backend 2: big (llamacpp)",
                 'model      "gemma", to be fetched from models.example\n', DIGEST,
                 'engine     {"n_ctx": 64, "sandbox": "require"}\n',
                 f"admin      {check.home}/.inferd/run/admin.sock", "queue depth          7",
                 "It would start."):
        assert line in out, f"{line!r} is missing in\n{out}"
    assert "sesame" not in out


def test_without_a_configuration_the_model_that_ships(check):
    code, out, err = check()
    assert code == 0 and "backend 1: builtin (llamacpp)" in out
    assert "configuration none" in out


def test_every_problem_is_told(check):
    code, out, err = check(config={
        "backends": [{"kind": "mock", "name": "a", "slotz": 2}, {"kind": "mock", "name": "a"},
                     {"kind": "llamacpp", "name": "l", "n_ctx": 0}]})
    assert code == 1
    for words in ('unknown key "slotz" in backends["a"]; did you mean "slots"?',
                  'backends["l"].n_ctx must be > 0 (got 0)',
                  'backends["l"] needs a model, or path and sha256'):
        assert words in err, f"{words!r} is missing in\n{err}"
    assert f"{check.home}/c.json:6: " in err


def test_models_that_are_missing_are_a_problem_each(check):
    model = {"name": "gone", "sha256": DIGEST}
    code, out, err = check(config={"models_home": str(check.home / "store"), "backends": [
        {"kind": "llamacpp", "name": "one", "model": model},
        {"kind": "llamacpp", "name": "two", "path": "/nowhere/x.gguf", "sha256": DIGEST}]})
    assert code == 1
    assert 'model "gone" has no source_url and no manifest exists' in out
    assert "cannot read the model '/nowhere/x.gguf'" in out
    assert "It would not start." in out


@pytest.mark.parametrize("entry", [
    {"kind": "openai-compat", "name": "r", "base_url": "https://h/v1", "model": "m"},
    {"kind": "anthropic", "name": "r", "model": "m"},
    {"kind": "bedrock-invoke", "name": "r", "region": "eu", "model_id": "m"}])
def test_a_kind_without_an_engine_says_so(check, entry):
    code, out, err = check(config={"backends": [entry]})
    assert code == 1
    assert f'this build has no engine for kind "{entry["kind"]}" of backend \'r\'' in out
    assert "inferd-engine-remote" in out


def test_keys_of_other_releases_are_warned_about(check):
    code, out, err = check(config={
        "admin_addr": "/x", "model_autoselect": "auto", "model_autoselect_min_vram_gib": 20,
        "listen": {"tcp_v2": "127.0.0.1:1", "v2": True},
        "backends": [SCRIPTED]})
    assert code == 0
    for key in ("admin_addr", "model_autoselect", "model_autoselect_min_vram_gib", "listen.v2",
                "listen.tcp_v2"):
        assert f"{key} has no effect" in err or f"{key} and " in err, f"{key} is missing in\n{err}"


def test_the_first_configuration_that_the_reference_writes(check):
    """As it stands after its first boot, but for where models are."""
    pin = {"sha256": DIGEST, "size_bytes": 5126304928, "license": "gemma",
           "source_url": "https://huggingface.co/unsloth/x/resolve/main/x.gguf"}
    code, out, err = check(config={
        "auto_pull": True, "models_home": str(check.home / "store"), "model": None, "n_ctx": 8192,
        "n_gpu_layers": -1, "admin_addr": None, "model_autoselect": "off",
        "model_autoselect_min_vram_gib": 20, "listen": {},
        "backends": [
            {"kind": "llamacpp", "name": "gemma-4-e4b", "model": {"name": "gemma-4-e4b", **pin},
             "mmproj": {"name": "gemma-4-e4b-mmproj", **pin}, "mmproj_image_max_tokens": None,
             "n_ctx": 8192, "n_gpu_layers": -1, "embed": False, "embed_pooling": None,
             "embed_n_ctx": 2048},
            {"kind": "llamacpp", "name": "embeddinggemma-300m",
             "model": {"name": "embeddinggemma-300m", **pin}, "n_ctx": 2048, "embed": True,
             "embed_n_ctx": 2048}]})
    assert code == 0, err
    assert out.count("to be fetched from huggingface.co") == 2


def test_the_default_place_is_read_if_there_is_something(check):
    check.write({"queue_depth": 3, "backends": [SCRIPTED]}, check.home / ".inferd" / "config.json")
    code, out, err = check()
    assert code == 0
    assert f"configuration {check.home}/.inferd/config.json" in out and "queue depth          3" in out


def test_the_environment_names_a_configuration(check):
    check.env["INFERD_CONFIG"] = str(check.write({"queue_depth": 4, "backends": [SCRIPTED]}))
    assert "queue depth          4" in check()[1]


def test_a_configuration_that_was_asked_for_has_to_be_there(check):
    code, out, err = check("--config", check.home / "nothing.json")
    assert code == 1 and "nothing.json" in err
    check.env["INFERD_CONFIG"] = "/nothing/either.json"
    code, out, err = check()
    assert code == 1 and "either.json" in err


def test_a_key_on_the_command_line_is_warned_about(check):
    code, out, err = check("--api-key", "sesame-sesame-sesame")
    assert code == 0
    assert "--api-key shows its key" in err and "sesame" not in out + err


def test_a_key_from_a_file(check):
    path = check.home / "key"
    path.write_text("sesame\n")
    assert check("--api-key-file", path)[0] == 0
    path.write_text("\n")
    code, out, err = check("--api-key-file", path)
    assert code == 1 and "holds no key" in err
