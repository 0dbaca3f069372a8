"""
A program on a terminal of its own, and what that terminal shows.

    with Terminal([program, "--flag"], env) as t:
        t.await_text("42%")
        t.type("\x03")                       # Ctrl-C
        assert t.end() == 130
        assert t.screen() == ["what is left", "at the end"]

The terminal is the program's controlling one, so that Ctrl-C goes to its whole group, as a
user's does.
"""
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time

from daemon import PATIENCE


class Terminal:
    def __init__(self, argv, env, columns=80, **more):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.raw = b""
        self.process = subprocess.Popen(
            [str(a) for a in argv], env={"TERM": "xterm", **env}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            **{"stdin": theirs, "stdout": theirs, "stderr": theirs, **more})
        os.close(theirs)

    def read(self, deadline):
        """Some more; False at the end."""
        ready, _, _ = select.select([self.ours], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"waited in vain; the terminal has got {self.raw!r}"
        try:
            data = os.read(self.ours, 65536)
        except OSError:  # EIO: the other side is closed
            data = b""
        self.raw += data
        return bool(data)

    def await_text(self, text):
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self.raw:
            assert self.read(deadline), f"no {text!r} in {self.raw!r}"

    def type(self, text):
        os.write(self.ours, text.encode())

    def end(self):
        """Its exit status."""
        deadline = time.monotonic() + PATIENCE
        while self.read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def screen(self):
        """The lines that are left, of those that a terminal without end would have had."""
        lines, column = [""], 0
        text = self.raw.decode()
        while text:
            if text.startswith("\x1b[K"):
                lines[-1], text = lines[-1][:column], text[3:]
            elif text[0] == "\r":
                column, text = 0, text[1:]
            elif text[0] == "\n":
                lines.append("")
                column, text = 0, text[1:]
            else:
                assert text[0] != "\x1b", f"this terminal does not know {text[:10]!r}"
                lines[-1] = lines[-1][:column] + text[0] + lines[-1][column + 1:]
                column, text = column + 1, text[1:]
        return lines[:-1] if lines[-1] == "" else lines

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
