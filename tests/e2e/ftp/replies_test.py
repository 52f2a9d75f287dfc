#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The reply codes of our server beside those of vsftpd and pyftpdlib: where these two agree, ours
must be the same, but for what EXCEPTIONS says. replies_test.py SERVE_FTP_MEMFS"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ftp_server
from ftp_server import Line, Server

# The client's lines; "DATA" ones open a data connection first and send or read something.
TALK = [
    "NOOP", "SYST", "FEAT", "HELP", "PWD", "TYPE I", "TYPE A", "TYPE X", "TYPE E", "MODE S", "MODE B",
    "STRU F", "STRU R", "MKD d", "MKD d", "CWD d", "CWD d", "CDUP", "XPWD", "XCWD d", "XCUP",
    "TYPE I", "PASV", "EPSV", "EPSV 9", "RETR none", "SIZE none", "MDTM none", "RNTO x",
    "RNFR none", "DELE none", "RMD none", "CWD none", "REST 0", "REST x", "ALLO 100", "ABOR",
    "DATA STOR f", "SIZE f", "MDTM f", "DATA RETR f", "DATA LIST", "DATA NLST", "DATA APPE f",
    "SIZE f", "REST 3", "DATA RETR f", "RNFR f", "RNTO g", "MKD d/e", "RMD d", "DELE d", "CWD g",
    "STAT", "DATA RETR d", "SIZE d", "PORT 1,2,3", "EPRT nonsense", "OPTS UTF8 ON", "OPTS nonsense",
    "SITE nonsense", "NONSENSE", "USER other", "ACCT x", "SMNT x", "DELE g", "RMD d/e", "RMD d",
    "QUIT",
]

EXCEPTIONS = {
    # command: why ours differs from both
}

VSFTPD = """listen=YES
listen_address=127.0.0.1
listen_port={port}
anonymous_enable=YES
no_anon_password=YES
anon_root={root}
anon_upload_enable=YES
anon_mkdir_write_enable=YES
anon_other_write_enable=YES
anon_umask=022
anon_world_readable_only=NO
write_enable=YES
ascii_upload_enable=YES
ascii_download_enable=YES
background=NO
seccomp_sandbox=NO
secure_chroot_dir={empty}
xferlog_enable=NO
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port):
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
    raise AssertionError("the server did not come up")


def talk(port, user, password):
    codes = []
    line = Line(port)
    assert line.reply()[0] == 220
    for first in ("PWD", "LIST", "PASS x"):
        codes.append((first, line.ask(first)))
    codes.append(("USER", line.ask("USER " + user)))
    code = line.ask("PASS " + password)
    codes.append(("PASS", code))
    for words in TALK:
        if not words.startswith("DATA "):
            if os.environ.get("VERBOSE"):
                print("say", words, flush=True)
            codes.append((words, line.ask(words)))
            continue
        data = line.passive()
        line.send(words[5:])
        code = line.reply()[0]
        if words.split()[1] in ("STOR", "APPE") and code < 200:
            data.sendall(b"0123456789")
            data.close()
        elif code < 200:
            while data.recv(1000):
                pass
            data.close()
        codes.append((words, code))
        if code < 200:
            codes.append((words + " end", line.reply()[0]))
        data.close()
    line.close()
    return codes


def pyftpdlib(root, port):
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", "import pyftpdlib"], capture_output=True).returncode == 0:
            return subprocess.Popen([python, "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", str(port), "-w",
                                     "-d", root, "-u", "alice", "-P", "secret"],
                                    stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    return None


def main():
    ftp_server.PROGRAM = sys.argv[1]
    vsftpd = shutil.which("vsftpd") or shutil.which("/usr/sbin/vsftpd")
    if not vsftpd or os.geteuid() != 0:
        print("SKIP: vsftpd is not installed, or we are not root, which it wants")
        return 77
    with tempfile.TemporaryDirectory(prefix="lafs-ftp-") as work:
        os.chmod(work, 0o755)
        roots = [os.path.join(work, name) for name in ("vsftpd", "pyftpdlib", "empty")]
        for root in roots:
            os.mkdir(root)
        # vsftpd's anonymous root must not be writable itself: one below it is.
        os.mkdir(os.path.join(roots[0], "w"))
        shutil.chown(os.path.join(roots[0], "w"), "ftp" if has_user("ftp") else "nobody")
        config = os.path.join(work, "vsftpd.conf")
        ports = [free_port(), free_port()]
        with open(config, "w") as f:
            f.write(VSFTPD.format(port=ports[0], root=roots[0], empty=roots[2]))
            f.write(f"anon_root={roots[0]}\nftp_username={'ftp' if has_user('ftp') else 'nobody'}\n")
        others = [subprocess.Popen([vsftpd, config]), pyftpdlib(roots[1], ports[1])]
        if not others[1]:
            others[0].terminate()
            print("SKIP: pyftpdlib is not installed")
            return 77
        try:
            for port in ports:
                wait_for(port)
            TALK.insert(0, "CWD w")
            first = talk(ports[0], "anonymous", "x")
            TALK.pop(0)
            first = [pair for pair in first if pair[0] != "CWD w"]
            second = talk(ports[1], "alice", "secret")
        finally:
            for other in others:
                other.terminate()
                other.wait()
    with Server() as server:
        ours = talk(server.port, "alice", "secret")
    wrong = agreed = 0
    for mine in ours:
        theirs = [dict_of(other).get(mine[0], []) for other in (first, second)]
        position = dict_of(ours)[mine[0]].index(mine[1])
        codes = [codes[min(position, len(codes) - 1)] if codes else None for codes in theirs]
        both = codes[0] == codes[1]
        agreed += both
        different = both and codes[0] is not None and codes[0] != mine[1]
        if different and mine[0] not in EXCEPTIONS:
            wrong += 1
        print(f"{mine[0]:20} ours {mine[1]}  vsftpd {codes[0]}  pyftpdlib {codes[1]}"
              f"{'  DIFFERENT ' + EXCEPTIONS.get(mine[0], '') if different else ''}")
    print(f"they agree on {agreed}; {wrong} of ours differ without a reason")
    return 1 if wrong or agreed < 20 else 0


def dict_of(pairs):
    out = {}
    for words, code in pairs:
        out.setdefault(words, []).append(code)
    return out


def has_user(name):
    import pwd
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False


if __name__ == "__main__":
    sys.exit(main())
