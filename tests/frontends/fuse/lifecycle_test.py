#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lifecycle_test.py MOUNT_MEMFS: how a mount begins and ends, seen from outside."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "conformance"))
from mounted import SKIP, MountFailed, Mounted, mounts_at, unmount  # noqa: E402

PROGRAM = ""


def write(path, text):
    with open(path, "w") as f:
        f.write(text)


def read(path):
    with open(path) as f:
        return f.read()


def mount(*options, path=None):
    return Mounted([PROGRAM, "{}", *options], path)


def refused(path):
    """The exit code and the complaint of a mount that must not come about."""
    result = subprocess.run([PROGRAM, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, timeout=30)
    return result.returncode, result.stderr


def umount_ends_the_program():
    with mount() as m:
        write(m.path + "/f", "x")
        assert unmount(m.path).returncode == 0
        assert m.ended() == 0
        assert os.listdir(m.path) == []


def sigterm_unmounts():
    for number in (signal.SIGTERM, signal.SIGINT):
        with mount() as m:
            write(m.path + "/f", "x")
            m.process.send_signal(number)
            assert m.ended() == 0
            assert mounts_at(m.path) == []


def sigterm_before_anything_is_asked():
    with mount() as m:
        m.process.send_signal(signal.SIGTERM)
        assert m.ended() == 0
        assert mounts_at(m.path) == []


def sigterm_serves_those_who_have_files_open():
    with mount() as m:
        with open(m.path + "/f", "w+") as f:
            f.write("before")
            f.flush()
            m.process.send_signal(signal.SIGTERM)
            while mounts_at(m.path):  # gone from the tree at once
                pass
            f.write(", after")
            f.flush()
            f.seek(0)
            assert f.read() == "before, after"
            assert m.process.poll() is None
        assert m.ended() == 0


def sigterm_does_not_wait_for_ever():
    with mount("--grace", "1") as m:
        fd = os.open(m.path + "/f", os.O_WRONLY | os.O_CREAT)
        m.process.send_signal(signal.SIGTERM)
        assert m.ended() == 0
        for touch in (lambda: os.write(fd, b"x"), lambda: os.close(fd)):
            try:
                touch()
                raise AssertionError("it went on after the end")
            except OSError as e:
                assert e.errno in (errno.ENOTCONN, errno.ECONNABORTED), e


def sigterm_leaves_alone_what_was_mounted_since():
    with mount("--grace", "1") as old:
        fd = os.open(old.path + "/f", os.O_WRONLY | os.O_CREAT)
        old.process.send_signal(signal.SIGTERM)
        while mounts_at(old.path):
            pass
        with mount(path=old.path) as new:
            write(new.path + "/f", "new")
            assert old.ended() == 0
            assert read(new.path + "/f") == "new"
            assert unmount(new.path).returncode == 0
            assert new.ended() == 0
        try:
            os.close(fd)
        except OSError:
            pass


def lazy_umount_serves_on():
    with mount() as m:
        with open(m.path + "/f", "w+") as f:
            assert unmount(m.path, lazy=True).returncode == 0
            f.write("still served")
            f.flush()
            assert m.process.poll() is None
        assert m.ended() == 0


def umount_of_a_busy_mount_is_refused():
    with mount() as m:
        with open(m.path + "/f", "w") as f:
            assert unmount(m.path).returncode != 0
            f.write("x")
        assert read(m.path + "/f") == "x"
        assert unmount(m.path).returncode == 0
        assert m.ended() == 0


def a_killed_program_leaves_a_mount_that_the_next_one_clears():
    with mount() as first:
        first.kill()
        try:
            os.listdir(first.path)
            raise AssertionError("a dead mount answered")
        except OSError as e:
            assert e.errno in (errno.ENOTCONN, errno.ECONNABORTED), e
        with mount(path=first.path) as second:
            write(second.path + "/f", "alive")
            assert read(second.path + "/f") == "alive"
            assert len(mounts_at(second.path)) == 1
            assert unmount(second.path).returncode == 0
            assert second.ended() == 0


def several_dead_mounts_are_cleared():
    with mount() as first:
        first.kill()
        path = first.path
        with mount(path=path) as second:
            second.kill()
            with mount(path=path) as third:
                assert len(mounts_at(path)) == 1
                assert unmount(path).returncode == 0
                assert third.ended() == 0


def a_second_mount_at_the_same_place_is_refused():
    with mount() as m:
        code, text = refused(m.path)
        assert code == 2 and "already mounted" in text, (code, text)
        write(m.path + "/f", "x")
        assert unmount(m.path).returncode == 0
        assert m.ended() == 0


def what_is_no_directory_is_refused():
    with tempfile.TemporaryDirectory() as d:
        write(d + "/file", "")
        assert refused(d + "/file")[0] == 2
        code, text = refused(d + "/missing")
        assert code == 2 and "No such file" in text, (code, text)


def mountpoints_have_any_name():
    with tempfile.TemporaryDirectory() as d:
        for name in ("with space", "back\\slash", "comma,equals=", "umlaut-\u00e4"):
            path = os.path.join(os.path.realpath(d), name)
            os.mkdir(path)
            process = subprocess.Popen([PROGRAM, path], stdout=subprocess.PIPE, text=True)
            assert process.stdout.readline() == "mounted\n"
            write(path + "/f", "x")
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert os.listdir(path) == []


def a_symlink_may_name_the_mountpoint():
    with mount() as m, tempfile.TemporaryDirectory() as d:
        os.symlink(m.path, d + "/link")
        code, _ = refused(d + "/link")  # the same place by another name
        assert code == 2


def a_read_only_filesystem_says_so():
    with mount("--read-only") as m:
        try:
            write(m.path + "/f", "x")
            raise AssertionError("written")
        except OSError as e:
            assert e.errno == errno.EROFS, e


def a_full_filesystem_says_so():
    with mount("--capacity", "1000000") as m:
        try:
            write(m.path + "/f", "x" * 2_000_000)
            raise AssertionError("written")
        except OSError as e:
            assert e.errno == errno.ENOSPC, e
        os.unlink(m.path + "/f")
        write(m.path + "/f", "x" * 500_000)
        assert read(m.path + "/f") == "x" * 500_000


def unmounted_in_the_middle_of_work():
    with mount("--slow") as m:
        over = threading.Event()

        def work():
            i = 0
            try:
                while not over.is_set():
                    i += 1
                    write(f"{m.path}/f{i % 50}", "x" * 10_000)
                    os.rename(f"{m.path}/f{i % 50}", f"{m.path}/g{i % 50}")
            except OSError:
                pass  # the mount went away

        workers = [threading.Thread(target=work) for _ in range(6)]
        os.mkdir(m.path + "/sign-of-life")
        for w in workers:
            w.start()
        while len(os.listdir(m.path)) < 20:
            pass
        m.process.send_signal(signal.SIGTERM)
        assert m.ended() == 0
        over.set()
        for w in workers:
            w.join()
        # What the workers wrote after the unmount went to the directory below.
        assert "sign-of-life" not in os.listdir(m.path)


def read_ahead_is_set():
    if os.geteuid() != 0:
        return
    with mount() as m:
        device = os.stat(m.path).st_dev
        path = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
        assert read(path).strip() == "1024"


def main():
    global PROGRAM
    PROGRAM = sys.argv[1]
    try:
        mount().clear()
    except MountFailed as failed:
        print(failed)
        return SKIP if failed.code == SKIP else 1
    failures = 0
    for scenario in (
            umount_ends_the_program, sigterm_unmounts, sigterm_before_anything_is_asked,
            sigterm_serves_those_who_have_files_open, sigterm_does_not_wait_for_ever,
            sigterm_leaves_alone_what_was_mounted_since, lazy_umount_serves_on, umount_of_a_busy_mount_is_refused,
            a_killed_program_leaves_a_mount_that_the_next_one_clears,
            several_dead_mounts_are_cleared, a_second_mount_at_the_same_place_is_refused,
            what_is_no_directory_is_refused, mountpoints_have_any_name,
            a_symlink_may_name_the_mountpoint, a_read_only_filesystem_says_so,
            a_full_filesystem_says_so, unmounted_in_the_middle_of_work, read_ahead_is_set):
        name = scenario.__name__.replace("_", " ")
        try:
            scenario()
            print("ok  ", name, flush=True)
        except Exception as e:
            failures += 1
            print("FAIL", name, "-", type(e).__name__, e, flush=True)
            traceback.print_exc()
    print(failures, "failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
