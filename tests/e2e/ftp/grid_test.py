#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""lafs serve ftp on a grid of real servers: what was answered with 226 is there, also after kill -9,
and for others who look at the grid. grid_test.py LAFS"""

import ftplib
import io
import os
import random
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time

LAFS = sys.argv[1]


def lafs(node, *words, **more):
    return subprocess.run([LAFS, "--node", node, *words], check=True, capture_output=True, timeout=60,
                          **more).stdout


def serve(node):
    process = subprocess.Popen([LAFS, "--node", node, "serve", "ftp", "--addr", "127.0.0.1:0"],
                               stdout=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    assert "ftp server on" in said, said
    return process, int(said.split()[3].rsplit(":", 1)[1])


def login(port, context):
    ftp = ftplib.FTP_TLS(context=context, timeout=60)
    ftp.connect("localhost", port)
    ftp.login("alice", "secret")
    ftp.prot_p()
    return ftp


def get(ftp, name):
    out = io.BytesIO()
    ftp.retrbinary("RETR " + name, out.write)
    return out.getvalue()


def main():
    work = tempfile.mkdtemp(prefix="lafs-ftp-")
    grid, node = os.path.join(work, "grid"), os.path.join(work, "node")
    process = None
    try:
        subprocess.run([LAFS, "grid", "start", "--servers", "5", "--dir", grid], check=True,
                       stdout=subprocess.DEVNULL)
        lafs(node, "create-node", "--grid", os.path.join(grid, "servers.yaml"), "--shares", "3,4,5")
        lafs(node, "accounts", "add", "alice", "--password-stdin", input=b"secret\n")
        process, port = serve(node)
        certificate = os.path.join(node, "private", "ftp.pem")
        assert os.stat(certificate).st_mode & 0o77 == 0
        context = ssl.create_default_context(cafile=certificate)
        ftp = login(port, context)
        data = {f"f{i}": random.Random(i).randbytes(size)
                for i, size in enumerate((0, 1, 50, 3000, 200_000, 3_000_000))}
        ftp.mkd("d")
        ftp.cwd("d")
        for name, content in data.items():
            ftp.storbinary("STOR " + name, io.BytesIO(content))
        assert sorted(ftp.nlst()) == sorted(data)
        for name, content in data.items():
            assert get(ftp, name) == content, name
            assert ftp.size(name) == len(content)
        ftp.sendcmd("SITE CPFR f5")
        ftp.sendcmd("SITE CPTO copy")
        ftp.storbinary("APPE f1", io.BytesIO(b"more"))
        data["f1"] += b"more"
        ftp.sendcmd("MFMT 20200101000000 f3")
        # Half an upload, then the machine is gone.
        conn = ftp.transfercmd("STOR half")
        conn.sendall(bytes(400_000))
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process, port = serve(node)
        ftp = login(port, context)
        ftp.cwd("d")
        assert sorted(ftp.nlst()) == sorted([*data, "copy"]), ftp.nlst()
        for name, content in data.items():
            assert get(ftp, name) == content, name
        assert get(ftp, "copy") == data["f5"]
        assert ftp.sendcmd("MDTM f3") == "213 20200101000000"
        ftp.rename("f4", "g4")
        ftp.delete("f2")
        assert "f2" not in ftp.nlst()
        ftp.quit()
        process.terminate()
        assert process.wait(60) == 0
        process.stdout.close()
        process = None
        assert lafs(node, "get", "tahoe:d/g4", "-") == data["f4"]
        assert lafs(node, "get", "tahoe:d/copy", "-") == data["f5"]
        listed = lafs(node, "ls", "tahoe:d").decode().split()
        assert "f5" in listed and "f4" not in listed and "f2" not in listed, listed
        print("ok")
        return 0
    finally:
        if process:
            process.kill()
            process.wait()
        subprocess.run([LAFS, "grid", "stop", "--dir", grid], stdout=subprocess.DEVNULL)
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
