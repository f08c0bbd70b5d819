"""The plan's volumes with their bricks as Gluster writes them."""

from __future__ import annotations

from dataclasses import dataclass

from firstboot.cluster.names import host_name
from firstboot.context import Context
from firstboot.gluster.client import VolumeInfo
from firstboot.gluster.layout import Layout, PlacedBrick, volume_layout
from firstboot.paths import brick_path
from firstboot.plan import VolumePlan


@dataclass(frozen=True)
class WantedVolume:
    """A volume as it should be. `names` are all its bricks as Gluster writes them, `host:/path`, in order."""

    plan: VolumePlan
    layout: Layout
    names: dict[PlacedBrick, str]

    def placed(self, found: VolumeInfo) -> tuple[PlacedBrick, ...] | None:
        """The bricks of a volume in Gluster's order; None when one of them is not of the plan."""
        by_name = {name: brick for brick, name in self.names.items()}
        bricks = tuple(by_name[name] for name in found.bricks if name in by_name)
        return bricks if len(bricks) == len(found.bricks) else None

    def on(self, slot: int) -> tuple[PlacedBrick, ...]:
        """The bricks that a slot has of it, or is to have."""
        return tuple(brick for brick in self.layout.bricks if brick.slot == slot)

    def named(self, bricks: tuple[PlacedBrick, ...]) -> tuple[str, ...]:
        return tuple(self.names[brick] for brick in bricks)


def wanted_volumes(context: Context) -> tuple[WantedVolume, ...]:
    """Every volume of the plan, with the stable names of all slots: those without a member too."""
    site = context.claimed_seed.site.name
    wanted = []
    for volume in context.plan.volumes:
        layout = volume_layout(context.plan, volume)
        names = {
            brick: f"{host_name(context.plan.slot(brick.slot).name, site)}:{brick_path(volume.name, brick.index)}"
            for brick in layout.bricks
        }
        wanted.append(WantedVolume(volume, layout, names))
    return tuple(wanted)
