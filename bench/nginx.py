"""nginx over TLS with the instance's own certificate: what a plain web server does on the same machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_CONF = """\
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
daemon off;
events {{ worker_connections 1024; }}
http {{
  access_log {log};
  sendfile on;
  keepalive_requests 1000000;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    ssl_conf_command Ciphersuites {cipher};
    root {root};
  }}
}}
"""


class Nginx:
    """One worker that serves the files of a folder. Context manager."""

    def __init__(self, folder: Path, root: Path, certificate: Path, key: Path, cipher: str) -> None:
        self.folder = folder
        folder.mkdir()
        for path in (root, *root.iterdir()):
            path.chmod(0o755 if path.is_dir() else 0o644)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        settings = {"certificate": certificate, "key": key, "cipher": cipher, "log": folder / "access.log"}
        conf = folder / "nginx.conf"
        text = _CONF.format(folder=folder, root=root, port=self.port, **settings)
        conf.write_text(("user root;\n" if os.getuid() == 0 else "") + text, encoding="utf-8")
        program = shutil.which("nginx") or "/usr/sbin/nginx"
        self._process = subprocess.Popen([program, "-c", str(conf)], stderr=subprocess.DEVNULL)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The master's process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    log = self.folder / "error.log"
                    raise RuntimeError(log.read_text() if log.exists() else "nginx did not start") from None
                time.sleep(0.05)
            else:
                return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(10)
