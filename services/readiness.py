"""Has the health service say whether each service can be used: its peers, its database and its disk."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from wordspot.services.errors import PeerUnavailable, ServiceError

CHECK_SECONDS = 3.0  # between two checks of a service
PEER_TIMEOUT_S = 2.0
MIN_FREE_BYTES = 1 << 20

_LOGGER = logging.getLogger("wordspot.services")
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Unusable(ServiceError):
    """The home of a service cannot be used."""


class Readiness:
    """Checks services every few seconds, in a thread of its own. The whole serves while all of them do.

    Args:
        checks: by name of the service; each raises an exception while the service cannot be used.
        servicer: of the health service.
    """

    def __init__(self, checks: Mapping[str, Callable[[], None]], servicer: health.HealthServicer) -> None:
        self._checks = checks
        self._servicer = servicer
        self._problems: dict[str, str] = {}
        self._stopped = threading.Event()
        for name in checks:
            servicer.set(name, _SERVING)

    def start(self) -> None:
        """Checks from now on."""
        threading.Thread(target=self._run, name="readiness", daemon=True).start()

    def stop(self) -> None:
        """Ends the thread, after the check under way."""
        self._stopped.set()

    def _run(self) -> None:
        while True:
            for name, check in self._checks.items():
                self._update(name, _problem(check))
            if self._stopped.wait(CHECK_SECONDS):
                return

    def _update(self, name: str, problem: str) -> None:
        if self._stopped.is_set() or problem == self._problems.get(name, ""):
            return
        self._problems[name] = problem
        if problem:
            _LOGGER.warning("%s cannot be used: %s", name, problem)
        else:
            _LOGGER.info("%s can be used again", name)
        self._servicer.set(name, _NOT_SERVING if problem else _SERVING)
        self._servicer.set(health.OVERALL_HEALTH, _NOT_SERVING if any(self._problems.values()) else _SERVING)


def check_home(home: Path) -> None:
    """Raises Unusable while nothing can be written below the folder."""
    if not os.access(home, os.W_OK | os.X_OK):
        raise Unusable(f"{home} is not a folder that can be written to")
    status = os.statvfs(home)
    if status.f_flag & os.ST_RDONLY:
        raise Unusable(f"{home} is on a disk that is mounted read-only")
    if (free := status.f_bavail * status.f_frsize) < MIN_FREE_BYTES:
        raise Unusable(f"the disk of {home} must have {MIN_FREE_BYTES:,} bytes free, got {free:,}")


def check_peer(channel: grpc.Channel, address: str, name: str) -> None:
    """Raises PeerUnavailable while the service of that name does not serve. channel: to the address."""
    request = health_pb2.HealthCheckRequest(service=name)
    try:
        answer = health_pb2_grpc.HealthStub(channel).Check(request, timeout=PEER_TIMEOUT_S)
    except grpc.RpcError as error:
        raise PeerUnavailable(f"{name} does not answer at {address}") from error
    if answer.status != _SERVING:
        raise PeerUnavailable(f"{name} at {address} cannot be used")


def _problem(check: Callable[[], None]) -> str:
    """Returns why a service cannot be used; "" if it can."""
    try:
        check()
    except Exception as error:
        return str(error) or type(error).__name__
    return ""
