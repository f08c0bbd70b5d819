"""The partition table: no gaps, no overlap, the same identifiers for the same content."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from builder.image.layout import MIB, layout

GIB = 1024 * MIB


@given(st.integers(min_value=GIB, max_value=64 * GIB), st.text("0123456789abcdef", min_size=64, max_size=64))
def test_partitions_follow_each_other(root_size_bytes: int, key: str) -> None:
    disk = layout(root_size_bytes, key)
    end = MIB
    for number, part in enumerate(disk.partitions, start=1):
        assert part.number == number
        assert part.start_bytes == end
        assert part.start_bytes % MIB == part.size_bytes % MIB == 0
        end = part.end_bytes
    assert disk.size_bytes == end + MIB
    assert root_size_bytes <= disk.root.size_bytes < root_size_bytes + MIB


@given(st.text("0123456789abcdef", min_size=64, max_size=64))
def test_identifiers_are_distinct_and_repeat(key: str) -> None:
    disk = layout(2 * GIB, key)
    identifiers = [disk.disk_uuid, disk.root_fs_uuid, disk.root_hash_seed, *(part.uuid for part in disk.partitions)]
    assert len(set(identifiers)) == len(identifiers)
    assert all(uuid.UUID(text).version == 4 for text in identifiers)
    assert disk == layout(2 * GIB, key)
    assert disk.root.uuid != layout(2 * GIB, key[::-1] + "x").root.uuid


def test_the_documented_table() -> None:
    disk = layout(2 * GIB, "0" * 64)
    assert [(part.name, part.size_bytes // MIB) for part in disk.partitions] == [
        ("trivet-bios", 1),
        ("trivet-esp", 256),
        ("trivet-root-a", 2048),
        ("trivet-seed", 16),
    ]
    script = disk.script()
    assert script.startswith(f"label: gpt\nlabel-id: {disk.disk_uuid}\nunit: sectors\n\n")
    assert (
        f"3 : start=528384, size=4194304, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, uuid={disk.root.uuid}, "
        'name="trivet-root-a"\n'
    ) in script
