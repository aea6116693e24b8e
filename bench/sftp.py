"""Downloads by OpenSSH's sftp from our server and from OpenSSH's own, of the same bytes with the same cipher."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bench import machine
from bench.figure import Figure
from bench.place import Place

if TYPE_CHECKING:
    from bench.__main__ import Asked

CIPHER = "aes128-gcm@openssh.com"
MIB = 2**20
REACH = "≥ 1.0 × OpenSSH's server"


def figures(asked: Asked) -> Iterator[Figure]:
    """One stream of everything, and eight."""
    for size in [asked.size] if asked.size else [16 * MIB] if asked.quick else [64 * MIB, 256 * MIB]:
        with Place() as place:
            place.start()
            place.put(size)
            with Sshd(place) as sshd:
                for streams in (1, 8):
                    ours, peer = measure(place, sshd, size, streams, 1 if asked.quick else 3)
                    ratio = ours["mib_per_second"] / peer["mib_per_second"]
                    yield Figure(
                        name="sftp",
                        size=f"{size // MIB} MiB, {streams} stream{'s' if streams > 1 else ''}",
                        measured=ours,
                        peer="OpenSSH sshd and sftp-server",
                        peer_measured=peer,
                        ratio=round(ratio, 3),
                        better="higher",
                        reach=REACH,
                        met=ratio >= 1.0,
                        note=f"{CIPHER}, OpenSSH's sftp as the client of both; median of 3, in turns",
                    )


class Sshd:
    """OpenSSH's server with a key of its own, for this user, one sftp-server process for each connection."""

    def __init__(self, place: Place) -> None:
        self.folder = place.folder / "sshd"
        self.folder.mkdir(mode=0o700)
        self.key = place.key_file()
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / "host")]
        subprocess.run(make, check=True)
        public = subprocess.run(["ssh-keygen", "-y", "-f", str(self.key)], capture_output=True, text=True, check=True)
        (self.folder / "authorized").write_text(public.stdout, encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        places = ("/usr/lib/openssh/sftp-server", "/usr/libexec/sftp-server")
        server = next(path for path in places if Path(path).exists())
        conf = self.folder / "config"
        conf.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self.folder}/authorized\nStrictModes no\nPermitRootLogin yes\nMaxStartups 100\n"
            f"Ciphers {CIPHER}\nSubsystem sftp {server}\n",
            encoding="utf-8",
        )
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self._process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", str(conf)], stderr=subprocess.DEVNULL)

    def __enter__(self) -> Self:
        deadline = time.monotonic() + 10
        while True:
            with suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("sshd did not start")
            time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(10)

    def cpu_seconds(self) -> float:
        """Processor time so far, of connections that have ended."""
        return machine.cpu_seconds(self._process.pid)


def measure(place: Place, sshd: Sshd, size: int, streams: int, times: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ours and OpenSSH's, in turns."""
    host, _, port = str(place.keten.ready["sftp"]).rpartition(":")
    ours_at = (f"{place.client(0)}@{host.strip('[]')}", int(port), "purpose/object.bin")
    theirs_at = (f"{getpass.getuser()}@127.0.0.1", sshd.port, str(place.folder / "object.bin"))
    ours, theirs = [], []
    cpu, sshd_cpu = 0.0, 0.0
    for turn in range(times + 1):  # the first fills the page cache
        was, sshd_was = sum(place.cpu_seconds("gateway")), sshd.cpu_seconds()
        mine = fetch(sshd.key, *ours_at, streams)
        other = fetch(sshd.key, *theirs_at, streams)
        if turn:
            ours.append(size * streams / MIB / mine)
            theirs.append(size * streams / MIB / other)
            cpu += sum(place.cpu_seconds("gateway")) - was
            sshd_cpu += sshd.cpu_seconds() - sshd_was
    gigabytes = size * streams * times / 2**30
    return (
        {"mib_per_second": round(_median(ours)), "cpu_s_a_gib": round(cpu / gigabytes, 2)},
        {"mib_per_second": round(_median(theirs)), "cpu_s_a_gib": round(sshd_cpu / gigabytes, 2)},
    )


def fetch(key: Path, target: str, port: int, path: str, streams: int) -> float:
    """Download `streams` times at once to nowhere; seconds until all are done."""
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "IdentitiesOnly=yes", "LogLevel=ERROR")
    line = ["sftp", "-q", "-b", "-", "-i", str(key), "-P", str(port), "-c", CIPHER]
    for option in options:
        line += ["-o", option]
    began = time.perf_counter()
    running = []
    for _ in range(streams):
        process = subprocess.Popen(
            [*line, target], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if process.stdin is not None:
            process.stdin.write(f"get {path} /dev/null\n")
            process.stdin.close()
        running.append(process)
    for process in running:
        said = process.stderr.read() if process.stderr else ""
        if process.wait():
            raise RuntimeError(said)
    return time.perf_counter() - began


def _median(numbers: list[float]) -> float:
    return sorted(numbers)[len(numbers) // 2]
