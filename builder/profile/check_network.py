"""Checks of the network's services: DNS, search domains, time servers, proxy."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from builder.profile.check_slots import repeated
from builder.profile.model import Profile
from builder.profile.problems import Place, Problem


def services(profile: Profile) -> Iterator[Problem]:
    """DNS, search domains and time servers are given once each; the proxy is a URL without secrets."""
    network = profile.network
    for key, values in (("dns", network.dns), ("search", network.search), ("ntp", network.ntp)):
        for place, value, _ in repeated([(("network", key, index), value) for index, value in enumerate(values)]):
            yield Problem(place, f"{value} is there twice")
    for index, server in enumerate(network.dns):
        if server.is_loopback or server.is_unspecified or server.is_multicast:
            yield Problem(("network", "dns", index), f"{server} is no DNS server that nodes can reach")
    if network.proxy is not None:
        yield from _proxy(network.proxy)


def _proxy(proxy: str) -> Iterator[Problem]:
    place: Place = ("network", "proxy")
    example = "such as http://proxy.example:3128"
    try:
        url = urlsplit(proxy)
        host, _ = url.hostname, url.port
    except ValueError:
        yield Problem(place, "is not a URL", example)
        return
    if url.scheme not in ("http", "https") or not host:
        yield Problem(place, "is not an http or https URL", example)
    elif url.username or url.password:
        yield Problem(place, "has a user name or password, and plans hold no secrets", example)
    elif url.path not in ("", "/") or url.query or url.fragment:
        yield Problem(place, "has more than scheme, host and port", example)
