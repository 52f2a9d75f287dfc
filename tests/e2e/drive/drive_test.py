#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real little grid, mounted through the kernel, worked in with the programs people use.

usage: drive_test.py LAFS SOURCE_ROOT [--large MIB] [--only NAME]

Starts 5 servers on loopback (3-of-5), makes a node, mounts it, and runs every case below in the
drive. Exit status 77 (skip) where FUSE cannot be used. Ends only what it started.
"""
import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time


class Failed(Exception):
    pass


def check(condition, message):
    if not condition:
        raise Failed(message)


def run(*command, cwd=None, ok=True, timeout=300, env=None):
    done = subprocess.run(command, cwd=cwd, capture_output=True, timeout=timeout, env=env)
    if ok and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: exit {done.returncode}\n"
                     f"{done.stdout.decode(errors='replace')[-2000:]}"
                     f"{done.stderr.decode(errors='replace')[-2000:]}")
    return done


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


class Grid:
    """Servers, one node, one mountpoint; everything below one temporary directory."""

    def __init__(self, lafs, work):
        self.lafs, self.work = lafs, work
        self.dir = os.path.join(work, "grid")
        self.node = os.path.join(work, "node")
        self.drive = os.path.join(work, "drive")
        self.daemon = None
        os.mkdir(self.drive)

    def command(self, *words, ok=True, timeout=300):
        return run(self.lafs, "--node", self.node, *words, ok=ok, timeout=timeout)

    def start(self):
        run(self.lafs, "grid", "start", "--servers", "5", "--dir", self.dir)
        self.command("create-node", "--grid", os.path.join(self.dir, "servers.yaml"),
                     "--shares", "3,4,5")

    def start_server(self):
        run(self.lafs, "grid", "start", "--dir", self.dir)

    def stop_server(self, number):
        run(self.lafs, "grid", "stop", "--dir", self.dir, "--server", str(number))

    def mount(self, *options):
        self.daemon = subprocess.Popen([self.lafs, "--node", self.node, "mount", "-f", *options,
                                        self.drive], stderr=subprocess.PIPE)
        deadline = time.monotonic() + 30
        while not os.path.ismount(self.drive):
            if self.daemon.poll() is not None:
                raise Failed("mount ended: " + self.last_words())
            check(time.monotonic() < deadline, "the mount did not appear")
            time.sleep(0.02)

    def last_words(self):
        """What the daemon printed. Only when it has ended: reads to the end."""
        return self.daemon.stderr.read().decode(errors="replace")

    def unmount(self):
        run(self.lafs, "umount", self.drive)
        if self.daemon.wait(60) != 0:
            raise Failed("the daemon failed: " + self.last_words())
        self.daemon = None
        check(not os.path.ismount(self.drive), "still mounted")

    def remount(self, *options):
        self.unmount()
        self.mount(*options)

    def close(self):
        if self.daemon and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGTERM)
            try:
                self.daemon.wait(60)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
        if os.path.ismount(self.drive):
            subprocess.run(["umount", "-l", self.drive])
        subprocess.run([self.lafs, "grid", "stop", "--dir", self.dir], capture_output=True)


def same_tree(a, b):
    run("diff", "-r", "--no-dereference", a, b)


def source_tree(grid):
    """Some hundred real files: kernel headers where they are, else the project's own source."""
    for place in ("/usr/include/linux", "/usr/include/openssl"):
        if os.path.isdir(place):
            return place
    return os.path.join(grid.source, "grid")


# ------------------------------------------------------------------------------- the cases

def case_copy_a_tree(grid):
    run("cp", "-r", source_tree(grid), os.path.join(grid.drive, "headers"))
    same_tree(source_tree(grid), os.path.join(grid.drive, "headers"))
    grid.remount()
    same_tree(source_tree(grid), os.path.join(grid.drive, "headers"))


def case_rsync_moves_nothing_the_second_time(grid):
    if not shutil.which("rsync"):
        return "rsync is not installed"
    source = os.path.join(grid.source, "grid", "base") + "/"
    target = os.path.join(grid.drive, "rsync") + "/"
    run("rsync", "-a", source, target)
    again = run("rsync", "-a", "--itemize-changes", source, target).stdout
    check(again == b"", "rsync moved something again:\n" + again.decode())
    grid.remount()
    again = run("rsync", "-a", "--itemize-changes", source, target).stdout
    check(again == b"", "rsync moved something after a remount:\n" + again.decode())


def case_git_clone_and_fsck(grid):
    if not shutil.which("git"):
        return "git is not installed"
    origin = os.path.join(grid.work, "origin")
    os.mkdir(origin)
    run("git", "init", "-q", origin)
    for n in range(40):
        with open(os.path.join(origin, f"file{n}"), "w") as f:
            f.write(f"line {n}\n" * (n * 13 + 1))
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    run(*git, "add", ".", cwd=origin)
    run(*git, "commit", "-qm", "one", cwd=origin)
    clone = os.path.join(grid.drive, "clone")
    run("git", "clone", "-q", origin, clone)
    run("git", "fsck", "--full", "--strict", cwd=clone)
    with open(os.path.join(clone, "file0"), "a") as f:
        f.write("more\n")
    run(*git, "commit", "-qam", "two", cwd=clone)
    run("git", "fsck", "--full", cwd=clone)
    status = run("git", "status", "--porcelain", cwd=clone).stdout
    check(status == b"", "git status is not clean: " + status.decode())


def case_tar_x(grid):
    archive = os.path.join(grid.work, "tree.tar")
    run("tar", "cf", archive, "-C", os.path.join(grid.source, "grid"), "base", "crypto")
    target = os.path.join(grid.drive, "untar")
    os.mkdir(target)
    run("tar", "xf", archive, "-C", target)
    run("tar", "df", archive, "-C", target)  # contents, modes and times
    same_tree(os.path.join(grid.source, "grid", "base"), os.path.join(target, "base"))


def case_save_like_an_editor(grid):
    path = os.path.join(grid.drive, "text")
    with open(path, "w") as f:
        f.write("first\n")
    os.chmod(path, 0o640)
    for n in range(5):
        temp = os.path.join(grid.drive, f".text.{n}.swp")
        with open(temp, "w") as f:
            f.write(f"version {n}\n")
            f.flush()
            os.fsync(f.fileno())
        os.chmod(temp, 0o640)
        os.rename(temp, path)
        with open(path) as f:
            check(f.read() == f"version {n}\n", "the saved text is not there")
    check(sorted(os.listdir(grid.drive)).count("text") == 1, "the name is there twice")
    check(os.stat(path).st_mode & 0o777 == 0o640, "the mode was lost")
    backup = path + "~"
    os.rename(path, backup)  # vim with backupcopy=no
    with open(path, "w") as f:
        f.write("final\n")
    os.unlink(backup)
    grid.remount()
    with open(path) as f:
        check(f.read() == "final\n", "after a remount the text is another one")


def case_large_file(grid):
    local, remote = os.path.join(grid.work, "large"), os.path.join(grid.drive, "large")
    rng = random.Random(5)
    with open(local, "wb") as f:
        for _ in range(grid.large):
            f.write(rng.randbytes(1 << 20))
    run("cp", local, remote, timeout=900)
    check(os.stat(remote).st_size == grid.large << 20, "the size is wrong")
    grid.remount()  # nothing cached: every byte comes from the servers
    check(sha256(remote) == sha256(local), "the checksum is wrong")
    with open(local, "rb") as a, open(remote, "rb") as b:
        for _ in range(50):
            at = rng.randrange(grid.large << 20)
            a.seek(at), b.seek(at)
            check(a.read(5000) == b.read(5000), f"wrong bytes at {at}")
    os.unlink(local)


def case_unlinked_and_truncated_while_open(grid):
    path = os.path.join(grid.drive, "open")
    with open(path, "wb+") as f:
        f.write(b"x" * 100_000)
        f.flush()
        os.unlink(path)
        check(not os.path.exists(path), "the name is still there")
        f.truncate(10)
        f.seek(0, 2)
        f.write(b"tail")
        f.seek(0)
        check(f.read() == b"x" * 10 + b"tail", "an unlinked file lost bytes")


def case_two_servers_die(grid):
    payload = random.Random(9).randbytes(3_000_000)
    with open(os.path.join(grid.drive, "survivor"), "wb") as f:
        f.write(payload)
    before = {}
    for place, _, names in os.walk(os.path.join(grid.drive, "headers")):
        for name in names:
            full = os.path.join(place, name)
            before[full] = sha256(full)
    grid.unmount()
    grid.stop_server(2)
    grid.stop_server(4)
    try:
        grid.mount()
        with open(os.path.join(grid.drive, "survivor"), "rb") as f:
            check(f.read() == payload, "wrong bytes")
        for full, digest in before.items():
            check(sha256(full) == digest, f"{full} changed")
    finally:
        grid.start_server()


def case_damaged_shares_are_never_returned(grid):
    payload = random.Random(10).randbytes(700_000)
    with open(os.path.join(grid.drive, "precious"), "wb") as f:
        f.write(payload)
    grid.command("flush")  # before that it has no cap
    cap = os.getxattr(os.path.join(grid.drive, "precious"), "user.lafs.cap").decode()
    verify = os.getxattr(os.path.join(grid.drive, "precious"), "user.lafs.verifycap").decode()
    index = verify.split(":")[2]
    shares = []
    for place, _, names in os.walk(grid.dir):
        if os.path.basename(place) == index:
            shares += [os.path.join(place, name) for name in names]
    check(len(shares) == 5, f"expected 5 shares of {index}, found {len(shares)}")
    rng = random.Random(11)
    for share in shares[:2]:  # one wrong byte in each of two shares
        at = rng.randrange(12 + 36, os.path.getsize(share) - 72 - 400)
        with open(share, "r+b") as f:
            f.seek(at)
            old = f.read(1)
            f.seek(at)
            f.write(bytes([old[0] ^ 1]))
    grid.remount()
    with open(os.path.join(grid.drive, "precious"), "rb") as f:
        check(f.read() == payload, "wrong bytes")
    third = shares[2]
    with open(third, "r+b") as f:  # now only two shares are whole: an error, not wrong bytes
        f.seek(12 + 36 + 1000)
        f.write(b"\0" * 100 if f.read(100) != b"\0" * 100 else b"\1" * 100)
    grid.remount()
    try:
        with open(os.path.join(grid.drive, "precious"), "rb") as f:
            data = f.read()
        check(data == payload, "wrong bytes were returned")
    except OSError:
        pass
    got = grid.command("get", cap, os.path.join(grid.work, "out"), ok=False)
    if got.returncode == 0:
        check(sha256(os.path.join(grid.work, "out")) == hashlib.sha256(payload).hexdigest(),
              "get returned wrong bytes")


def case_a_killed_daemon_does_not_block_the_next_mount(grid):
    with open(os.path.join(grid.drive, "kept"), "w") as f:
        f.write("kept")
    grid.daemon.kill()
    grid.daemon.wait()
    grid.mount()
    with open(os.path.join(grid.drive, "kept")) as f:
        check(f.read() == "kept", "what was closed before the kill is not there")


def case_sigterm_unmounts(grid):
    grid.daemon.send_signal(signal.SIGTERM)
    status = grid.daemon.wait(60)
    if status not in (0, 128 + signal.SIGTERM):
        raise Failed(f"exit status {status}: {grid.last_words()}")
    check(not os.path.ismount(grid.drive), "still mounted")
    grid.mount()


CASES = [value for name, value in list(globals().items()) if name.startswith("case_")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("lafs")
    parser.add_argument("source")
    parser.add_argument("--large", type=int, default=64, help="MiB of the large file")
    parser.add_argument("--only")
    args = parser.parse_args()
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        print("SKIP: /dev/fuse cannot be used")
        return 77
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that `finally` cleans up
    work = tempfile.mkdtemp(prefix="lafs-drive-")
    grid = Grid(os.path.abspath(args.lafs), work)
    grid.source, grid.large = os.path.abspath(args.source), args.large
    failed = 0
    try:
        grid.start()
        grid.mount()
        for case in CASES:
            name = case.__name__[5:].replace("_", " ")
            if args.only and args.only != case.__name__[5:]:
                continue
            began = time.monotonic()
            try:
                skipped = case(grid)
                print(f"{'skip' if skipped else 'ok'}    {name}"
                      f"{': ' + skipped if skipped else ''} ({time.monotonic() - began:.1f} s)",
                      flush=True)
            except (Failed, OSError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"FAIL  {name}: {error}", flush=True)
                if grid.daemon is None or grid.daemon.poll() is not None:
                    if os.path.ismount(grid.drive):
                        subprocess.run(["umount", "-l", grid.drive])
                    grid.mount()
        grid.unmount()
    finally:
        grid.close()
        shutil.rmtree(work, ignore_errors=True)
    print(f"{failed} failed" if failed else "all cases passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
