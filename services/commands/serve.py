"""wordspot serve: the services, in one process or each in its own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wordspot.services import settings
from wordspot.services.access.credentials import Credentials
from wordspot.services.commands import console
from wordspot.services.gateway.notes import NOTE
from wordspot.services.settings import (
    GatewaySettings,
    ModelHostSettings,
    SearcherSettings,
    SegmenterSettings,
    ServerSettings,
)
from wordspot.services.telemetry import logs


class ServiceName(StrEnum):
    """What runs in the process."""

    all = "all"
    segmenter = "segmenter"
    modelhost = "modelhost"
    searcher = "searcher"
    gateway = "gateway"


PORTS = {
    ServiceName.all: 50051,
    ServiceName.searcher: 50051,
    ServiceName.segmenter: 50052,
    ServiceName.modelhost: 50053,
    ServiceName.gateway: 8080,
}


Which = Annotated[ServiceName, typer.Argument(metavar="[all|segmenter|modelhost|searcher|gateway]")]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where to listen; port 0 for any. [default: 127.0.0.1, port 50051 for all and searcher, "
        "segmenter 50052, modelhost 50053, gateway 8080]",
    ),
]
Host = Annotated[str | None, typer.Option(help="The host of --address alone.")]
Port = Annotated[int | None, typer.Option(help="The port of --address alone.")]
Reflection = Annotated[
    bool | None, typer.Option("--reflection/--no-reflection", help="Let clients list the services.")
]
SegmenterAddress = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where the searcher finds the segmenter.")
]
ModelHostAddress = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Where the searcher and the gateway find the model host."),
]
SearcherAddress = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where the gateway finds the searcher.")
]
HttpAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Where the page and the HTTP API of `serve all` are; default 127.0.0.1:8080.",
    ),
]
NoHttp = Annotated[bool, typer.Option("--no-http", help="Neither page nor HTTP API.")]
Roots = Annotated[
    list[Path] | None, typer.Option(help="Files below this folder may be added by path; repeatable.")
]
Detector = Annotated[str | None, typer.Option(help="Of speech: silero, energy or none.")]
Device = Annotated[str | None, typer.Option(help="For the models: cpu, cuda or auto.")]
Tokens = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Calls need a token out of this file, see `wordspot token`."),
]
TlsCertificate = Annotated[
    Path | None, typer.Option(metavar="PEM", help="Encrypt connections with this certificate ...")
]
TlsKey = Annotated[Path | None, typer.Option(metavar="PEM", help="... and its private key.")]
TlsClientAuthority = Annotated[
    Path | None,
    typer.Option(metavar="PEM", help="Only clients with a certificate that this signs."),
]
AuditLog = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Append who called what, a line of JSON a call.")
]
Insecure = Annotated[
    bool | None,
    typer.Option("--insecure", help="Let other machines call without TLS or without tokens."),
]
MetricsPort = Annotated[
    int | None, typer.Option(help="Where Prometheus finds figures, on this machine; default nowhere.")
]
Traces = Annotated[
    str | None,
    typer.Option(metavar="otlp|FILE", help="Where spans of calls and of the stages of searches go."),
]
LogFormat = Annotated[str | None, typer.Option(help="Of what is logged: text or json.")]


def serve(
    which: Which = ServiceName.all,
    address: Address = None,
    host: Host = None,
    port: Port = None,
    reflection: Reflection = None,
    segmenter: SegmenterAddress = None,
    modelhost: ModelHostAddress = None,
    searcher: SearcherAddress = None,
    http: HttpAddress = None,
    no_http: NoHttp = False,
    root: Roots = None,
    detector: Detector = None,
    device: Device = None,
    wait: console.Wait = None,
    tokens: Tokens = None,
    tls_certificate: TlsCertificate = None,
    tls_key: TlsKey = None,
    tls_client_authority: TlsClientAuthority = None,
    audit_log: AuditLog = None,
    insecure: Insecure = None,
    metrics_port: MetricsPort = None,
    traces: Traces = None,
    log_format: LogFormat = None,
) -> None:
    """Serve until interrupted; prints the address once ready."""
    environment: Mapping[str, str] = os.environ
    home = settings.home(environment)
    flags = {
        "reflection": reflection,
        "tokens": tokens,
        "tls_certificate": tls_certificate,
        "tls_key": tls_key,
        "tls_client_authority": tls_client_authority,
        "audit_log": audit_log,
        "insecure": insecure,
        "metrics_port": metrics_port,
        "traces": traces,
        "log_format": log_format,
    }
    server = _server_settings(environment, which, address, host, port, flags)
    logs.install(server.log_format)
    segmenting = SegmenterSettings.read(environment, detector=detector)
    hosting = ModelHostSettings.read(environment, home=home, device=device)
    searching = SearcherSettings.read(
        environment,
        home=home,
        roots=tuple(root) if root else None,
        segmenter=segmenter,
        modelhost=modelhost,
        wait_seconds=wait,
        credentials=Credentials.read(environment),
    )
    if which is ServiceName.gateway:
        _run_gateway(
            _gateway_settings(environment, server, f"{server.host}:{server.port}", searcher, modelhost)
        )
        return
    gateway = None if no_http else gateway_beside(environment, http, server)
    _run(which, server, segmenting, hosting, searching, gateway)


def _server_settings(
    environment: Mapping[str, str],
    which: ServiceName,
    address: str | None,
    host: str | None,
    port: int | None,
    flags: Mapping[str, Any],
) -> ServerSettings:
    """Raises SettingsError, typer.BadParameter."""
    if address is not None:
        if host is not None or port is not None:
            raise typer.BadParameter("--address goes without --host and --port")
        host, port = host_and_port(address, "--address")
    default_port = {} if environment.get("WORDSPOT_PORT") else {"port": PORTS[which]}
    return ServerSettings.read(environment, **(default_port | _set_flags(host=host, port=port, **flags)))


def _gateway_settings(
    environment: Mapping[str, str],
    server: ServerSettings,
    address: str | None,
    searcher: str | None = None,
    modelhost: str | None = None,
) -> GatewaySettings:
    """Raises SettingsError."""
    host, port = (None, None) if address is None else host_and_port(address, "--http")
    return GatewaySettings.read(
        environment,
        spool=settings.home(environment) / "spool",
        note=settings.home(environment) / NOTE,
        security=server,
        credentials=replace(Credentials.read(environment), token=""),  # callers bring their own
        **_set_flags(http_host=host, http_port=port, searcher=searcher, modelhost=modelhost),
    )


def gateway_beside(
    environment: Mapping[str, str], address: str | None, server: ServerSettings
) -> GatewaySettings | None:
    """Returns where HTTP listens beside the other services; None for nowhere.

    Where nobody said where, a taken port does not keep the services from starting.
    """
    settings = _gateway_settings(environment, server, address)
    if address is not None or environment.get("WORDSPOT_HTTP_PORT"):
        return settings
    return replace(settings, http_port=0 if server.port == 0 else settings.http_port, any_port=True)


def host_and_port(text: str, option: str) -> tuple[str, int]:
    """Returns host and port. option: that holds them. Raises SettingsError."""
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or len(port) > 5 or not host:
        raise settings.SettingsError(f"{option} must be HOST:PORT, got {text!r}")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _run_gateway(options: GatewaySettings) -> None:
    from wordspot.services.gateway import app as gateway_app
    from wordspot.services.gateway.peers import Addresses

    gateway_app.run(Addresses(options.searcher, options.modelhost), options)


def _run(
    which: ServiceName,
    server: ServerSettings,
    segmenting: SegmenterSettings,
    hosting: ModelHostSettings,
    searching: SearcherSettings,
    gateway: GatewaySettings | None,
) -> None:
    """Runs a service, or all of them, until it is interrupted."""
    if which is ServiceName.segmenter:
        from wordspot.services.segmenter import app as segmenter_app

        segmenter_app.run(server, segmenting)
    elif which is ServiceName.modelhost:
        from wordspot.services.modelhost import app as modelhost_app

        modelhost_app.run(server, hosting)
    elif which is ServiceName.searcher:
        from wordspot.services.searcher import app as searcher_app

        searcher_app.run(server, searching)
    else:
        from wordspot.services import embedded

        embedded.run(embedded.EmbeddedSettings(segmenting, hosting, searching, server, gateway))


def _set_flags(**flags: Any) -> dict[str, Any]:
    """Returns the flags that are not None."""
    return {name: value for name, value in flags.items() if value is not None}
