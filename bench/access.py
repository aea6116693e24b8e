"""One access over HTTPS, whole: a DPoP proof of its own, decision, entry, key, 1 KiB decrypted and delivered."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import machine
from bench.figure import Figure
from bench.nginx import Nginx
from bench.place import Place

if TYPE_CHECKING:
    from bench.__main__ import Asked

CONNECTIONS = 64
CLIENTS = 16
PROOFS_A_SECOND = 6000
REACH = "≥ 3,000/s, p99 ≤ 40 ms"
SAFE_SECONDS = 40.0  # a proof holds for a minute either way
PROOFS_LUA = """\
local requests, at = {}, 0
function init(args)
  for line in io.lines(args[1]) do
    local token, proof, path = line:match("^(%S+) (%S+) (%S+)$")
    requests[#requests + 1] = wrk.format("GET", path, {Authorization = "DPoP " .. token, DPoP = proof})
  end
end
function request()
  at = at + 1
  return requests[math.min(at, #requests)]  -- a proof said again is refused, and counted as failed
end
"""


def figures(asked: Asked) -> Iterator[Figure]:
    """Of a small object and a larger one."""
    if shutil.which("wrk") is None:
        raise SystemExit("the figure 'access' needs wrk (Debian: wrk) and nginx (Debian: nginx-light)")
    seconds = 1 if asked.quick else 6
    for content in [asked.size] if asked.size else [1024, 65_536]:
        ours, peer = measure(content, seconds)
        ratio = ours["cpu_s_per_1000"] / peer["cpu_s_per_1000"]
        yield Figure(
            name="access",
            size=f"{content // 1024} KiB, {CONNECTIONS} connections",
            measured=ours,
            peer="nginx, static file, TLS 1.3",
            peer_measured=peer,
            ratio=round(ratio, 2),
            better="lower",
            reach=REACH,
            met=ours["per_second"] >= 3000 and ours["p99_ms"] <= 40 and not ours["failed"],
            note="ratio: processor seconds of gateway and keeper to nginx's",
        )


def measure(content: int, seconds: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Ours, then nginx's."""
    with Place(CLIENTS) as place:
        place.start()
        found = place.put(content)
        path = f"/v1/objects/{found}"
        script = place.folder / "proofs.lua"
        script.write_text(PROOFS_LUA, encoding="utf-8")
        systems = [place.system(number) for number in range(CLIENTS)]
        for system in systems:
            answer = system.get(path)
            if answer.status != 200:
                raise RuntimeError(f"{answer.status} {answer.body!r}")
        began = time.monotonic()
        proofs = place.folder / "proofs"
        with proofs.open("w", encoding="ascii") as file:
            for number in range(PROOFS_A_SECOND * seconds):
                system = systems[number % CLIENTS]
                file.write(f"{system.token} {system.proof('GET', system.url + path, system.token)} {path}\n")
        if time.monotonic() - began > SAFE_SECONDS:
            raise RuntimeError("making the proofs took so long that the first ones have expired")
        before = place.cpu_seconds("gateway", "keeper")
        size = place.size()
        ours = wrk(place.keten.ready["gateway"] + path, seconds, script, proofs)
        used = [now - was for now, was in zip(place.cpu_seconds("gateway", "keeper"), before, strict=True)]
        done = max(1, int(ours.pop("requests")))
        time.sleep(0.5)
        ours["entries_an_access"] = round((place.size() - size) / done, 2)
        ours["cpu_s_per_1000"] = round(sum(used) / done * 1000, 3)
        ours["gateway_cpu_s_per_1000"] = round(used[0] / done * 1000, 3)
        root = place.folder / "root"
        root.mkdir()
        (root / "object").write_bytes((place.folder / "object.bin").read_bytes())
        paths = place.keten.paths
        with Nginx(place.folder / "nginx", root, paths.tls_certificate, paths.tls_key, CIPHER) as nginx:
            was = sum(map(machine.cpu_seconds, machine.children(nginx.pid)))
            peer = wrk(f"{nginx.url}/object", seconds)
            now = sum(map(machine.cpu_seconds, machine.children(nginx.pid)))
        peer["cpu_s_per_1000"] = round((now - was) / int(peer.pop("requests")) * 1000, 4)
    return ours, peer


CIPHER = "TLS_AES_256_GCM_SHA384"


def wrk(
    url: str, seconds: int, script: Path | None = None, *arguments: Path, at: int = CONNECTIONS
) -> dict[str, Any]:
    """Run wrk with one thread until it is done. `at`: how many connections."""
    line = ["wrk", "-t1", f"-c{at}", f"-d{seconds}s", "--latency", url]
    if script is not None:
        line[-1:-1] = ["-s", str(script)]
    done = subprocess.run([*line, "--", *map(str, arguments)], capture_output=True, text=True, check=True).stdout
    latency = {name: _ms(value) for name, value in re.findall(r"(50|99)%\s+([\d.]+[a-z]+)", done)}
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", done)
    errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", done)
    counted = re.search(r"(\d+) requests in ([\d.]+)([a-z]+)", done)
    if counted is None:
        raise RuntimeError(done)
    took = _ms(counted[2] + counted[3]) / 1000
    return {
        "per_second": round(int(counted[1]) / took),
        "p50_ms": latency["50"],
        "p99_ms": latency["99"],
        "failed": int(failed[1]) if failed else 0,
        "socket_errors": sum(map(int, errors.groups())) if errors else 0,
        "requests": int(counted[1]),
    }


def _ms(text: str) -> float:
    unit = text.lstrip("0123456789.")
    return round(float(text.removesuffix(unit)) * {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}[unit], 3)
