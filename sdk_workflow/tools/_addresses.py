"""Judges the addresses that a name led to: only those of the public internet may be reached.

Pure. It judges what resolution returned, never how it was written: resolvers turn "0177.0.0.1",
"2130706433" and full-width digits into 127.0.0.1. `ipaddress.is_global` alone is not enough.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from collections.abc import Iterator

_Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]  # noqa: UP007 - evaluated on 3.10

# What some versions of Python count as public. The reasons stand in IANA's registries of
# special-purpose addresses; 100.100.100.200 and 168.63.129.16 are clouds' own services.
_CLOSED = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24"),
            *("192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32"),
            *("100::/64", "2001:db8::/32", "2001::/23", "3fff::/20", "5f00::/16"),
            *("fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "64:ff9b:1::/48"),
        ),
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_LOW_32_BITS = 0xFFFFFFFF


def is_public(text: str) -> bool:
    """Tell whether an address, and every IPv4 address wrapped in it, belongs to the internet.

    Example:
        >>> is_public("93.184.215.14"), is_public("::ffff:127.0.0.1"), is_public("10.0.0.1")
        (True, False, False)
    """
    try:
        address = ipaddress.ip_address(text)
    except ValueError:  # a zone id, or no address at all
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return False
    return all(map(_is_open, (address, *_wrapped(address))))


def _is_open(address: _Address) -> bool:
    if address.is_multicast or address.is_unspecified or not (address.is_global or _wraps(address)):
        return False
    return not any(address in network for network in _CLOSED if network.version == address.version)


def _wraps(address: _Address) -> bool:
    """Tell whether what the address wraps decides; Python judges some of those by themselves."""
    return isinstance(address, ipaddress.IPv6Address) and address in _NAT64


def _wrapped(address: _Address) -> Iterator[ipaddress.IPv4Address]:
    """Yield the IPv4 addresses that an IPv6 address stands for: six ways of writing one."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    number = int(address)
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if address in _NAT64 or address in _COMPATIBLE:
        yield ipaddress.IPv4Address(number & _LOW_32_BITS)
    if (number >> 32) & _LOW_32_BITS in _ISATAP:
        yield ipaddress.IPv4Address(number & _LOW_32_BITS)
