# SPDX-License-Identifier: Apache-2.0
"""A server over an in-memory filesystem for the clients' tests, its accounts and its keys.

    with Server(serve_memfs) as server:
        server.sftp("put a b")
"""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIP = 77


def need(*programs):
    missing = [p for p in programs if not shutil.which(p)]
    if missing:
        print("SKIP: not installed:", " ".join(missing))
        sys.exit(SKIP)


def run(*words, check=True, timeout=60, **options):
    """Runs a program; its output is the exception's text when it fails."""
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=timeout, **options)
    done.text = done.stdout.decode(errors="replace")
    if check and done.returncode != 0:
        raise AssertionError(f"{words} exited with {done.returncode}:\n{done.text}")
    return done


class Server:
    """serve_memfs over SSH. Leaving it checks that the server gave everything back."""

    def __init__(self, serve_memfs, *options):
        self.program = serve_memfs
        self.options = options

    def __enter__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lafs-sftp-"))
        self.key = self.dir / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.key)
        public = (self.dir / "key.pub").read_text()
        # A line as Tahoe writes it, with a password, and a section of ours.
        (self.dir / "accounts").write_text(f"bob secret x:\n[alice]\nroot = x:\nkey = {public}")
        self.log = open(self.dir / "log", "w+")
        self.process = subprocess.Popen(
            [self.program, *self.options, "--ssh", str(self.dir)], stdout=subprocess.PIPE,
            stderr=self.log)
        line = self.process.stdout.readline().decode()
        if not line.startswith("listening "):
            raise AssertionError("no server:\n" + self.logged())
        self.host, port = line.split()[1].rsplit(":", 1)
        self.port = int(port)
        return self

    def __exit__(self, kind, error, trace):
        self.stop()
        if kind:
            print(self.logged(), file=sys.stderr)
        self.log.close()
        shutil.rmtree(self.dir)
        if not kind and self.process.returncode != 0:
            raise AssertionError(f"the server ended with {self.process.returncode}")

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=30)

    def logged(self):
        self.log.flush()
        return (self.dir / "log").read_text()

    def ssh_options(self, key=None):
        return ["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o",
                f"UserKnownHostsFile={self.dir / 'known'}", "-o", "LogLevel=ERROR", "-o",
                f"Port={self.port}", "-i", str(key or self.key), "-F", "/dev/null"]

    def sftp(self, batch, check=True, options=(), key=None):
        return run("sftp", *self.ssh_options(key), *options, "-b", "-", f"alice@{self.host}",
                   input=batch.encode(), check=check)


def over_stdio(command, batch, check=True):
    return run("sftp", "-D", shlex.join(str(w) for w in command), "-b", "-", input=batch.encode(),
               check=check)


def wait_until(what, predicate, seconds=10):
    end = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > end:
            raise AssertionError(f"not {what} after {seconds} s")
        time.sleep(0.05)


def random_file(path, size):
    with open(path, "wb") as out:
        out.write(os.urandom(size))
    return pathlib.Path(path)
