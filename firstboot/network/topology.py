"""Which network is on what: cards, bonds, VLANs and bridges of one node, from plan, seed and links; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from firstboot.network.cards import ANY, Choice, Members, NoInterfaceError, choose, choose_members, is_exact
from firstboot.network.facts import Link
from firstboot.plan import Bond, Interface, NetworkPlan
from firstboot.seed import Overrides

MANAGEMENT, STORAGE = "management", "storage"
APART = "give each another interface or VLAN, in the profile or the seed's override"


@dataclass(frozen=True)
class Bonded:
    """A bond of this node: its members, and the MAC that it shall have."""

    plan: Bond
    members: Members
    mac: str

    @property
    def name(self) -> str:
        return self.plan.name

    @property
    def member_names(self) -> tuple[str, ...]:
        """The members by name; those that are named exactly need not be there yet."""
        there = [choice.card.name for choice in self.members.cards]
        awaited = [rule.name for rule in self.plan.members if rule.name is not None and is_exact(rule)]
        return tuple(dict.fromkeys((*there, *awaited)))


@dataclass(frozen=True)
class Use:
    """A network of this node: `parent` (card or bond; none when isolated), its VLAN's link there, its bridge."""

    name: str
    """management, storage, or the bridge's name."""
    parent: str | None
    mtu: int
    mac: str = ""
    vlan: int | None = None
    vlan_link: str | None = None
    bridge: str | None = None

    @property
    def port(self) -> str | None:
        """The link that carries this network alone."""
        return self.vlan_link or self.parent

    @property
    def link(self) -> str:
        """The link that has the address, if there is one."""
        link = self.bridge or self.port
        assert link is not None, "a network without a bridge has a parent"
        return link


@dataclass(frozen=True)
class Topology:
    """All of it; `mtus` by link. `faults` are networks that the machine can't have as it is."""

    uses: tuple[Use, ...]
    bonds: tuple[Bonded, ...] = ()
    choices: tuple[Choice, ...] = ()
    mtus: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, NoInterfaceError] = field(default_factory=dict)

    def use(self, name: str) -> Use | None:
        """The network of that name; none where the plan has none, or the machine can't have it."""
        return next((use for use in self.uses if use.name == name), None)

    def on(self, parent: str) -> tuple[Use, ...]:
        """The networks on a card or bond."""
        return tuple(use for use in self.uses if use.parent == parent)


@dataclass(frozen=True)
class _Wish:
    """A network as plan and seed have it, before a card is chosen. No rule: it has no uplink."""

    name: str
    rule: Interface | None
    vlan: int | None
    bridge: str | None
    mtu: int


def resolve(network: NetworkPlan, overrides: Overrides, links: Sequence[Link]) -> Topology:
    """The node's networks; raises NoInterfaceError where the management network has no card.

    What another network lacks is its fault alone: a node that can be reached can say so.
    """
    wishes = tuple(_wishes(network, overrides))
    made = _Resolver(network, links)
    made.bind(network, overrides)
    made.hear(wishes)
    for wish in wishes:
        try:
            made.place(wish)
        except NoInterfaceError as error:
            if wish.name == MANAGEMENT:
                raise
            made.faults[wish.name] = error
    return Topology(
        tuple(made.uses), tuple(made.bonds.values()), tuple(made.choices.values()), made.mtus(), made.faults
    )


def _wishes(network: NetworkPlan, overrides: Overrides) -> Iterator[_Wish]:
    management = overrides.interface or network.interface
    bridge = network.guest_bridge.name if network.guest_bridge else None
    yield _Wish(MANAGEMENT, management, network.vlan, bridge, network.mtu)
    if network.storage is not None:
        rule = overrides.storage or network.storage.interface or management
        yield _Wish(STORAGE, rule, network.storage.vlan, None, network.storage.mtu)
    for more in network.bridges:
        own = overrides.bridges.get(more.name) or more.interface or management
        yield _Wish(more.name, None if more.isolated else own, more.vlan, more.name, more.mtu)


class _Resolver:
    """Gathers the topology, network by network."""

    def __init__(self, network: NetworkPlan, links: Sequence[Link]) -> None:
        self.uses: list[Use] = []
        self.bonds: dict[str, Bonded] = {}
        self.choices: dict[str, Choice] = {}
        self.faults: dict[str, NoInterfaceError] = {}
        self._bond_names = {bond.name for bond in network.bonds}
        self._spoken_for: set[str] = set()
        self._links = links

    def bind(self, network: NetworkPlan, overrides: Overrides) -> None:
        """Find the members of the bonds; a card is in one at most."""
        for plan in network.bonds:
            given = overrides.bonds.get(plan.name)
            plan = plan.model_copy(update={"members": given, "count": None}) if given else plan
            try:
                members = choose_members(plan, self._links)
                for choice in members.cards:
                    self._refuse_member(choice.card, plan.name)
            except NoInterfaceError as error:
                self.faults[plan.name] = error
                continue
            self.choices |= {choice.card.name: choice for choice in members.cards}
            self.bonds[plan.name] = Bonded(plan, members, _bond_mac(plan.name, members, self._links))

    def hear(self, wishes: Sequence[_Wish]) -> None:
        """Note the cards that rules name: whoever takes any card leaves them."""
        self._spoken_for.update(self.choices)
        for wish in wishes:
            if wish.rule is not None and wish.rule != ANY:
                with suppress(NoInterfaceError):
                    self._spoken_for.add(choose(wish.rule, self._links, wish.name).card.name)

    def place(self, wish: _Wish) -> None:
        """Put the network on its card or bond; refused where another one is already with the same tag."""
        parent, mac = self._parent(wish)
        if parent is not None:
            for use in self.uses:
                if (use.parent, use.vlan) == (parent, wish.vlan):
                    how = "untagged" if wish.vlan is None else f"with VLAN {wish.vlan}"
                    raise NoInterfaceError(f"{wish.name}: {parent} carries {use.name} {how} already", hint=APART)
        link = None
        if wish.vlan is not None:
            others = sum(use.vlan == wish.vlan for use in self.uses)
            link = f"vlan{wish.vlan}" + (f"-{others + 1}" if others else "")
        self.uses.append(Use(wish.name, parent, wish.mtu, mac, wish.vlan, link, wish.bridge))

    def mtus(self) -> dict[str, int]:
        """The MTU of each link. A bond has its own; a card what its networks need, at least."""
        mtus: dict[str, int] = {}
        for use in self.uses:
            if use.parent is not None:
                mtus[use.parent] = max(mtus.get(use.parent, 0), use.mtu)
            mtus |= {link: use.mtu for link in (use.vlan_link, use.bridge) if link is not None}
        for bond in self.bonds.values():
            mtus |= dict.fromkeys((bond.name, *bond.member_names), bond.plan.mtu)
        return mtus

    def _parent(self, wish: _Wish) -> tuple[str | None, str]:
        """Name and MAC of a network's card or bond."""
        rule = wish.rule
        if rule is None:
            return None, ""
        if rule.name in self._bond_names:
            if rule.name in self.faults:
                raise self.faults[rule.name]
            bond = self.bonds[rule.name]
            return bond.name, bond.mac
        choice = choose(rule, self._links, wish.name, self._spoken_for)
        self._refuse_member(choice.card, wish.name)
        self.choices.setdefault(choice.card.name, choice)
        return choice.card.name, choice.card.hardware_mac

    def _refuse_member(self, card: Link, purpose: str) -> None:
        known = self.choices.get(card.name)
        if known is not None and known.purpose in self.bonds:
            raise NoInterfaceError(
                f"{purpose}: {card.name} ({card.hardware_mac}) is a member of {known.purpose}", hint=APART
            )


def _bond_mac(name: str, members: Members, links: Sequence[Link]) -> str:
    """That which the bond has, if it is a member's own; else the first member's.

    networkd gives a running bond the MAC of a changed file, and with it another DHCP lease. A MAC of no member may
    be in use elsewhere: the card may have been moved.
    """
    macs = [choice.card.hardware_mac for choice in members.cards]
    running = next((link.mac for link in links if link.name == name), None)
    return running if running in macs else macs[0]
