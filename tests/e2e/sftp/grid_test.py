#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lafs serve sftp on a grid of a real server: the host key of a Tahoe node, quotas, and what close says when data has
to reach the grid and cannot.

    grid_test.py LAFS
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from sftp_server import need, random_file, run

LAFS = sys.argv[1]


class Serving:
    """`lafs serve sftp` of a node."""

    def __init__(self, node, *options):
        self.process = subprocess.Popen([LAFS, "--node", node, "serve", "sftp", "--addr", "127.0.0.1:0", *options],
                                        stdout=subprocess.PIPE, text=True)
        self.said = [self.process.stdout.readline()]
        assert self.said[0].startswith("serving SFTP on "), self.said
        self.port = self.said[0].strip().rsplit(":", 1)[1]
        self.said += [self.process.stdout.readline() for _ in range(3)]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(60)
        self.process.stdout.close()
        return status


def sftp(serving, work, account, batch, check=True):
    return run("sftp", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o",
               f"UserKnownHostsFile={work / 'known'}", "-o", f"Port={serving.port}", "-i", work / "key", "-b", "-",
               f"{account}@127.0.0.1", input=batch.encode(), check=check)


def tahoe_host_key(node, work):
    """A key where Tahoe's documentation puts it; clients know only this one."""
    key = node / "private" / "ssh_host_rsa_key"
    run("ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", key)
    with open(node / "tahoe.cfg", "a", encoding="utf-8") as config:
        config.write("\n[sftpd]\nhost_pubkey_file = private/ssh_host_rsa_key.pub\n"
                     "host_privkey_file = private/tahoe_key\n")
    key.rename(node / "private" / "tahoe_key")
    public = (node / "private" / "ssh_host_rsa_key.pub").read_text()
    (work / "known").write_text("* " + public)
    return run("ssh-keygen", "-lf", node / "private" / "ssh_host_rsa_key.pub").text.split()[1]


def quota(serving, work):
    part = random_file(work / "part", 600_000)
    sftp(serving, work, "small", f"put {part} a")
    refused = sftp(serving, work, "small", f"put {part} b", check=False)
    assert refused.returncode != 0 and "Failure" in refused.text, refused.text
    df = sftp(serving, work, "small", "rm b\ndf").text
    assert " 976 " in df and " 388 " in df, df  # KiB: size and what is left
    # What goes away makes room, and the other account of the same root has no limit.
    sftp(serving, work, "small", f"rm a\nput {part} b")
    sftp(serving, work, "large", f"put {part} c\nput {part} d")
    refused = sftp(serving, work, "small", f"put {part} e", check=False)
    assert refused.returncode != 0 and "Failure" in refused.text, refused.text


def main():
    need("sftp", "ssh-keygen")
    work = pathlib.Path(tempfile.mkdtemp(prefix="lafs-sftp-"))
    grid, node = work / "grid", work / "node"
    try:
        run(LAFS, "grid", "start", "--servers", "1", "--dir", grid)
        run(LAFS, "--node", node, "create-node", "--grid", grid / "servers.yaml", "--shares", "1,1,1")
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / "key")
        for name, more in (("small", ["--quota", "1MB"]), ("large", [])):
            run(LAFS, "--node", node, "accounts", "add", name, "--key", work / "key.pub", *more)
        fingerprint = tahoe_host_key(node, work)
        with Serving(node) as serving:
            assert any(fingerprint in line for line in serving.said), serving.said
            quota(serving, work)
        # With grid durability what close says is what the grid says.
        part = work / "part"
        serving = Serving(node, "--durability", "grid")
        sftp(serving, work, "large", f"put {part} safe")
        serving.process.kill()  # nothing is left to be done
        serving.end()
        run(LAFS, "--node", node, "get", "tahoe:safe", work / "back")
        assert (work / "back").read_bytes() == part.read_bytes()
        serving = Serving(node, "--durability", "grid")
        sftp(serving, work, "large", "ls")
        run(LAFS, "grid", "stop", "--dir", grid)
        refused = sftp(serving, work, "large", f"put {part} unsafe", check=False)
        assert refused.returncode != 0, refused.text
        synced = sftp(serving, work, "large", f"put -f {part} unsynced", check=False)
        assert synced.returncode != 0 and "fsync" in synced.text.lower(), synced.text
        # It is not lost for that: it goes on when the grid is back.
        assert serving.end() != 0
        run(LAFS, "grid", "start", "--dir", grid)
        with Serving(node) as serving:
            sftp(serving, work, "large", f"get unsafe {work / 'back'}")
        assert (work / "back").read_bytes() == part.read_bytes()
        run(LAFS, "--node", node, "get", "tahoe:unsafe", work / "back2")
        assert (work / "back2").read_bytes() == part.read_bytes()
    finally:
        subprocess.run([LAFS, "grid", "stop", "--dir", grid], stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    os.environ.pop("SSH_AUTH_SOCK", None)
    sys.exit(main())
