"""Addresses that processes listen on."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

IPV6_SITE_BITS: Final = 64  # the network of one subscriber of a provider


class PortTaken(Exception):
    """The port is in use, or the address is not one of this machine."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches a server that listens on ``host``."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def joined(host: str, port: int) -> str:
    """Return ``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


@lru_cache(8192)
def site_of(client_ip: str) -> str:
    """Return the unit that limits count: an IPv4 address, or the network of an IPv6 address."""
    try:
        address = ipaddress.ip_address(client_ip.partition("%")[0])
    except ValueError:
        return client_ip
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_SITE_BITS), strict=False))
    return str(address)
