"""What native libraries read from the environment when they load: set before the first is imported."""

from __future__ import annotations

from collections.abc import Mapping

DEFAULTS = {
    # gRPC's core writes to standard error; its errors arrive as exceptions anyway.
    "GRPC_VERBOSITY": "NONE",
    # Calls side by side keep the cores busy. Threads that share one product of matrices wait for
    # one another, and it takes several times the processor time.
    "OPENBLAS_NUM_THREADS": "1",
}


def missing(environment: Mapping[str, str]) -> dict[str, str]:
    """Returns the defaults of what the environment leaves open."""
    return {name: value for name, value in DEFAULTS.items() if name not in environment}
