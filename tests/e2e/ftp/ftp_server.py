# SPDX-License-Identifier: Apache-2.0
"""serve_ftp_memfs as a context, and clients that speak to it by hand."""

import ftplib
import os
import signal
import socket
import ssl
import subprocess
import tempfile

PROGRAM = None  # set by the test's main


class Server:
    """One server process. port, implicit; check() ends it and says whether it was clean."""

    def __init__(self, *options, tls=False):
        self.folder = tempfile.TemporaryDirectory(prefix="lafs-ftp-")
        self.certificate = os.path.join(self.folder.name, "ftp.pem")
        words = [PROGRAM, *options] + (["--tls", self.certificate] if tls else [])
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        self.stopping = False
        self.port = int(self.process.stdout.readline().split()[1])
        self.implicit = int(self.process.stdout.readline().split()[1]) if tls else None

    def __enter__(self):
        return self

    def stop(self):
        """Asked once: a second signal may come when nobody handles it any more."""
        if not self.stopping and self.process.poll() is None:
            self.stopping = True
            self.process.send_signal(signal.SIGTERM)

    def __exit__(self, kind, value, trace):
        self.stop()
        try:
            code = self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = "it did not end"
        self.process.stdout.close()
        self.folder.cleanup()
        if kind is None:
            assert code == 0, f"the server's exit: {code}"

    def login(self, user="alice", password="secret"):
        ftp = ftplib.FTP(timeout=20)
        ftp.connect("127.0.0.1", self.port)
        ftp.login(user, password)
        return ftp

    def context(self):
        context = ssl.create_default_context(cafile=self.certificate)
        return context


class Line:
    """A control connection by hand."""

    def __init__(self, port, address="127.0.0.1"):
        self.socket = socket.create_connection((address, port), timeout=20, source_address=(address, 0))
        self.file = self.socket.makefile("rb")

    def send(self, text):
        self.socket.sendall(text.encode() + b"\r\n")

    def reply(self):
        first = self.file.readline()
        if not first:
            return 0, ""
        code, text = int(first[:3]), first
        if first[3:4] == b"-":
            while True:
                line = self.file.readline()
                text += line
                if line[:4] == first[:3] + b" " or not line:
                    break
        return code, text.decode(errors="replace")

    def ask(self, text):
        self.send(text)
        return self.reply()[0]

    def login(self, user="alice", password="secret"):
        assert self.reply()[0] == 220
        assert self.ask("USER " + user) == 331
        assert self.ask("PASS " + password) == 230
        return self

    def passive(self):
        self.send("EPSV")
        code, text = self.reply()
        assert code == 229, text
        return socket.create_connection(
            (self.socket.getpeername()[0], int(text.split("|")[3])), timeout=20)

    def close(self):
        self.file.close()
        self.socket.close()


class SessionFTP(ftplib.FTP_TLS):
    """ftplib's FTPS, resuming the control connection's session on data connections."""

    def ntransfercmd(self, cmd, rest=None):
        conn, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            conn = self.context.wrap_socket(conn, server_hostname=self.host,
                                            session=self.sock.session)
        return conn, size
