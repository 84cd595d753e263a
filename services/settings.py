"""Settings of the services: read once at the start of a process, and passed down.

A field `name` is read from the environment variable WORDSPOT_NAME; a command-line flag wins over it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast, get_type_hints

from wordspot.indexer import faults
from wordspot.services.access.credentials import Credentials
from wordspot.services.errors import ServiceError
from wordspot.services.limits import AUTO

PREFIX = "WORDSPOT_"
DETECTORS = ("silero", "energy", "none")
PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
INDEX_KINDS = (AUTO, "exact", "ivf-sq8", "ivf-pq")

Bounds = Mapping[str, tuple[float, float]]
Choices = Mapping[str, tuple[str, ...]]
SettingsT = TypeVar("SettingsT", bound="Settings")


class SettingsError(ServiceError, ValueError):
    """A setting cannot be used."""


def default_home() -> Path:
    """Returns ~/.wordspot. Raises SettingsError where the user has no home directory."""
    try:
        user_home = Path.home()
    except RuntimeError:
        user_home = Path()
    if not user_home.is_absolute():
        raise SettingsError("neither HOME nor WORDSPOT_HOME is set, and the user has no home directory")
    return user_home / ".wordspot"


class Settings:
    """What the settings of each service share.

    bounds: smallest and largest allowed value by field. choices: allowed values by field.
    """

    bounds: ClassVar[Bounds] = {}
    choices: ClassVar[Choices] = {}

    def __post_init__(self) -> None:
        for name, (least, most) in self.bounds.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise SettingsError(f"{name} must be between {least:,g} and {most:,g}, got {value}")
        for name, allowed in self.choices.items():
            if (value := getattr(self, name)) not in allowed:
                raise SettingsError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")

    @classmethod
    def read(cls: type[SettingsT], environment: Mapping[str, str], **flags: Any) -> SettingsT:
        """Returns settings by flags, then by the environment, then by default.

        flags: values by field; None means not given. Raises SettingsError.
        """
        types = get_type_hints(cls)
        values = {name: value for name, value in flags.items() if value is not None}
        for item in fields(cls):  # type: ignore[arg-type]
            text = environment.get(PREFIX + item.name.upper())
            if item.name not in values and text:
                values[item.name] = _parsed(PREFIX + item.name.upper(), text, types[item.name])
        return cls(**values)


@dataclass(frozen=True)
class ServerSettings(Settings):
    """host, port: where to listen, port 0 for any. socket: path of a Unix socket to listen on instead.

    max_calls: calls under way at once; more are turned away with RESOURCE_EXHAUSTED.
    stream_idle_seconds: a call whose caller neither sends nor reads for so long, while it is the caller's
    turn, ends with CANCELLED. connection_idle_seconds: a connection without a call for so long is closed.
    grace_seconds: what calls under way get when the server is asked to end.
    tls_certificate, tls_key: PEM files; without them connections are not encrypted. tls_client_authority: the
    certificates that sign clients'; only clients with such a certificate may connect.
    tokens: a file as `wordspot token` makes it; calls then need a token.
    oidc_issuer, oidc_audience, oidc_keys: of an identity provider whose tokens count too; the keys are an
    https URL or a file.
    audit_log: a file to which a line a call is appended.
    metrics_host, metrics_port: where Prometheus finds figures, port 0 for any; None serves none.
    traces: where spans go, "otlp" or the path of a file; "" for nowhere. log_format: text or json.
    insecure: listen beyond this machine although calls need no token or are not encrypted.
    """

    host: str = "127.0.0.1"
    port: int = 0
    socket: str = ""
    reflection: bool = False
    max_calls: int = 512
    stream_idle_seconds: float = 30.0
    connection_idle_seconds: float = 300.0
    grace_seconds: float = 5.0
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_client_authority: Path | None = None
    tokens: Path | None = None
    oidc_issuer: str = ""
    oidc_audience: str = ""
    oidc_keys: str = ""
    audit_log: Path | None = None
    insecure: bool = False
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    traces: str = ""
    log_format: str = "text"

    bounds: ClassVar[Bounds] = {
        "metrics_port": (0, 65_535),
        "port": (0, 65_535),
        "max_calls": (1, 10_000),
        "stream_idle_seconds": (0.1, 86_400),
        "connection_idle_seconds": (1, 86_400),
        "grace_seconds": (0, 3_600),
    }
    choices: ClassVar[Choices] = {"log_format": ("text", "json")}

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError("tls_certificate and tls_key must be given together")
        if self.tls_client_authority is not None and self.tls_certificate is None:
            raise SettingsError("tls_client_authority needs tls_certificate and tls_key")
        provider = (self.oidc_issuer, self.oidc_audience, self.oidc_keys)
        if any(provider) and not all(provider):
            raise SettingsError("oidc_issuer, oidc_audience and oidc_keys must be given together")

    @property
    def asks_for_tokens(self) -> bool:
        """Whether a call needs a token."""
        return self.tokens is not None or bool(self.oidc_issuer)

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        if self.socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:  # a name, which may be anybody's
            return False

    @property
    def address(self) -> str:
        """Where the server listens, host:port or unix:PATH."""
        return f"unix:{self.socket}" if self.socket else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class SegmenterSettings(Settings):
    """detector: used where a call names none.

    queue_seconds: how long a query may wait for its turn; more are turned away with RESOURCE_EXHAUSTED.
    """

    detector: str = "silero"
    queue_seconds: float = 5.0

    bounds: ClassVar[Bounds] = {"queue_seconds": (0.1, 600)}
    choices: ClassVar[Choices] = {"detector": DETECTORS}


@dataclass(frozen=True)
class Placement:
    """device: cpu, cuda, cuda:1 or auto. precision: one of PRECISIONS."""

    device: str = AUTO
    precision: str = "fp32"


@dataclass(frozen=True)
class ModelHostSettings(Settings):
    """home: models of the user's own lie below home/models. device: cpu, cuda or auto.

    threads: of an encoder, 0 for half the cores with torch and for all without.
    batch_sections, batch_seconds: what one batch holds at most.
    batch_examples: what one batch of a model that does not embed speech holds at most.
    batch_delay_ms: how long work waits for more of the batch. queue_sections: more waiting are turned away.
    placements: of single models, as NAME=DEVICE or NAME=DEVICE/PRECISION with fp32, fp16 or bf16; what embeds
    speech runs with fp32.
    """

    home: Path = Path()
    device: str = AUTO
    threads: int = 0
    batch_sections: int = 48
    batch_seconds: float = 240.0
    batch_examples: int = 64
    batch_delay_ms: float = 5.0
    queue_sections: int = 64
    placements: tuple[str, ...] = ()

    bounds: ClassVar[Bounds] = {
        "threads": (0, 1_024),
        "batch_sections": (1, 1_024),
        "batch_seconds": (1, 3_600),
        "batch_examples": (1, 1_024),
        "batch_delay_ms": (0, 1_000),
        "queue_sections": (1, 100_000),
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in self.placements:
            name, _, where = text.partition("=")
            device, _, precision = where.partition("/")
            if not name or not device or (precision or "fp32") not in PRECISIONS:
                raise SettingsError(
                    "placements must be NAME=DEVICE or NAME=DEVICE/PRECISION with "
                    f"{', '.join(PRECISIONS)}, got {text!r}"
                )

    @property
    def cores(self) -> int:
        """Threads of an encoder without torch, which do not spin while they wait."""
        return self.threads or len(os.sched_getaffinity(0))

    @property
    def torch_threads(self) -> int:
        """Threads of torch."""
        # Half the cores: segmentation and alignment keep the others busy, and threads that contend spin.
        return self.threads or max(1, len(os.sched_getaffinity(0)) // 2)

    def placement(self, name: str) -> Placement:
        """Returns where a model is placed."""
        for text in self.placements:
            placed, _, where = text.partition("=")
            if placed == name:
                device, _, precision = where.partition("/")
                return Placement(device, precision or "fp32")
        return Placement(self.device)


@dataclass(frozen=True)
class SearcherSettings(Settings):
    """home: where archives live. database_url: None means SQLite below home.

    default_encoder: of new archives; auto for the best that the model host can run without a download.
    roots: folders from which files may be added by path. isolate: decode in child processes that can be
    killed, for files that come from clients. workers: recordings indexed at once.
    queue_seconds: how long a search may wait for its turn; more are turned away with RESOURCE_EXHAUSTED.
    commit_seconds: how long indexing may go on before what is done is made durable; less at its beginning.
    wait_seconds: how long to wait at the start for another process that has the home open.
    resume: go on at the start with indexing that the end of an earlier process has interrupted.
    read_only: only read the home, which another process may be changing.
    scrub_hours: how long after one scrub of all stored bytes the next begins; 0 for none.
    segmenter, modelhost: addresses of the other two services. credentials: with which they are called.
    """

    home: Path = Path()
    database_url: str | None = None
    roots: tuple[Path, ...] = ()
    index_kind: str = AUTO
    default_encoder: str = AUTO
    max_recording_seconds: float = 12 * 3600.0
    max_query_seconds: float = 60.0
    queue_seconds: float = 5.0
    workers: int = 4
    isolate: bool = True
    commit_seconds: float = 30.0
    wait_seconds: float = 0.0
    resume: bool = True
    read_only: bool = False
    scrub_hours: float = 168.0
    segmenter: str = "127.0.0.1:50052"
    modelhost: str = "127.0.0.1:50053"
    credentials: Credentials = field(default_factory=Credentials)

    bounds: ClassVar[Bounds] = {
        "max_recording_seconds": (1, 7 * 24 * 3600.0),
        "max_query_seconds": (1, 600),
        "queue_seconds": (0.1, 600),
        "commit_seconds": (0, 3_600),
        "wait_seconds": (0, 7 * 24 * 3600.0),
        "scrub_hours": (0, 24 * 366.0),
        "workers": (1, 256),
    }
    choices: ClassVar[Choices] = {"index_kind": INDEX_KINDS}


@dataclass(frozen=True)
class GatewaySettings(Settings):
    """http_host, http_port: where HTTP listens, port 0 for any.

    any_port: another port, if that one is taken.
    spool: where uploads lie until they are complete; None for a folder among the temporary files.
    note: file that says where HTTP listens as long as it does; None for nowhere.
    http_names: that requests may name in Host, besides addresses, `localhost` and the machine's own name.
    searcher, modelhost: addresses of the services behind it.
    stream_idle_seconds: a caller who neither sends nor reads for so long, while it is the caller's turn, is
    disconnected. connection_idle_seconds: a connection without a request for so long is closed.
    grace_seconds: what requests under way get when the server is asked to end.
    security: whose TLS and insecure count for HTTP, too. credentials: how services are reached; callers' own
    tokens are sent to them.
    """

    http_host: str = "127.0.0.1"
    http_port: int = 8080
    any_port: bool = False
    spool: Path | None = None
    note: Path | None = None
    http_names: tuple[str, ...] = ()
    searcher: str = "127.0.0.1:50051"
    modelhost: str = "127.0.0.1:50053"
    stream_idle_seconds: float = 30.0
    connection_idle_seconds: float = 300.0
    grace_seconds: float = 5.0
    security: ServerSettings = field(default_factory=ServerSettings)
    credentials: Credentials = field(default_factory=Credentials)

    bounds: ClassVar[Bounds] = {
        "http_port": (0, 65_535),
        "stream_idle_seconds": (0.1, 86_400),
        "connection_idle_seconds": (1, 86_400),
        "grace_seconds": (0, 3_600),
    }


def home(environment: Mapping[str, str]) -> Path:
    """Returns WORDSPOT_HOME, or ~/.wordspot. Raises SettingsError where there is neither."""
    path = Path(environment.get(PREFIX + "HOME") or default_home())
    try:
        return path.expanduser().absolute()
    except (RuntimeError, FileNotFoundError) as error:  # no such user; a current folder that was removed
        raise SettingsError(f"{PREFIX}HOME must be the path of a folder, got {path}: {error}") from error


def arm_faults(environment: Mapping[str, str]) -> None:
    """Makes this process fail at a named point, WORDSPOT_FAULT=point[:action], to test what survives.

    Raises SettingsError.
    """
    if not (text := environment.get(PREFIX + "FAULT")):
        return
    point, _, action = text.partition(":")
    try:
        faults.arm(point, cast(faults.Action, action or "kill"))
    except ValueError as error:
        raise SettingsError(f"{PREFIX}FAULT is {text!r}: {error}") from error


def _parsed(name: str, text: str, kind: Any) -> Any:
    if kind is bool:
        allowed = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
        if text.lower() not in allowed:
            raise SettingsError(f"{name} must be one of {', '.join(allowed)}, got {text!r}")
        return allowed[text.lower()]
    if kind in (int, float, int | None):
        try:
            return float(text) if kind is float else int(text)
        except ValueError:
            raise SettingsError(f"{name} must be a number, got {text!r}") from None
    if kind == tuple[Path, ...]:
        return tuple(Path(part) for part in text.split(os.pathsep) if part)
    if kind == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if kind in (Credentials, ServerSettings):
        raise SettingsError(f"{name} is not a setting")
    return Path(text) if kind in (Path, Path | None) else text
