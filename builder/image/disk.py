"""The raw disk image out of a finished root tree, by plain file operations: no mount, no loop device."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from builder.image.boot import BiosLoader, menu, place_bios
from builder.image.layout import MIB, SECTOR, Layout
from firstboot.errors import BadInputError, TrivetError
from firstboot.run import run

LOADERS = Path("usr/lib/trivet/boot")
LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
LINKER = LIBRARIES / "ld-linux-x86-64.so.2"

EXT4_FEATURES = "^has_journal,^metadata_csum_seed,^orphan_file,^resize_inode,extents,uninit_bg,dir_index,sparse_super"
"""Never written, so no journal; the rest is what GRUB 2.12 reads."""


def make_root_fs(tree: Path, target: Path, layout: Layout, epoch: int) -> None:
    """Fill an ext4 file system of the root partition's size with `tree`.

    The tree's own mke2fs does it, so that it fits the kernel and is reproducible (e2fsprogs 1.47.2 heeds
    SOURCE_DATE_EPOCH). Raises BadInputError when the tree does not fit.
    """
    content = tree_bytes(tree)
    if content > layout.root.size_bytes * 0.95:
        raise BadInputError(
            f"the root tree has {content // MIB} MiB, and image.root_size is {layout.root.size_bytes // MIB} MiB",
            hint=f"set image.root_size to at least {int(content * 1.3) // MIB} MiB",
        )
    run(
        [
            tree / LINKER, "--library-path", tree / LIBRARIES, tree / "usr/sbin/mke2fs",
            "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-I", "256",
            "-L", layout.root.name,
            "-U", layout.root_fs_uuid,
            "-O", EXT4_FEATURES,
            "-E", f"hash_seed={layout.root_hash_seed},lazy_itable_init=0,nodiscard,root_owner=0:0",
            "-d", tree,
            target,
            f"{layout.root.size_bytes // 1024}k",
        ],
        timeout_s=1800,
        env={"SOURCE_DATE_EPOCH": str(epoch), "MKE2FS_CONFIG": str(tree / "etc/mke2fs.conf")},
    )  # fmt: skip


def assemble(tree: Path, root_fs: Path, target: Path, layout: Layout, version: str) -> None:
    """Make the whole disk at `target`: table, ESP with boot loaders and menu, root, empty seed partition."""
    with target.open("wb") as disk:
        disk.truncate(layout.size_bytes)
    run(["sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", target], timeout_s=60, input_text=layout.script())
    loaders = tree / LOADERS
    place_bios(
        target,
        BiosLoader(boot=_read(loaders / "boot.img"), core=_read(loaders / "core.img")),
        layout.bios,
    )
    _make_esp(target, loaders, layout, version)
    _make_fat(target, layout.seed.start_bytes, layout.seed.size_bytes, layout.seed_serial, "TRIVET-SEED", bits=16)
    copy_sparse(root_fs, target, layout.root.start_bytes)


def _make_esp(target: Path, loaders: Path, layout: Layout, version: str) -> None:
    esp = layout.esp
    _make_fat(target, esp.start_bytes, esp.size_bytes, layout.esp_serial, "TRIVET-ESP", bits=32)
    drive = f"{target}@@{esp.start_bytes}"
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="esp.") as name:
        folder = Path(name)
        for path in ("EFI/BOOT", "EFI/debian"):
            (folder / path).mkdir(parents=True)
        (folder / "EFI/BOOT/BOOTX64.EFI").write_bytes(_read(loaders / "shimx64.efi"))
        (folder / "EFI/BOOT/grubx64.efi").write_bytes(_read(loaders / "grubx64.efi"))
        (folder / "EFI/debian/grub.cfg").write_text(menu(layout, version))
        run(["mcopy", "-s", "-i", drive, folder / "EFI", "::/"], timeout_s=120)


def _make_fat(target: Path, start_bytes: int, size_bytes: int, serial: str, label: str, *, bits: int) -> None:
    # One sector a cluster: with dosfstools' own choice mtools takes the file system for FAT16.
    cluster = ["-s", "1"] if bits == 32 else []
    run(
        [
            "mkfs.fat", "-F", str(bits), *cluster, "--invariant", "-i", serial, "-n", label,
            "--offset", str(start_bytes // SECTOR), target, str(size_bytes // 1024),
        ],
        timeout_s=120,
    )  # fmt: skip


def copy_sparse(source: Path, target: Path, offset_bytes: int) -> None:
    """Copy the data of `source` to `target` at an offset, leaving its holes out (lseek(2), SEEK_DATA)."""
    with source.open("rb") as reader, target.open("r+b") as writer:
        end = os.fstat(reader.fileno()).st_size
        position = 0
        while position < end:
            try:
                position = os.lseek(reader.fileno(), position, os.SEEK_DATA)
            except OSError:
                return
            hole = os.lseek(reader.fileno(), position, os.SEEK_HOLE)
            writer.seek(offset_bytes + position)
            reader.seek(position)
            left = hole - position
            while left > 0:
                done = os.sendfile(writer.fileno(), reader.fileno(), position, left)
                if done == 0:
                    raise TrivetError(f"{source} became shorter while it was copied")
                position += done
                left -= done


def tree_bytes(tree: Path) -> int:
    """What the tree takes as a file system, in whole blocks; hard links count once."""
    seen: set[int] = set()
    total = 0
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            facts = (Path(folder) / name).lstat()
            if facts.st_ino not in seen:
                seen.add(facts.st_ino)
                total += -(-facts.st_size // 4096) * 4096 + 256
    return total


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise TrivetError(f"the root tree has no {path.name}", hint="element trivet-boot makes it") from error
