"""
One daemon per runtime directory: the lock, the sockets and what may be in their place.

Nothing that somebody else put there is ever removed, except sockets of ours that nobody
listens to any more.
"""
import grp
import os
import socket
import stat

import pytest

from daemon import BIN, Client, Daemon, alive, until


def serves(daemon):
    with daemon.client() as c:
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"


def fails_to_start(*args, status=1, **more):
    """What it says when it can't start."""
    with Daemon(*args, ready=False, **more) as d:
        got = d.wait()
        said = d.stderr()
        assert got == status, f"exit status {got}; it said: {said}"
        assert said.strip(), "it said nothing"
        return said


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


# --- modes ---


def test_modes(start):
    d = start()
    assert mode(d.path) == 0o660
    assert mode(d.admin_path) == 0o600
    assert mode(d.runtime) == 0o700
    assert mode(d.lock_path) & 0o077 == 0


@pytest.mark.parametrize("umask", [0, 0o077, 0o177])
def test_modes_do_not_depend_on_the_umask(start, umask):
    d = start(umask=umask)
    assert mode(d.path) == 0o660
    assert mode(d.admin_path) == 0o600
    assert mode(d.runtime) == 0o700


def test_the_group_of_the_socket(start):
    gid = os.getgid()
    d = start("--group", grp.getgrgid(gid).gr_name)
    assert os.lstat(d.path).st_gid == gid
    assert mode(d.path) == 0o660
    assert mode(d.runtime) == 0o710
    assert os.lstat(d.runtime).st_gid == gid
    serves(d)


def test_a_group_that_does_not_exist():
    assert "no-such-group" in fails_to_start("--group", "no-such-group")


def test_no_temporary_names_are_left(start):
    d = start()
    assert set(os.listdir(d.runtime)) == {"admin.sock", "infer.sock", "inferd.lock"}


# --- the second one ---


def test_a_second_daemon_is_refused_and_the_first_serves_on(start):
    first = start()
    said = fails_to_start(within=first)
    assert str(first.lock_path) in said
    assert "another inferd-daemon" in said
    serves(first)
    with first.admin() as admin:
        admin.await_status("ready")


def test_a_second_daemon_is_refused_while_the_first_is_loading(start):
    first = start(ready=False, config={"backends": [
        {"kind": "mock", "name": "mock", "load_delay_ms": 1000}]})
    first.admin().await_status("loading_model")
    fails_to_start(within=first)
    first.await_ready()


def test_another_lock_does_not_take_over_live_sockets(start):
    first = start()
    said = fails_to_start("--lock", first.home / "other.lock", within=first)
    assert "infer.sock" in said or "admin.sock" in said
    serves(first)


def test_what_a_killed_daemon_left_is_taken_over(start):
    first = start()
    first.kill()
    assert first.path.exists() and first.admin_path.exists() and first.lock_path.exists()
    second = start(within=first)
    serves(second)


@pytest.mark.parametrize("command", ["hold", "hang"])
def test_a_killed_daemon_takes_its_engine_along_and_frees_the_lock(start, command):
    first = start("--active-permits", "2")
    engine = first.engine()
    c = first.client()
    c.ask("1", "hold")
    assert c.receive()["content"] == "held"
    first.client().ask("1", command)
    first.settle()
    first.kill()
    # At once: the engine never had the lock.
    second = start(within=first)
    serves(second)
    until(lambda: not alive(engine), "the engine of the killed daemon to end")
    c.expect_end()


def test_an_engine_has_no_descriptor_of_the_daemon_s(start, tmp):
    # With the first ones taken the lock does not happen to have a number that is replaced
    # anyway.
    wrapper = tmp / "wrapper"
    wrapper.write_text(f"#!/bin/sh\nexec {BIN}/inferd-daemon \"$@\" 3<&0 4<&0 5<&0\n")
    wrapper.chmod(0o700)
    d = start(program=wrapper)
    links = f"/proc/{d.engine()}/fd"
    if not os.access(links, os.R_OK):
        pytest.skip("this user can't list the engine's descriptors")
    names = [os.readlink(f"{links}/{fd}") for fd in os.listdir(links)]
    assert not any("inferd.lock" in n for n in names), names
    assert sum(n.startswith("socket:") for n in names) == 1, names


def test_it_can_start_again_after_a_clean_end(start):
    first = start()
    first.stop()
    assert not first.path.exists()
    assert not first.admin_path.exists()
    first.expected_to_end = True
    serves(start(within=first))


# --- what may be in the way ---


class Place:
    """A home with a runtime directory that nobody runs in yet."""

    def __init__(self, home):
        self.home = home
        self.runtime = home / "run"
        self.runtime.mkdir(mode=0o700)


@pytest.fixture
def place(tmp):
    """For fails_to_start(within=…) and Daemon(within=…)."""
    return Place(tmp)


def test_a_symlink_at_the_lock_path_is_refused(place):
    target = place.home / "precious"
    target.write_text("do not touch")
    (place.runtime / "inferd.lock").symlink_to(target)
    said = fails_to_start(within=place)
    assert "symlink" in said or "symbolic link" in said
    assert "inferd.lock" in said
    assert target.read_text() == "do not touch"
    assert (place.runtime / "inferd.lock").is_symlink()


def test_a_directory_at_the_lock_path_is_refused(place):
    (place.runtime / "inferd.lock").mkdir()
    assert "inferd.lock" in fails_to_start(within=place)


SOCKETS = ["infer.sock", "admin.sock"]


@pytest.mark.parametrize("name", SOCKETS)
def test_a_symlink_at_a_socket_s_path_is_refused(place, name):
    target = place.home / "elsewhere.sock"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(target))
    (place.runtime / name).symlink_to(target)
    assert name in fails_to_start(within=place)
    assert (place.runtime / name).is_symlink()
    assert target.exists()


@pytest.mark.parametrize("name", SOCKETS)
def test_a_file_at_a_socket_s_path_is_refused(place, name):
    (place.runtime / name).write_text("precious")
    assert name in fails_to_start(within=place)
    assert (place.runtime / name).read_text() == "precious"


@pytest.mark.parametrize("name", SOCKETS)
def test_somebody_s_live_socket_is_refused(place, name):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(place.runtime / name))
        s.listen()
        assert name in fails_to_start(within=place)
        Client(place.runtime / name).close()  # it still reaches its owner
        s.settimeout(5)
        s.accept()[0].close()


@pytest.mark.parametrize("name", SOCKETS)
def test_a_dead_socket_is_taken_over(place, name):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(place.runtime / name))
    with Daemon(within=place) as d:
        serves(d)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a socket away")
@pytest.mark.parametrize("name", SOCKETS)
def test_a_dead_socket_of_another_user_is_refused(place, name):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(place.runtime / name))
    os.chown(place.runtime / name, 65534, 65534)
    assert name in fails_to_start(within=place)
    assert (place.runtime / name).exists()


def test_a_path_too_long_for_a_socket(place):
    path = place.home / ("x" * (108 - len(str(place.home)) - 1))
    assert len(str(path)) == 108
    said = fails_to_start("--uds", path, within=place)
    assert str(path) in said
    assert "107" in said


def test_the_longest_path_for_a_socket(place):
    path = place.home / ("x" * (107 - len(str(place.home)) - 1))
    assert len(str(path)) == 107
    with Daemon("--uds", path, within=place) as d, Client(path) as c:
        c.ask("1", "say hi")
        assert c.answer("1") == "hi"
        assert mode(path) == 0o660
        assert not d.path.exists()
    assert not path.exists()


def test_every_path_can_be_chosen(place):
    uds, admin, lock = (place.home / n for n in ("u", "a", "l"))
    with Daemon("--uds", uds, "--admin-addr", admin, "--lock", lock, within=place,
                ready=False) as d:
        d.admin_path, d.path = admin, uds
        d.await_ready()
        serves(d)
        assert lock.exists()
    assert not uds.exists() and not admin.exists()


def test_a_runtime_directory_of_several_new_levels(place):
    deep = place.home / "a" / "b" / "c"
    with Daemon("--runtime-dir", deep, within=place, ready=False) as d:
        d.path, d.admin_path = deep / "infer.sock", deep / "admin.sock"
        d.await_ready()
        serves(d)
        assert mode(deep) == 0o700


def test_a_runtime_directory_that_others_may_write_to_is_refused(place):
    place.runtime.chmod(0o777)
    assert str(place.runtime) in fails_to_start(within=place)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_a_runtime_directory_of_another_user_is_refused(place):
    os.chown(place.runtime, 65534, 65534)
    assert str(place.runtime) in fails_to_start(within=place)
