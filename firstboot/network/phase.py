"""The phase network: the management address and the guest bridge, through systemd-networkd."""

from __future__ import annotations

from pathlib import Path

from firstboot import paths, services
from firstboot.context import Context
from firstboot.errors import TrivetError
from firstboot.files import write_atomic
from firstboot.network.facts import Link, read_links
from firstboot.network.wanted import PREFIX, Wanted, chrony_sources, proxy_environment, want
from firstboot.phases import Done, Outcome, Wait
from firstboot.run import run

NETWORKD = "systemd-networkd"


def step(context: Context) -> Outcome:
    """Write what differs, then wait for the address; where networkd does not run, the facts must hold already."""
    plan = context.plan
    links = read_links()
    interface = context.claimed_seed.overrides.interface
    wanted = want(plan.network, context.slot, interface, links)
    _settle_files(plan.network.ntp, plan.network.proxy)
    if services.is_active(NETWORKD):
        if sync_files(paths.NETWORKD, wanted.files) or unapplied(wanted, links):
            context.report(f"bringing up {wanted.management}")
            run(["networkctl", "reload"], timeout_s=120)
            run(["networkctl", "reconfigure", wanted.uplink], timeout_s=120, check=False)
            links = read_links()
    elif missing(wanted, links) is not None:
        services.start(NETWORKD)
        return Wait(f"systemd-networkd was started to bring up {wanted.management}")
    lack = missing(wanted, links)
    if lack is not None:
        return Wait(lack.message, lack.hint)
    context.address = str(management_address(wanted, links))
    if plan.network.guest_bridge and plan.mode.has_virt:
        from firstboot.network import libvirt_network

        services.start("libvirtd")
        libvirt_network.keep(plan.network.guest_bridge)
    return Done(f"{context.address} on {wanted.management}")


def current_address(context: Context) -> str | None:
    """The management address that this node has now, changing nothing; None while it has none."""
    links = read_links()
    wanted = want(context.plan.network, context.slot, context.claimed_seed.overrides.interface, links)
    address = management_address(wanted, links)
    return str(address) if address is not None else None


def unapplied(wanted: Wanted, links: tuple[Link, ...]) -> bool:
    """Whether networkd can't have read the files yet, because an earlier reload was cut off or timed out. Pure.

    Without a bridge and with DHCP it can't be told, and asking again would begin the lease anew.
    """
    if all(link.name != wanted.management for link in links):
        return True
    return wanted.address is not None and management_address(wanted, links) is None


def missing(wanted: Wanted, links: tuple[Link, ...]) -> TrivetError | None:
    """What the network lacks, named; None when the management address is there. Pure."""
    by_name = {link.name: link for link in links}
    uplink, management = by_name.get(wanted.uplink), by_name.get(wanted.management)
    if uplink is not None and not uplink.carrier:
        cable = f"{wanted.uplink} ({uplink.mac})"
        return TrivetError(f"{cable} has no carrier", hint="plug the cable in, or name another interface")
    if management is None:
        return TrivetError(f"bridge {wanted.management} on {wanted.uplink} is not there yet")
    if management_address(wanted, links) is not None:
        return None
    if wanted.address is not None:
        return TrivetError(f"{wanted.management} does not have its address {wanted.address} yet")
    return TrivetError(
        f"{wanted.management} has no address yet: no DHCP server answered on {wanted.uplink}",
        hint="is a DHCP server on this network? Otherwise use static addresses in the profile",
    )


def management_address(wanted: Wanted, links: tuple[Link, ...]) -> object | None:
    """The management link's IPv4 address: the static one, or whichever it has."""
    for link in links:
        if link.name == wanted.management:
            for address in link.ipv4:
                if wanted.address is None or address.ip == wanted.address.ip:
                    return address.ip
    return None


def sync_files(folder: Path, files: dict[str, str]) -> bool:
    """Make our files in the folder exactly these; whether anything changed. Others' files are left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = False
    for path in folder.glob(f"{PREFIX}*"):
        if path.name not in files:
            path.unlink()
            changed = True
    for name, content in files.items():
        changed |= write_changed(folder / name, content)
    return changed


def write_changed(path: Path, content: str) -> bool:
    """Write the file if its content differs; an empty content removes it. Whether anything changed."""
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    if before == content:
        return False
    if content:
        write_atomic(path, content)
    else:
        path.unlink()
    return True


def _settle_files(ntp: tuple[str, ...], proxy: str | None) -> None:
    write_changed(paths.PROXY, proxy_environment(proxy))
    if paths.CHRONY_SOURCES.parent.parent.is_dir():
        paths.CHRONY_SOURCES.parent.mkdir(exist_ok=True)
        if write_changed(paths.CHRONY_SOURCES, chrony_sources(ntp)):
            run(["chronyc", "reload", "sources"], timeout_s=30, check=False)
