#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""OpenSSH's own clients: sftp in batches, scp in both modes, ssh for what is allowed and what is not.

    openssh_test.py SERVE_MEMFS
"""

import filecmp
import os
import subprocess
import sys
import time

from sftp_server import Server, need, over_stdio, random_file, run, wait_until

BATCH = """
mkdir d
put {big} d/x
ls -la d
get d/x {back}
rename d/x d/z
symlink z d/l
ln d/z d/h
copy d/z d/c
put -f {small} d/s
chmod 600 d/z
df -h
reput {big} d/s
cd d
ls -l
rm l
rmdir /d/none
"""


def same(a, b):
    assert filecmp.cmp(a, b, shallow=False), f"{a} and {b} differ"


def check_batch(run_batch, directory):
    big = random_file(directory / "big", 5_000_001)
    small = directory / "small"
    small.write_bytes(big.read_bytes()[:1000])
    back = directory / "back"
    done = run_batch(BATCH.format(big=big, small=small, back=back), check=False)
    # The last command fails, and only that one.
    assert done.returncode != 0 and "No such file" in done.text, done.text
    assert "d/z" in done.text and "5000001" in done.text, done.text
    same(big, back)
    back.unlink()


def check_after_batch(server):
    big, back = server.dir / "big", server.dir / "back"
    server.sftp(f"get /d/s {back}")  # resumed after its first 1000 bytes
    same(big, back)
    back.write_bytes(big.read_bytes()[:3_000_000])
    server.sftp(f"reget /d/c {back}")
    same(big, back)
    listing = server.sftp("ls -l /d").text
    assert "-rw-------" in listing, listing
    assert server.sftp("ls /../../d").text.count("z") >= 1
    assert server.sftp("rename /d/none /d/y", check=False).returncode != 0


def check_scp(server):
    big = server.dir / "big"
    tree = server.dir / "tree"
    (tree / "a" / "b").mkdir(parents=True)
    random_file(tree / "a" / "b" / "c", 300_000)
    (tree / "empty").touch()
    os.utime(tree / "empty", (1_000_000_000, 1_100_000_000))
    to = f"alice@{server.host}:"
    for mode in ("-s", "-O"):
        name = "scp" + mode
        run("scp", mode, *server.ssh_options(), big, to + name)
        back = server.dir / name
        run("scp", mode, *server.ssh_options(), to + name, back)
        same(big, back)
        run("scp", mode, "-rp", *server.ssh_options(), tree, to + "tree" + mode)
        run("scp", mode, "-rp", *server.ssh_options(), to + "tree" + mode, server.dir / (name + "r"))
        same(tree / "a" / "b" / "c", server.dir / (name + "r") / "a" / "b" / "c")
        assert (server.dir / (name + "r") / "empty").stat().st_mtime == 1_100_000_000
        refused = run("scp", mode, *server.ssh_options(), to + "none", back, check=False)
        assert refused.returncode != 0 and "none" in refused.text, refused.text
    run("scp", "-O", *server.ssh_options(), to + "tree-O/emp*", server.dir / "globbed")


def check_ssh(server):
    ssh = ["ssh", *server.ssh_options(), f"alice@{server.host}"]
    big = server.dir / "big"
    for name in ("md5sum", "sha1sum", "sha256sum"):
        ours = run(*ssh, f"{name} 'scp-s' /d/c").text.splitlines()
        theirs = run(name, big).text.split()[0]
        assert [line.split()[0] for line in ours] == [theirs, theirs], ours
    empty = run(*ssh, "md5sum", stdin=subprocess.DEVNULL).text
    assert empty == "d41d8cd98f00b204e9800998ecf8427e  -\n", empty
    assert "Mounted on" in run(*ssh, "df -k /").text
    for command in ("id", "scp -f x; id", "md5sum $(id)", "sh", "df | sh", ""):
        refused = run(*ssh, command, check=False, stdin=subprocess.DEVNULL)
        assert refused.returncode != 0, (command, refused.text)
        assert "uid=" not in refused.text
    # A terminal, and a forwarded port.
    assert run(*ssh[:-1], "-tt", ssh[-1], check=False, stdin=subprocess.DEVNULL).returncode != 0
    forwarding = run(*ssh[:-1], "-o", "ExitOnForwardFailure=yes", "-N", "-R", "0:localhost:1",
                     ssh[-1], check=False)
    assert forwarding.returncode != 0, forwarding.text


def check_logins(server):
    other = server.dir / "other"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", other)
    assert server.sftp("ls", check=False, key=other).returncode != 0
    text = run("ssh", "-vv", *server.ssh_options(), f"alice@{server.host}", "df").text
    assert "strict KEX" in text or "kex-strict-s" in text, "no strict key exchange"
    # Whoever guesses is refused after a while, and it is in the log for fail2ban.
    for _ in range(13):
        run("ssh", *server.ssh_options(other), "-o", "IdentitiesOnly=yes", f"alice@{server.host}",
            "df", check=False)
    # Keys that were only asked about are no guesses.
    server.sftp("ls")


def check_rekey(server):
    big, back = server.dir / "big", server.dir / "rekeyed"
    server.sftp(f"put {big} rekeyed\nget rekeyed {back}", options=["-o", "RekeyLimit=1M"])
    same(big, back)


def check_killed_client(server):
    """What was written before is kept, and nothing of it is held."""
    client = subprocess.Popen(["sftp", "-l", "4000", *server.ssh_options(), "-b", "-",
                               f"alice@{server.host}"], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client.stdin.write(f"put {server.dir / 'big'} killed\n".encode())
    client.stdin.flush()

    def size():
        listing = server.sftp("ls -l killed", check=False)
        return int(listing.text.split()[-5]) if listing.returncode == 0 else 0

    wait_until("written to", lambda: size() > 0)
    client.kill()
    client.wait()
    time.sleep(0.2)
    assert 0 < size() < 5_000_001
    server.sftp(f"reput {server.dir / 'big'} killed\nget killed {server.dir / 'completed'}")
    same(server.dir / "big", server.dir / "completed")


def check_stop(server):
    """A client at work is told why it has to go."""
    client = subprocess.Popen(["sftp", "-l", "800", "-o", "LogLevel=INFO", *server.ssh_options(), "-b",
                               "-", f"alice@{server.host}"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    client.stdin.write(f"put {server.dir / 'big'} stopped\n".encode())
    client.stdin.close()
    wait_until("begun", lambda: server.sftp("ls stopped", check=False).returncode == 0)
    server.stop()
    said = client.stdout.read().decode()
    client.wait()
    assert "The server is stopping" in said, said


def main():
    need("sftp", "scp", "ssh", "ssh-keygen")
    serve_memfs = sys.argv[1]
    with Server(serve_memfs, "--slow", "--grace", "1") as server:
        check_batch(lambda batch, check: over_stdio([serve_memfs], batch, check), server.dir)
        check_batch(server.sftp, server.dir)
        check_after_batch(server)
        check_scp(server)
        check_ssh(server)
        check_logins(server)
        check_rekey(server)
        check_killed_client(server)
        check_stop(server)


if __name__ == "__main__":
    main()
