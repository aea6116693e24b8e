"""Downloads over TLS, decrypted and recorded, against nginx's of the same bytes with the same client and cipher."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.figure import Figure
from bench.nginx import Nginx
from bench.place import Place
from keten.drills.reader import Reader

if TYPE_CHECKING:
    from bench.__main__ import Asked

CIPHER = "TLS_AES_256_GCM_SHA384"
SLOW = 32
MIB = 2**20
REACH = "≥ 0.85 × nginx; ≤ 8 MiB a connection"


def figures(asked: Asked) -> Iterator[Figure]:
    """Of 256 MiB and of 1 GiB."""
    for size in [asked.size] if asked.size else [16 * MIB, 32 * MIB] if asked.quick else [256 * MIB, 1024 * MIB]:
        ours, peer = measure(size, 2 if asked.quick else 5)
        ratio = ours["mib_per_second"] / peer["mib_per_second"]
        yield Figure(
            name="download",
            size=f"{size // MIB} MiB",
            measured=ours,
            peer="nginx, static file from the page cache, one worker",
            peer_measured=peer,
            ratio=round(ratio, 3),
            better="higher",
            reach=REACH,
            met=ratio >= 0.85 and ours["mib_a_connection"] <= 8,
            note=f"{CIPHER}, curl, medians in turns; ours decrypts in threads, so on a busy machine it gets more of it",
        )


def measure(size: int, times: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ours and nginx's, in turns."""
    with Place() as place:
        place.start()
        found = place.put(size)
        path = f"/v1/objects/{found}"
        root = place.folder / "root"
        root.mkdir()
        (place.folder / "object.bin").rename(root / "object")
        paths = place.keten.paths
        ours, theirs = [], []
        cpu_before = nginx_before = 0.0
        with Nginx(place.folder / "nginx", root, paths.tls_certificate, paths.tls_key, CIPHER) as nginx:
            for turn in range(times + 1):  # the first fills the page cache
                system = place.system()
                system.get("/v1/shares")
                mine = curl(system.url + path, paths.ca, size, system.authorised("GET", path))
                other = curl(f"{nginx.url}/object", paths.ca, size, {})
                if turn:
                    ours.append(mine)
                    theirs.append(other)
                else:
                    cpu_before = sum(place.cpu_seconds("gateway"))
                    nginx_before = sum(map(machine.cpu_seconds, machine.children(nginx.pid)))
            gigabytes = size * times / 2**30
            cpu = (sum(place.cpu_seconds("gateway")) - cpu_before) / gigabytes
            nginx_cpu = (sum(map(machine.cpu_seconds, machine.children(nginx.pid))) - nginx_before) / gigabytes
        grown = memory(place, path)
    return (
        {
            "mib_per_second": round(_median(ours)),
            "cpu_s_a_gib": round(cpu, 2),
            "mib_a_connection": round(grown, 2),
        },
        {"mib_per_second": round(_median(theirs)), "cpu_s_a_gib": round(nginx_cpu, 2)},
    )


def curl(url: str, ca: Path, size: int, headers: dict[str, str]) -> float:
    """Download once; MiB a second by curl's own clock."""
    line = ["curl", "--silent", "--show-error", "--fail", "--http1.1", "--cacert", str(ca), "--tls13-ciphers", CIPHER]
    for name, value in headers.items():
        line += ["-H", f"{name}: {value}"]
    line += ["-o", "/dev/null", "-w", "%{size_download} %{time_starttransfer} %{time_total}", url]
    done = subprocess.run(line, capture_output=True, text=True, check=True).stdout.split()
    if int(done[0]) != size:
        raise RuntimeError(f"{done[0]} bytes of {size}")
    return size / MIB / float(done[2])


def memory(place: Place, path: str) -> float:
    """How much the gateway grows with each of `SLOW` connections that read slowly, in MiB."""
    gateway = place.keten.pid("gateway")
    system = place.system()
    before = machine.resident_mib(gateway)
    most = before
    readers = [Reader(system, path, bytes_per_second=256 * 1024) for _ in range(SLOW)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.began.wait(30)
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        most = max(most, machine.resident_mib(gateway))
        time.sleep(0.1)
    with place.keten.keeper() as keeper:
        end(keeper)
    for thread in threading.enumerate():
        if isinstance(thread, Reader):
            thread.join(10)
    return (most - before) / SLOW


def end(keeper: Any) -> None:
    """End the supplier's access, so that the slow readers stop."""
    from keten.keeper import protocol as said

    keeper.call("revocation.revoke", said.Revoke("supplier", "supplier", "measured"), said.Revoked)


def _median(numbers: list[float]) -> float:
    return sorted(numbers)[len(numbers) // 2]
