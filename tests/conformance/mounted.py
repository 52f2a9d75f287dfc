# SPDX-License-Identifier: Apache-2.0
"""A mount for the length of a `with` block: started by a command, always gone afterwards."""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import time

SKIP = 77


class MountFailed(Exception):
    def __init__(self, code, text):
        super().__init__(f"the mounting program ended with {code}: {text}")
        self.code = code


def mounts_at(path):
    """The types of what is mounted at `path`, bottom first. Asks no daemon."""
    with open("/proc/self/mountinfo") as lines:
        fields = [line.split() for line in lines]
    return [f[f.index("-") + 1] for f in fields if f[4].encode().decode("unicode_escape") == path]


def unmount(path, lazy=False):
    if os.geteuid() == 0:
        command = ["umount"] + (["-l"] if lazy else []) + [path]
    else:
        command = ["fusermount3", "-u"] + (["-z"] if lazy else []) + [path]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True)


def wait_until_mounted(process, path, seconds):
    """The kernel tells when the table of mounts changes (proc(5): POLLPRI)."""
    deadline = time.monotonic() + seconds
    with open("/proc/self/mountinfo") as table:
        poller = select.poll()
        poller.register(table, select.POLLPRI | select.POLLERR)
        while not mounts_at(path):
            if process.poll() is not None:
                raise MountFailed(process.returncode, process.stderr.read())
            if time.monotonic() > deadline:
                raise MountFailed(None, "not mounted in time")
            poller.poll(100)


class Mounted:
    """Runs `command`, in which "{}" stands for the mountpoint, until that is mounted.

    With a `path` of the caller, where something may be mounted already, the command must print a
    line when it is ready.
    """

    def __init__(self, command, path=None, seconds=30):
        self.own_directory = path is None
        self.path = path or os.path.realpath(tempfile.mkdtemp(prefix="lafs-mount-"))
        if self.own_directory:
            os.chmod(self.path, 0o755)
        words = [word.replace("{}", self.path) for word in command]
        self.process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            stdout=subprocess.DEVNULL if self.own_directory else subprocess.PIPE)
        try:
            if self.own_directory:
                wait_until_mounted(self.process, self.path, seconds)
            elif not self.process.stdout.readline():
                raise MountFailed(self.process.wait(), self.process.stderr.read())
        except BaseException:
            self.clear()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.clear()

    def ended(self, seconds=30):
        """The exit code of the mounting program, which is expected to end now."""
        code = self.process.wait(seconds)
        text = self.process.stderr.read()
        if text:
            print(text, end="")
        return code

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def clear(self):
        while mounts_at(self.path) and unmount(self.path, lazy=True).returncode == 0:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stderr.close()
        if self.process.stdout:
            self.process.stdout.close()
        if self.own_directory and not mounts_at(self.path):
            shutil.rmtree(self.path, ignore_errors=True)
