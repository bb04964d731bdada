"""Certificates of servers and clients: read once at startup, checked before anything listens or connects."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from chassis.settings import choice, file, setting

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The certificate of a server, and the clients it accepts: all, or those of an authority."""

    certificate: Path
    key: Path
    client_authority: Path | None = None

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """Return the credentials of a gRPC server."""
        return grpc.ssl_server_credentials(
            [(self.key.read_bytes(), self.certificate.read_bytes())],
            root_certificates=_content(self.client_authority),
            require_client_auth=self.client_authority is not None,
        )


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The servers that a client accepts, and its own certificate, if it has one."""

    authority: Path
    certificate: Path | None = None
    key: Path | None = None

    def grpc_credentials(self) -> grpc.ChannelCredentials:
        """Return the credentials of a gRPC channel."""
        return grpc.ssl_channel_credentials(
            root_certificates=_content(self.authority),
            private_key=_content(self.key),
            certificate_chain=_content(self.certificate),
        )


# Not slotted: a class with slots of its own could not be combined with the settings of a process.
@dataclass(frozen=True, kw_only=True)
class GrpcServerSettings:
    """TLS and reflection of a gRPC server."""

    grpc_certificate: Path | None = setting(
        "PARTSTREAM_GRPC_TLS_CERT",
        file,
        default=None,
        help="PEM file of the services' certificate chain; unset = no TLS",
    )
    grpc_key: Path | None = setting(
        "PARTSTREAM_GRPC_TLS_KEY", file, default=None, help="PEM file of the private key of that certificate"
    )
    grpc_client_authority: Path | None = setting(
        "PARTSTREAM_GRPC_TLS_CLIENT_CA",
        file,
        default=None,
        help="PEM file of the authority whose clients alone may connect (mTLS); unset = any client",
    )
    grpc_reflection: str = setting(
        "PARTSTREAM_GRPC_REFLECTION",
        choice("auto", "on", "off"),
        default="auto",
        help="whether services describe themselves to tools; auto = only where they listen on a loopback address",
    )

    def problems(self) -> list[str]:
        """Return a line for each file that cannot be used."""
        found = pair_problems(
            ("PARTSTREAM_GRPC_TLS_CERT", self.grpc_certificate), ("PARTSTREAM_GRPC_TLS_KEY", self.grpc_key)
        )
        if self.grpc_client_authority is not None and self.grpc_certificate is None:
            found.append("PARTSTREAM_GRPC_TLS_CLIENT_CA is set, but PARTSTREAM_GRPC_TLS_CERT is not: mTLS needs both")
        return found + authority_problems("PARTSTREAM_GRPC_TLS_CLIENT_CA", self.grpc_client_authority)

    @property
    def grpc_server_tls(self) -> ServerTls | None:
        """Return the server's TLS; ``None`` for plaintext."""
        if self.grpc_certificate is None or self.grpc_key is None:
            return None
        return ServerTls(self.grpc_certificate, self.grpc_key, self.grpc_client_authority)


@dataclass(frozen=True, kw_only=True)
class GrpcClientSettings:
    """TLS of the services' clients."""

    grpc_authority: Path | None = setting(
        "PARTSTREAM_GRPC_TLS_CA",
        file,
        default=None,
        help="PEM file of the authority that callers check the services' certificate with; unset = plaintext",
    )
    grpc_client_certificate: Path | None = setting(
        "PARTSTREAM_GRPC_TLS_CLIENT_CERT",
        file,
        default=None,
        help="PEM file of the certificate that callers show (mTLS)",
    )
    grpc_client_key: Path | None = setting(
        "PARTSTREAM_GRPC_TLS_CLIENT_KEY", file, default=None, help="PEM file of the private key of that certificate"
    )

    def problems(self) -> list[str]:
        """Return a line for each file that cannot be used."""
        found = pair_problems(
            ("PARTSTREAM_GRPC_TLS_CLIENT_CERT", self.grpc_client_certificate),
            ("PARTSTREAM_GRPC_TLS_CLIENT_KEY", self.grpc_client_key),
        )
        if self.grpc_client_certificate is not None and self.grpc_authority is None:
            found.append("PARTSTREAM_GRPC_TLS_CLIENT_CERT is set, but PARTSTREAM_GRPC_TLS_CA is not: mTLS needs both")
        return found + authority_problems("PARTSTREAM_GRPC_TLS_CA", self.grpc_authority)

    @property
    def grpc_tls(self) -> ClientTls | None:
        """Return the clients' TLS; ``None`` for plaintext."""
        if self.grpc_authority is None:
            return None
        return ClientTls(self.grpc_authority, self.grpc_client_certificate, self.grpc_client_key)


@dataclass(frozen=True, kw_only=True)
class HttpTlsSettings:
    """TLS of the edge."""

    http_certificate: Path | None = setting(
        "PARTSTREAM_EDGE_TLS_CERT", file, default=None, help="PEM file of the edge's certificate chain; unset = http"
    )
    http_key: Path | None = setting(
        "PARTSTREAM_EDGE_TLS_KEY", file, default=None, help="PEM file of the private key of that certificate"
    )

    def problems(self) -> list[str]:
        """Return a line for each file that cannot be used."""
        return pair_problems(
            ("PARTSTREAM_EDGE_TLS_CERT", self.http_certificate), ("PARTSTREAM_EDGE_TLS_KEY", self.http_key)
        )

    @property
    def http_tls(self) -> ServerTls | None:
        """Return the edge's TLS; ``None`` for plain HTTP."""
        if self.http_certificate is None or self.http_key is None:
            return None
        return ServerTls(self.http_certificate, self.http_key)


def pair_problems(certificate: tuple[str, Path | None], key: tuple[str, Path | None]) -> list[str]:
    """Return the problems of a certificate and its key, each given with the name of its setting."""
    (certificate_name, certificate_file), (key_name, key_file) = certificate, key
    if certificate_file is None and key_file is None:
        return []
    if certificate_file is None or key_file is None:
        given, missing = (key_name, certificate_name) if certificate_file is None else (certificate_name, key_name)
        return [f"{given} is set, but {missing} is not: TLS needs both"]
    if unreadable := _unreadable(certificate_name, certificate_file) + _unreadable(key_name, key_file):
        return unreadable
    try:
        # Without a callback an encrypted key would prompt on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate_file, key_file, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return [f"{key_name} is wrong: {key_file} is not the key of the certificate {certificate_file}"]
        reason = f"{error.reason or error}".replace("_", " ").lower()
        files = f"{certificate_file} and {key_file}"
        return [f"{certificate_name} or {key_name}: {files} are no PEM certificate and unencrypted key ({reason})"]
    return []


def authority_problems(name: str, path: Path | None) -> list[str]:
    """Return the problems of the certificate of an authority, given with the name of its setting."""
    if path is None:
        return []
    if unreadable := _unreadable(name, path):
        return unreadable
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        return [f"{name} is wrong: {path} holds no PEM certificate"]
    return []


def _unreadable(name: str, path: Path) -> list[str]:
    try:
        path.read_bytes()
    except OSError as error:
        return [f"{name} is wrong: {path} cannot be read: {error.strerror}"]
    return []


def _content(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
