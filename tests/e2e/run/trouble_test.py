#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong on people's machines: each is a clear error, and the other parts go on.

usage: trouble_test.py LAFS
"""
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from run_world import SKIP, World, can_mount, check, free_port


def part(w, name):
    return w.parts().get(name, {})


def a_port_in_use(w):
    """The part says which, the others serve, and it comes back by itself."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", w.ftp))
        taken.listen()
        w.start()
        w.wait("the others", lambda: w.serving("sftp", f"mount {w.drive}"))
        w.wait("the failure is told", lambda: str(w.ftp) in part(w, "ftp").get("error", ""))
        check(not part(w, "ftp")["serving"], part(w, "ftp"))
        check(f"ftp: down" in w.lafs("status").stdout, w.lafs("status").stdout)
    w.wait("FTP comes back", lambda: w.serving("ftp"), 90)
    check(part(w, "ftp")["failures"] >= 1, part(w, "ftp"))
    with open(os.path.join(w.drive, "file"), "w") as f:
        f.write("x" * 1000)
    check(w.curl(f"ftp://127.0.0.1:{w.ftp}/file") == b"x" * 1000, "FTP afterwards")


def a_mountpoint_that_is_taken_away(w):
    """Unmounted by hand: the other parts go on, and a reload of its line mounts it again."""
    subprocess.run(["umount", w.drive], check=True)
    w.wait("it is said", lambda: not part(w, f"mount {w.drive}").get("serving", True))
    check(w.curl(f"ftp://127.0.0.1:{w.ftp}/file") == b"x" * 1000, "FTP without the mount")
    good = w.more
    w.config(good.replace("tahoe: " + w.drive, f"tahoe: {w.drive} noatime"))
    w.run("reload")
    w.wait("it is mounted again", lambda: w.mounted() and w.serving(f"mount {w.drive}"))
    w.config(good)
    w.run("reload")
    w.wait("it is mounted as before", lambda: w.mounted() and w.serving(f"mount {w.drive}"))


def loose_permissions(w):
    private = os.path.join(w.node, "private")
    os.chmod(private, 0o755)
    try:
        done = w.lafs("config", "check")
        check(done.returncode == 5 and "chmod 700" in done.stdout, done.stdout)
        check("chmod 700" in w.lafs("doctor").stdout, "doctor")
    finally:
        os.chmod(private, 0o700)
    check(w.lafs("config", "check").returncode == 0, "after the cure")


def what_was_put_aside(w):
    """doctor tells of what the cache could not make sense of."""
    check("nothing in it is damaged" in w.lafs("doctor").stdout, "a sound cache")
    folder = os.path.join(w.node, "private", "drive", "staging", "rescued")
    os.makedirs(folder)
    open(os.path.join(folder, "7"), "w").close()
    done = w.lafs("doctor")
    check("1 files were set aside" in done.stdout and "lafs rescue DIR" in done.stdout, done.stdout)
    shutil.rmtree(folder)


def somebody_elses_directory(w):
    done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                           w.lafs_program, "--node", w.node, "status"], capture_output=True, text=True)
    check(done.returncode in (1, 5) and w.node in done.stderr and "ermission" in done.stderr,
          f"{done.returncode} {done.stderr}")
    os.chown(w.node, 65534, 65534)
    try:
        done = w.lafs("config", "check")
        check("belongs to nobody" in done.stdout and "chown" in done.stdout, done.stdout)
    finally:
        os.chown(w.node, os.geteuid(), os.getegid())


def a_second_daemon(w):
    for words in (["run"], ["serve", "sftp", "--addr", "127.0.0.1:0"]):
        done = w.lafs(*words)
        check(done.returncode != 0 and "another lafs" in done.stderr and w.node in done.stderr,
              f"{words}: {done.returncode} {done.stderr}")
    check(w.serving("ftp", "sftp"), "the first one minds")


def without_fuse(w):
    """A machine that has no /dev/fuse: files are served all the same."""
    w.daemon.terminate()
    check(w.daemon.wait(60) == 0, "exit status")
    dev = os.path.join(w.work, "dev")
    os.mkdir(dev)
    script = (f"mount -t tmpfs none {dev} && cd {dev} && mknod -m 666 null c 1 3 && "
              f"mknod -m 666 zero c 1 5 && mknod -m 666 urandom c 1 9 && mknod -m 666 random c 1 8 && "
              f"mkdir shm && mount --bind {dev} /dev && exec \"$@\"")
    inside = ["unshare", "-m", "sh", "-c", script, "sh", w.lafs_program]
    if subprocess.run(inside + ["--version"], capture_output=True).returncode != 0:
        print("        no mount namespaces here: not tried", flush=True)
        w.start()
        return
    doctor = subprocess.run(inside + ["doctor"], capture_output=True, env=w.env, text=True)
    check("there is no /dev/fuse" in doctor.stdout and "sftp" in doctor.stdout, doctor.stdout)
    done = subprocess.run(inside + ["mount", "tahoe:", w.drive], capture_output=True, env=w.env,
                          text=True, timeout=60)
    check(done.returncode != 0 and "fuse" in done.stderr, f"{done.returncode} {done.stderr}")
    log = open(os.path.join(w.work, "log"), "ab")
    w.daemon = subprocess.Popen(inside + ["--log", "info", "run"], env=w.env,
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    w.wait("the others", lambda: w.serving("sftp", "ftp"))
    w.wait("why not", lambda: "fuse" in part(w, f"mount {w.drive}").get("error", ""))
    check(w.curl(f"ftp://127.0.0.1:{w.ftp}/file") == b"x" * 1000, "FTP")
    w.daemon.terminate()
    check(w.daemon.wait(60) == 0, "exit status without FUSE")
    w.start()


def a_full_disk(w):
    """Writing says so, reading goes on, and with room again everything does."""
    w.daemon.terminate()
    check(w.daemon.wait(60) == 0, "exit status")
    small = os.path.join(w.work, "small")
    os.mkdir(small)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=700", "none", small], check=True)
    good, node = w.more, w.node
    try:
        shutil.copytree(node, os.path.join(small, "node"), ignore=shutil.ignore_patterns("cache", "drive", "*.sock"))
        w.node = os.path.join(small, "node")
        w.env["LAFS_NODE"] = w.node
        w.config(good.replace("tahoe: " + w.drive, f"tahoe: {w.drive} min_free=8M"))
        w.start()
        with open(os.path.join(w.drive, "before"), "w") as f:
            f.write("room")
        filler = os.path.join(small, "filler")
        with open(filler, "wb") as f:
            try:
                while True:
                    f.write(b"x" * (1 << 20))
                    f.flush()
            except OSError:
                pass
        try:
            with open(os.path.join(w.drive, "too-much"), "wb") as f:
                f.write(b"y" * (20 << 20))
                f.flush()
            raise AssertionError("20 MB went onto a full disk")
        except OSError as e:
            check(e.errno in (28, 122), e)  # ENOSPC, EDQUOT
        with open(os.path.join(w.drive, "before")) as f:
            check(f.read() == "room", "reading on a full disk")
        check(w.curl(f"ftp://127.0.0.1:{w.ftp}/before") == b"room", "FTP on a full disk")
        check(w.daemon.poll() is None, "the daemon ended")
        os.unlink(filler)

        def can_write():
            try:
                with open(os.path.join(w.drive, "after"), "w") as f:
                    f.write("room again")
                return True
            except OSError:
                return False
        w.wait("writing goes on", can_write)
        w.run("flush")
        check(w.run("cat", "tahoe:after") == "room again", "what was written afterwards")
        w.daemon.terminate()
        check(w.daemon.wait(60) == 0, "exit status after a full disk")
    finally:
        if w.daemon.poll() is None:
            w.kill()
        w.node = node
        w.env["LAFS_NODE"] = node
        subprocess.run(["umount", "-l", small], check=True)


def a_clock_far_off(w):
    if not shutil.which("faketime"):
        print("        no faketime here: not tried", flush=True)
        return
    done = subprocess.run(["faketime", "2001-02-03 04:05:06", w.lafs_program, "doctor"],
                          capture_output=True, env=w.env, text=True, timeout=60)
    check("the clock is before 2025" in done.stdout and "set it" in done.stdout, done.stdout)
    check("behind the servers' clocks" in done.stdout, done.stdout)
    done = subprocess.run(["faketime", "-f", "+3d", w.lafs_program, "doctor", "--json"],
                          capture_output=True, env=w.env, text=True, timeout=60)
    said = [one for one in json.loads(done.stdout)["findings"] if "servers' clocks" in one["what"]]
    check(len(said) == 1 and said[0]["verdict"] == "problem" and "ahead of" in said[0]["what"], said)
    done = w.lafs("doctor")
    check("agrees with the servers' clocks" in done.stdout, done.stdout)
    # Certificates are pinned, not dated: the grid works all the same.
    done = subprocess.run(["faketime", "2001-02-03 04:05:06", w.lafs_program, "cat", "tahoe:after"],
                          capture_output=True, env=w.env, text=True, timeout=60)
    check(done.stdout == "room again", done.stderr)


def main():
    if not can_mount():
        print("SKIP: needs root, /dev/fuse and curl")
        return SKIP
    with tempfile.TemporaryDirectory(prefix="lafs-trouble-") as work:
        os.chmod(work, 0o755)
        w = World(os.path.abspath(sys.argv[1]), work)
        try:
            w.make()
            w.run("accounts", "add", "alice", "--root", "tahoe:", "--password-stdin",
                  stdin=b"secret\n")
            for case in (a_port_in_use, a_mountpoint_that_is_taken_away, loose_permissions, what_was_put_aside,
                         somebody_elses_directory, a_second_daemon, without_fuse, a_full_disk,
                         a_clock_far_off):
                begin = time.monotonic()
                case(w)
                print(f"ok      {case.__name__} ({time.monotonic() - begin:.1f} s)", flush=True)
        finally:
            w.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
