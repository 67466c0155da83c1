"""Where a request to a URL that a user gave may go: to public addresses over https, and nowhere else.

    read_url     what the URL says, checked without asking anyone
    addresses    where its host is: every address must be allowed, and the request goes to one of those

A name is looked up once and the connection made to what was found, so that a second answer of the name server changes
nothing. Forms that hide an address (decimal, octal, hex, IPv4 within IPv6) are refused whatever they hide.
Source: IANA's special-purpose address registries.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple

Address = IPv4Address | IPv6Address
Lookup = Callable[[str, int], Awaitable[list[str]]]

MAX_URL = 2048
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f.]*:[0-9a-f:.]*\]|[a-z0-9_.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r'(?:[/?][!"$-\[\]-~]*)?',  # neither a fragment nor a backslash
    re.I | re.A,
)
NAME = re.compile(
    r"(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.I | re.A
)
DOTTED = re.compile(r"(?:(?:0|[1-9][0-9]{0,2})\.){3}(?:0|[1-9][0-9]{0,2})")
PORTS = {"http": 80, "https": 443}


def _networks(*blocks: str) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(block) for line in blocks for block in line.split())


NEVER = _networks(
    "0.0.0.0/8 169.254.0.0/16 192.0.0.0/24 192.0.2.0/24 192.88.99.0/24 198.18.0.0/15",
    "198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4",
    "2001::/23 2001:db8::/32 2002::/16 3fff::/20 fd00:ec2::/32",
)
PRIVATE = _networks(
    "10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 172.16.0.0/12 192.168.0.0/16",
    "::1/128 fc00::/7",
)
# All that is public in IPv6; mapped and translated IPv4 lies outside of it.
GLOBAL_UNICAST = ip_network("2000::/3")


class Forbidden(Exception):
    """No request goes there; the text says why."""


class Target(NamedTuple):
    """The origin of a URL. `host` is in lower case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int


def read_url(url: str, *, private: bool = False) -> Target:
    """The URL's origin. `private`: http and private addresses are allowed, too. Raises Forbidden."""
    found = URL.fullmatch(url) if len(url) <= MAX_URL else None
    if not found:
        raise Forbidden("it is not a plain http or https URL without a user name and a fragment")
    scheme, host = found["scheme"].lower(), found["host"].lower()
    if scheme != "https" and not private:
        raise Forbidden("it must be https")
    port = int(found["port"] or PORTS[scheme])
    if not 0 < port < 65536:
        raise Forbidden(f"there is no port {port}")
    host = host.removeprefix("[").removesuffix("]")
    literal = _literal(host)
    if literal is not None:
        _check(literal, private=private)
    elif not NAME.fullmatch(host) or len(host) > 253:
        raise Forbidden("its host is neither a name nor an address in its usual form")
    return Target(scheme, host, port)


async def no_lookup(host: str, port: int) -> list[str]:
    """Lookup where nobody is to be asked: no name is known."""
    raise OSError(f"{host} is not looked up")


async def addresses(target: Target, *, private: bool = False, lookup: Lookup | None = None) -> list[str]:
    """The addresses of the target's host, all of them allowed. Raises Forbidden; OSError if the name is not known."""
    literal = _literal(target.host)
    found = [str(literal)] if literal else await (lookup or system_lookup)(target.host, target.port)
    for address in found:
        _check(ip_address(address.partition("%")[0]), private=private)
    if not found:
        raise OSError(f"{target.host} has no address")
    return found


async def system_lookup(host: str, port: int) -> list[str]:
    """Lookup by the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


def is_private(target: Target) -> bool:
    """Whether the target is, by its name alone, out of reach from elsewhere."""
    literal = _literal(target.host)
    if literal is not None:
        return any(literal in network for network in PRIVATE)
    return "." not in target.host or target.host.endswith((".localhost", ".local", ".internal"))


def _literal(host: str) -> Address | None:
    if ":" in host:
        try:
            return IPv6Address(host)
        except ValueError:
            raise Forbidden("its host is not an IPv6 address") from None
    if not DOTTED.fullmatch(host):
        return None
    try:
        return IPv4Address(host)
    except ValueError:
        raise Forbidden("its host is not an IPv4 address") from None


def _check(address: Address, *, private: bool) -> None:
    if any(address in network for network in NEVER):
        raise Forbidden("its host has an address that is reserved")
    if any(address in network for network in PRIVATE):
        if not private:
            raise Forbidden("its host has a private address")
    elif address.version == 6 and address not in GLOBAL_UNICAST:
        raise Forbidden("its host has an IPv6 address that is not public")
