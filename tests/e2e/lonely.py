"""Runs a command where it is alone with a name server: prints what it asked for and how often it called out.

Started in network and mount namespaces of its own (`unshare --net --mount`), whose only addresses are this
machine's. Every name is answered with one of them, so that whoever wants to send something gets to try.
"""

from __future__ import annotations

import fcntl
import json
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

SIOCSIFFLAGS, IFF_UP, IFF_RUNNING = 0x8914, 0x1, 0x40
NAME_PORT, WEB_PORTS = 53, (80, 443)
HOST = "127.0.0.1"
QUESTION_AT = 12  # bytes, after the header (RFC 1035, section 4.1.1)


def main() -> None:
    """Prints JSON: status, output and errors of the command; names asked for; calls to ports of the web;
    packets that had no route."""
    enable_loopback()
    resolve_here()
    names: list[str] = []
    calls: list[int] = []
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.bind((HOST, NAME_PORT))
    threading.Thread(target=answer, args=(listening, names), daemon=True).start()
    for port in WEB_PORTS:
        server = socket.create_server((HOST, port))
        threading.Thread(target=count, args=(server, calls), daemon=True).start()
    ended = subprocess.run(sys.argv[1:], capture_output=True, text=True, check=False)
    report = {"status": ended.returncode, "output": ended.stdout, "errors": ended.stderr}
    print(json.dumps(report | {"names": names, "calls": calls, "unrouted": unrouted()}))


def enable_loopback() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP | IFF_RUNNING))


def resolve_here() -> None:
    """In this mount namespace only."""
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write(f"nameserver {HOST}\n")
    subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)
    Path(file.name).unlink()


def answer(listening: socket.socket, names: list[str]) -> None:
    """Every question with this machine's address."""
    while True:
        message, asker = listening.recvfrom(4_096)
        labels, at = [], QUESTION_AT
        while length := message[at]:
            labels.append(message[at + 1 : at + 1 + length].decode())
            at += 1 + length
        names.append(".".join(labels))
        question = message[QUESTION_AT : at + 5]
        is_address = question[-4:-2] == b"\x00\x01"
        header = message[:2] + struct.pack(">HHHHH", 0x8180, 1, int(is_address), 0, 0)
        record = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(HOST)
        listening.sendto(header + question + (record if is_address else b""), asker)


def count(server: socket.socket, calls: list[int]) -> None:
    while True:
        connection, _ = server.accept()
        calls.append(server.getsockname()[1])
        connection.close()


def unrouted() -> int:
    """Packets for other machines, to which there is no way from here."""
    names, values = (
        line.split() for line in Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Ip:")
    )
    return int(dict(zip(names, values, strict=True))["OutNoRoutes"])


if __name__ == "__main__":
    main()
