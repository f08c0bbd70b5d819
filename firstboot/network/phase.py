"""The phase network: management and storage addresses and the guest bridges, through systemd-networkd."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from firstboot import paths, services
from firstboot.context import Context
from firstboot.network import networkd
from firstboot.network.condition import faults, missing, unapplied
from firstboot.network.facts import Link, read_links
from firstboot.network.files import network_name
from firstboot.network.networkd import write_changed
from firstboot.network.overview import networks, summary, unused
from firstboot.network.topology import MANAGEMENT, STORAGE
from firstboot.network.wanted import Wanted, chrony_sources, proxy_environment, want
from firstboot.phases import Done, Outcome, Wait
from firstboot.run import run

log = logging.getLogger(__name__)


def step(context: Context) -> Outcome:
    """Write what differs, then wait for the addresses; where networkd does not run, the facts must hold already."""
    network, links = context.plan.network, read_links()
    wanted = want(network, context.slot, context.claimed_seed.overrides, links)
    _settle_files(network.ntp, network.proxy)
    if services.is_active(networkd.UNIT):
        links = _apply(context, wanted, links)
    elif missing(wanted, links) is not None:
        services.start(networkd.UNIT)
        return Wait(f"systemd-networkd was started to bring up {wanted.management.link}")
    _tell(context, wanted, links)
    lack = missing(wanted, links)
    if lack is not None:
        return Wait(lack.message, lack.hint)
    _keep_libvirt_networks(context, wanted)
    return Done(summary(wanted, links))


def current_addresses(context: Context) -> tuple[str | None, str | None]:
    """The management and storage addresses that this node has now, changing nothing; None while it has none."""
    links = read_links()
    wanted = want(context.plan.network, context.slot, context.claimed_seed.overrides, links)
    return wanted.address_of(MANAGEMENT, links), wanted.address_of(STORAGE, links)


def _apply(context: Context, wanted: Wanted, links: Sequence[Link]) -> tuple[Link, ...]:
    """Let networkd do what it did not yet do; the links afterwards.

    No card gets a new file before the bond or bridge that it shall be in is there: the network that runs must not
    fall for one that can't be made. Only links whose files changed or that are not as wanted are touched.
    """
    absent = wanted.made - {link.name for link in links}
    if absent:
        context.report(f"making {', '.join(sorted(absent))}")
        networkd.write_files(paths.NETWORKD, wanted.netdevs)
        networkd.reload()
        links = read_links()
        if wanted.made - {link.name for link in links}:
            return tuple(links)
    if networkd.sync_files(paths.NETWORKD, wanted.files):
        context.report(f"bringing up {wanted.management.link}")
        networkd.reload()
        return read_links()
    late = _late(wanted, links)
    if not late:
        return tuple(links)
    log.info("networkd has not done all of its files: %s", ", ".join(late))
    networkd.reload()
    networkd.reconfigure(late)
    return read_links()


def _late(wanted: Wanted, links: Sequence[Link]) -> list[str]:
    """Links that networkd has by other files than ours, or has settled otherwise than they are wanted."""
    states = networkd.read_states()
    other = {
        name
        for name, state in states.items()
        if network_name(name) in wanted.files and not (state.file or "").endswith(f"/{network_name(name)}")
    }
    unsettled = {name for name, state in states.items() if not state.settled}
    return sorted(other | (set(unapplied(wanted, links)) - unsettled))


def _tell(context: Context, wanted: Wanted, links: Sequence[Link]) -> None:
    """What the others may know of this node's network."""
    context.address = wanted.address_of(MANAGEMENT, links) or context.address
    context.storage_address = wanted.address_of(STORAGE, links) or context.storage_address
    context.networks = networks(wanted, links)
    context.unused_cards = unused(wanted, links)
    # Before there is an address everything is still coming up.
    found = tuple(faults(wanted, links)) if wanted.address_of(MANAGEMENT, links) else context.network_faults
    for fault in set(found).difference(context.network_faults):
        log.warning("%s", fault)
    context.network_faults = found


def _keep_libvirt_networks(context: Context, wanted: Wanted) -> None:
    bridges = context.plan.network.all_bridges
    if not bridges or not context.plan.mode.has_virt:
        return
    from firstboot.network import libvirt_network

    services.start("libvirtd")
    for bridge in bridges:
        if bridge.name not in wanted.topology.faults:
            libvirt_network.keep(bridge)


def _settle_files(ntp: tuple[str, ...], proxy: str | None) -> None:
    write_changed(paths.PROXY, proxy_environment(proxy))
    if paths.CHRONY_SOURCES.parent.parent.is_dir():
        paths.CHRONY_SOURCES.parent.mkdir(exist_ok=True)
        if write_changed(paths.CHRONY_SOURCES, chrony_sources(ntp)):
            run(["chronyc", "reload", "sources"], timeout_s=30, check=False)
