"""The cards that a lab machine needs for a plan's networks, and how each is connected: switches and cables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from builder.lab import addressing
from builder.lab.state import Cable, CardRecord, NodeRecord, SwitchRecord
from firstboot.errors import BadInputError
from firstboot.network.cards import GLOB
from firstboot.plan import Bond, Interface, NetworkPlan, Plan
from firstboot.seed import Overrides

LACP = "802.3ad"
NO_SWITCH = "no switch of the lab speaks LACP"
SIMPLER = "use mode: active-backup in the lab"


@dataclass(frozen=True)
class Wire:
    """An interface of the plan, or a bond: what is meant by `rule`. `rules` has one for each card."""

    rule: Interface
    rules: tuple[Interface, ...]
    mtu: int
    bond: Bond | None = None

    @property
    def cabled(self) -> bool:
        """Whether its cards are connected to another machine's, and to no switch."""
        return self.bond is not None and self.bond.mode == LACP


def wires(network: NetworkPlan) -> tuple[Wire, ...]:
    """Every interface that the plan's networks are on, that of management first."""
    needs: dict[Interface, int] = {network.interface: network.mtu}
    if network.storage is not None:
        rule = network.storage.interface or network.interface
        needs[rule] = max(needs.get(rule, 0), network.storage.mtu)
    for bridge in network.bridges:
        if not bridge.isolated:
            rule = bridge.interface or network.interface
            needs[rule] = max(needs.get(rule, 0), bridge.mtu)
    bonds = {bond.name: bond for bond in network.bonds}
    return tuple(_wire(rule, mtu, bonds.get(rule.name or "")) for rule, mtu in needs.items())


def check(plan: Plan, count: int) -> None:
    """Raise BadInputError when the lab has no switch for one of the plan's bonds."""
    for wire in wires(plan.network):
        if wire.bond is None or not wire.cabled:
            continue
        if wire.rule == plan.network.interface:
            raise BadInputError(f"management is on {wire.bond.name} of mode {LACP}: {NO_SWITCH}", hint=SIMPLER)
        if count != 2:
            raise BadInputError(
                f"{wire.bond.name} is of mode {LACP}: {NO_SWITCH}, and only two machines can be cabled to each other",
                hint=f"{SIMPLER}, or two slots",
            )


def switches(lab: str, network: NetworkPlan) -> tuple[SwitchRecord, ...]:
    """A switch for each interface that has one: their networks must not meet."""
    mtus = [wire.mtu for wire in wires(network) if not wire.cabled]
    return tuple(
        SwitchRecord(bridge=addressing.bridge_name(lab, index), mac=addressing.switch_mac(lab, index), mtu=mtu)
        for index, mtu in enumerate(mtus)
    )


def cards(lab: str, plan: Plan, number: int) -> tuple[CardRecord, ...]:
    """The cards of one machine, in the order of `wires`."""
    made: list[CardRecord] = []
    on = iter(switches(lab, plan.network))
    for wire in wires(plan.network):
        switch = None if wire.cabled else next(on)
        for rule in wire.rules:
            index = len(made)
            mac = rule.mac or addressing.mac_address(lab, number, index)
            if index == 0:
                mac = plan.slot(number).match.mac or mac
            made.append(
                CardRecord(
                    mac=mac,
                    tap=addressing.tap_name(lab, number, index),
                    bridge=switch.bridge if switch else None,
                    mtu=wire.mtu,
                    cable=None if switch else _cable(lab, number, index),
                )
            )
    return tuple(made)


def storage_mac(network: NetworkPlan, node_cards: Sequence[CardRecord]) -> str | None:
    """The MAC that asks for an address in the storage network: the first card's of its interface or bond."""
    rule = (network.storage.interface or network.interface) if network.storage else None
    left = list(node_cards)
    for wire in wires(network):
        if wire.rule == rule:
            return left[0].mac
        left = left[len(wire.rules) :]
    return None


def overrides(network: NetworkPlan, node: NodeRecord) -> Overrides:
    """Tells the machine its cards by their MACs: in a lab they have other names than in the plan's machines."""
    if len(node.cards) == 1 and network.interface == Interface():
        return Overrides()
    left = list(node.cards)
    found: dict[Interface, tuple[Interface, ...]] = {}
    bonds: dict[str, tuple[Interface, ...]] = {}
    for wire in wires(network):
        taken, left = left[: len(wire.rules)], left[len(wire.rules) :]
        by_mac = tuple(Interface(mac=card.mac) for card in taken)
        if wire.bond is not None:
            bonds[wire.bond.name] = by_mac
        else:
            found[wire.rule] = by_mac
    storage = network.storage.interface if network.storage else None
    return Overrides(
        interface=_only(found, network.interface),
        storage=_only(found, storage),
        bonds=bonds,
        bridges={bridge.name: rule for bridge in network.bridges if (rule := _only(found, bridge.interface))},
    )


def _only(found: dict[Interface, tuple[Interface, ...]], rule: Interface | None) -> Interface | None:
    return found[rule][0] if rule is not None and rule in found else None


def _wire(rule: Interface, mtu: int, bond: Bond | None) -> Wire:
    if bond is None:
        return Wire(rule, (rule,), mtu)
    return Wire(rule, tuple(_member_rules(bond)), bond.mtu, bond)


def _member_rules(bond: Bond) -> Sequence[Interface]:
    """A rule for each card: a glob alone stands for two of them where the plan does not count."""
    globs = any(GLOB.intersection(rule.name or "") or rule.driver or rule.pci for rule in bond.members)
    count = bond.count or max(len(bond.members), 2 if globs else 1)
    return [bond.members[min(index, len(bond.members) - 1)] for index in range(count)]


def _cable(lab: str, number: int, index: int) -> Cable:
    """The two ends of a cable between node 1 and node 2: UDP ports on this machine, apart for each lab and card."""
    first = addressing.udp_port(lab) + 2 * index
    ends = (first, first + 1)
    return Cable(local_port=ends[number - 1], remote_port=ends[2 - number])
