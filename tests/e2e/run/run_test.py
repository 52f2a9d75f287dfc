#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lafs run: a mount, SFTP, FTP, storage and metrics from one tahoe.cfg, in one process with one
namespace; its parts fail and come back alone, its settings are read again, and it can be killed.

usage: run_test.py LAFS
"""
import json
import os
import signal
import subprocess
import sys
import tempfile

from run_world import SKIP, World, can_mount, check, free_port


def scenario(w):
    tub = free_port()
    w.make()
    w.made = w.made.replace("tub.port = disabled", f"tub.port = tcp:{tub}:interface=127.0.0.1")
    w.made = w.made.replace("tub.location = disabled", f"tub.location = tcp:127.0.0.1:{tub}")
    w.config(w.more)
    w.start()
    # Without accounts two parts cannot serve; the mount does, and they come once there are some.
    w.wait("metrics", lambda: w.metric('lafs_part_up{part="ftp"} 0'))
    w.run("accounts", "add", "alice", "--root", "tahoe:", "--password-stdin", stdin=b"secret\n")
    for part in ("ftp", "sftp"):
        w.wait(part, lambda: w.metric('lafs_part_up{part="%s"} 1' % part))
    check("accounts" in w.parts()["ftp"].get("error", ""), w.parts())
    # What one sees, all see.
    with open(os.path.join(w.drive, "from-mount"), "w") as f:
        f.write("mount")
    check(w.curl(f"ftp://127.0.0.1:{w.ftp}/from-mount") == b"mount", "FTP")
    w.curl(f"ftp://127.0.0.1:{w.ftp}/from-ftp", stdin=b"ftp")
    with open(os.path.join(w.drive, "from-ftp")) as f:
        check(f.read() == "ftp", "mount after FTP")
    protocols = subprocess.run(["curl", "--version"], capture_output=True, text=True).stdout
    if " sftp " in protocols:
        w.curl(f"sftp://127.0.0.1:{w.sftp}/from-sftp", stdin=b"sftp")
        with open(os.path.join(w.drive, "from-sftp")) as f:
            check(f.read() == "sftp", "mount after SFTP")
    # Figures of every layer.
    for name in ("process_open_fds", "lafs_log_lines", "lafs_offload_tasks_total",
                 "lafs_client_request_seconds_count", "lafs_mutable_publish_seconds_count",
                 "lafs_journal_records_total", "lafs_cache_jobs_total", "lafs_queue_items",
                 'lafs_fs_operations_total{what="create"}', 'lafs_logins_total{',
                 'lafs_ftp_transfers_total{', "lafs_part_up", "lafs_fuse_request_seconds_count",
                 "lafs_ftp_sessions 0", "lafs_sftp_connections 0"):
        w.wait(name, lambda: w.metric(name))


def settings_are_read_again(w):
    """All or nothing: what is wrong changes nothing, what is right needs no new start."""
    pid = w.daemon.pid
    second = os.path.join(w.work, "second")
    os.mkdir(second)
    good = w.more
    w.config(good.replace("enabled = true", "enabled = maybe", 1))
    done = w.lafs("reload")
    check(done.returncode == 5 and "tahoe.cfg:" in done.stderr and "stay as they are" in done.stderr,
          done.stderr)
    check(w.serving("sftp", "ftp"), w.parts())
    # Another mount, a storage server, another port for FTP, another log; without SFTP.
    ftp, w.ftp = w.ftp, free_port()
    w.config(good.replace("drive = ", f"other = tahoe: {second} ro\ndrive = ")
             .replace(f"tcp:{ftp}:", f"tcp:{w.ftp}:").replace("[sftpd]\nenabled = true", "[sftpd]")
             + "[storage]\nenabled = true\n[storageserver.plugins.lafs]\nnotice = hello\n"
               "[log]\nfile = run.log\nformat = json\n")
    w.daemon.send_signal(signal.SIGHUP)
    w.wait("the new parts", lambda: w.serving("storage", "ftp", f"mount {second}"))
    w.wait("SFTP goes", lambda: set(w.parts()) == {"storage", "ftp", f"mount {second}",
                                                   f"mount {w.drive}"})
    with open(os.path.join(second, "from-ftp")) as f:
        check(f.read() == "ftp", "the second mount")
    check(w.curl(f"ftp://127.0.0.1:{w.ftp}/from-mount") == b"mount", "FTP on its new port")
    check(w.curl(f"ftp://127.0.0.1:{ftp}/from-mount", ok=False) == b"", "FTP on its old port")
    with open(os.path.join(w.node, "run.log")) as f:
        check(all(json.loads(line)["time"] for line in f), "the log is not JSON")
    # Its own storage server joins the grid, and one leaves it: by servers.yaml.
    with open(os.path.join(w.node, "private", "servers.yaml")) as f:
        servers = f.read()
    first = servers.index("  v0-")
    next_one = servers.index("\n  v0-", first) + 1
    with open(os.path.join(w.node, "private", "servers.yaml"), "w") as f:
        f.write(servers[:first] + servers[next_one:])
    check("servers" in w.run("reload"), "nothing said")
    with open(os.path.join(w.drive, "after"), "w") as f:
        f.write("with two servers")
    w.run("flush")
    with open(os.path.join(w.node, "private", "servers.yaml"), "w") as f:
        f.write("storage: [\n")
    done = w.lafs("reload")
    check(done.returncode == 5 and "servers.yaml:" in done.stderr, done.stderr)
    with open(os.path.join(w.node, "private", "servers.yaml"), "w") as f:
        f.write(servers)
    w.config(good)
    w.ftp = ftp
    w.run("reload")
    w.wait("the old parts", lambda: w.serving("sftp", "ftp", f"mount {w.drive}"))
    w.wait("the second mount goes", lambda: not w.mounted(second))
    check(w.daemon.pid == pid and w.daemon.poll() is None, "another process")


def one_daemon_only(w):
    done = w.lafs("run")
    check(done.returncode != 0 and "another" in done.stderr, done.stderr)
    done = w.lafs("serve", "ftp", "--addr", "127.0.0.1:0")
    check(done.returncode != 0 and "another" in done.stderr, done.stderr)


def killed(w):
    for i in range(20):
        with open(os.path.join(w.drive, f"late-{i}"), "w") as f:
            f.write(str(i))
    w.kill()
    w.start()
    for i in range(20):
        with open(os.path.join(w.drive, f"late-{i}")) as f:
            check(f.read() == str(i), f"late-{i}")
    w.daemon.send_signal(signal.SIGTERM)
    check(w.daemon.wait(60) == 0, "exit status after SIGTERM")
    check(not w.mounted(), "still mounted")
    names = w.run("ls", "tahoe:").split()
    check("from-ftp" in names and "late-19" in names, names)


def main():
    if not can_mount():
        print("SKIP: needs root, /dev/fuse and curl")
        return SKIP
    with tempfile.TemporaryDirectory(prefix="lafs-run-") as work:
        w = World(os.path.abspath(sys.argv[1]), work)
        try:
            for case in (scenario, settings_are_read_again, one_daemon_only, killed):
                case(w)
                print("ok     ", case.__name__, flush=True)
        except Exception:
            print(w.logged()[-4000:])
            raise
        finally:
            w.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
