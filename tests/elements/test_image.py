"""What is in the built image, and what must not be."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from builder.image.layout import MIB
from builder.image.publish import Manifest
from firstboot import paths
from firstboot.gluster import closing
from tests.elements.conftest import ROOT, Image, need

SECRETS = (
    "/var/lib/trivet/etc/machine-id",
    "/usr/share/trivet/etc/machine-id",
    "/var/lib/dbus/machine-id.orig",
    "/var/lib/systemd/random-seed",
    "/var/lib/systemd/credential.secret",
    "/var/lib/glusterd/glusterd.info",
    "/var/lib/libvirt/secrets/secrets-encryption-key",
    "/etc/hostid",
    "/etc/dib-manifests",
    "/etc/.resolv.conf.systemd-resolved.bak",
    "/etc/apt/sources.list",
    "/etc/apt/apt.conf.d/60img-build-proxy",
    "/root/.ssh",
    "/boot/efi",
)


def test_partition_table(image: Image) -> None:
    done = subprocess.run(
        [need("sfdisk", "fdisk"), "--json", str(image.raw)], capture_output=True, text=True, check=True
    )
    table = json.loads(done.stdout)["partitiontable"]
    assert table["label"] == "gpt"
    found = [(row["name"], row["start"] * 512, row["size"] * 512, row["uuid"].lower()) for row in table["partitions"]]
    assert found == [
        (part.name, part.start_bytes, part.size_bytes, part.uuid) for part in image.result.manifest.partitions
    ]
    assert [name for name, *_ in found] == ["trivet-bios", "trivet-esp", "trivet-root-a", "trivet-seed"]


def test_manifest(image: Image) -> None:
    manifest = Manifest.model_validate_json((image.result.folder / "build.json").read_bytes())
    assert manifest == image.result.manifest
    packages = (image.result.folder / "packages.txt").read_text().splitlines()
    assert manifest.packages == len(packages) > 200
    assert packages == sorted(packages)
    stamp = json.loads(image.text("/usr/lib/trivet/build.json"))
    assert stamp == {"version": manifest.trivet_version, "epoch": manifest.epoch, "key": manifest.content_key}


def test_seed_partition_is_empty_and_labelled(image: Image) -> None:
    seed = image.result.manifest.partitions[3]
    drive = f"{image.raw}@@{seed.start_bytes}"
    done = subprocess.run(["mlabel", "-i", drive, "-s", "::"], capture_output=True, text=True, check=True)
    assert "TRIVET-SEED" in done.stdout
    done = subprocess.run(["mdir", "-b", "-i", drive, "::/"], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == ""


def test_boot_loaders_of_both_firmwares(image: Image) -> None:
    esp = image.result.manifest.partitions[1]
    done = subprocess.run(
        ["mdir", "-/", "-b", "-i", f"{image.raw}@@{esp.start_bytes}", "::/"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in ("EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "EFI/debian/grub.cfg"):
        assert f"::/{name}" in done.stdout.splitlines()
    with image.raw.open("rb") as disk:
        assert b"GRUB" in disk.read(440)
        disk.seek(MIB)
        assert disk.read(MIB).strip(b"\0")


def test_menu_boots_this_root(image: Image, tmp_path_factory: pytest.TempPathFactory) -> None:
    esp = image.result.manifest.partitions[1]
    menu = tmp_path_factory.mktemp("menu") / "grub.cfg"
    subprocess.run(
        ["mcopy", "-i", f"{image.raw}@@{esp.start_bytes}", "::/EFI/debian/grub.cfg", str(menu)], check=True
    )
    text = menu.read_text()
    assert set(re.findall(r"root=PARTUUID=(\S+)", text)) == {image.result.manifest.partitions[2].uuid}
    assert all(" ro " in line for line in text.splitlines() if line.strip().startswith("linux"))
    done = subprocess.run(
        [need("grub-script-check", "grub-common"), str(menu)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_root_file_system_is_whole(image: Image) -> None:
    done = subprocess.run(
        [need("e2fsck", "e2fsprogs"), "-f", "-n", str(image.root_fs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    features = re.search(r"features:\s+(.*)", image.debugfs("stats"))
    assert features is not None
    assert "has_journal" not in features[1]


def test_kernel_and_initial_ram_disk(image: Image) -> None:
    for name in ("vmlinuz", "initrd.img"):
        target = image.link(f"/boot/{name}")
        assert target is not None
        assert image.exists(f"/boot/{target}")


def test_state_paths_are_as_declared(image: Image) -> None:
    lines = image.text("/usr/lib/trivet/state-paths").split("\n")
    declared = [tuple(line.split(" ")) for line in lines if line]
    assert ("dir", "/etc/ssh") in declared
    assert ("file", "/etc/machine-id") in declared
    for kind, path in declared:
        if kind == "dir":
            assert "Type: directory" in image.debugfs(f"stat {path}"), path
        else:
            assert kind == "file"
            assert image.link(path) == f"/var/lib/trivet/etc/{path.rsplit('/', 1)[1]}", path


def test_the_documented_state_paths(image: Image) -> None:
    text = "".join(path.read_text() for path in sorted((ROOT / "docs").glob("formats*")))
    for line in image.text("/usr/lib/trivet/state-paths").splitlines():
        assert f"`{line.split()[1]}`" in text, f"docs/formats.md does not name {line}"


@pytest.mark.parametrize("path", SECRETS)
def test_no_secret(image: Image, path: str) -> None:
    assert not image.exists(path)


def test_no_host_key_and_no_machine_id(image: Image) -> None:
    assert [name for name in image.names("/etc/ssh") if "host" in name and "key" in name] == []
    assert image.link("/var/lib/dbus/machine-id") == "/etc/machine-id"
    assert image.names("/var/lib/trivet") == []
    assert image.names("/var/log") == []
    assert [name for name in image.names("/etc/ssl/private") if name.endswith(".key")] == []


def test_no_libvirt_identity(image: Image) -> None:
    assert image.names("/etc/libvirt/qemu/networks/autostart") == []
    for name in image.names("/etc/libvirt/nwfilter"):
        assert "<uuid>" not in image.text(f"/etc/libvirt/nwfilter/{name}"), name


def test_nobody_has_a_password(image: Image) -> None:
    fields = [line.split(":") for line in image.text("/usr/share/trivet/etc/shadow").splitlines()]
    assert {row[0] for row in fields} >= {"root"}
    assert {row[1][:1] for row in fields} <= {"!", "*"}


def test_units(image: Image) -> None:
    wanted = image.names("/etc/systemd/system/multi-user.target.wants")
    assert {"trivet-firstboot.service", "ssh.service", "chrony.service", "libvirtd.service"} <= set(wanted)
    assert "glusterd.service" not in wanted
    for unit in (
        "chrony-wait.service",
        "systemd-networkd-wait-online.service",
        "apt-daily.timer",
        "e2scrub_all.timer",
    ):
        assert image.link(f"/etc/systemd/system/{unit}") == "/dev/null"


def test_gluster_finds_its_certificate_in_the_state(image: Image) -> None:
    for link, target in closing.links().items():
        assert image.link(str(link)) == str(target)


def test_gluster_is_closed_by_its_units(image: Image) -> None:
    assert "trivet-packetfilter.service" in image.names("/etc/systemd/system/sysinit.target.wants")
    assert image.exists("/usr/sbin/nft")
    assert image.exists("/usr/lib/systemd/system/glusterd.service")
    added = image.text("/usr/lib/systemd/system/glusterd.service.d/trivet.conf")
    assert f"AssertPathExists={paths.SECURE_ACCESS}" in added
    closing.require_ports(closing.port_range(image.text(str(paths.GLUSTERD_OPTIONS))))
    assert "50152-52151" in image.text("/usr/lib/sysctl.d/60-trivet-gluster.conf")


def test_agent_is_the_one_of_this_checkout(image: Image) -> None:
    folder = "/usr/lib/python3/dist-packages/firstboot"
    ours = {path.name for path in (ROOT / "firstboot").iterdir() if path.name != "__pycache__"}
    assert set(image.names(folder)) == ours | {"__pycache__"}
    assert image.text(f"{folder}/plan.py") == (ROOT / "firstboot" / "plan.py").read_text()
    assert [name for name in image.names(f"{folder}/__pycache__") if name.startswith("plan.cpython")]


def test_names_are_resolved_by_the_network_service(image: Image) -> None:
    assert image.link("/etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"


@pytest.mark.parametrize("folder", ["/dev", "/proc", "/sys", "/run", "/tmp", "/mnt", "/root"])
def test_empty_folders(image: Image, folder: str) -> None:
    assert [name for name in image.names(folder) if name not in (".bashrc", ".profile")] == []


def test_no_documentation_nor_locales(image: Image) -> None:
    assert image.names("/usr/share/locale") in ([], ["locale.alias"])
    assert all(image.names(f"/usr/share/man/{name}") == [] for name in image.names("/usr/share/man"))


def test_build_again_changes_nothing(image: Image) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in image.result.folder.iterdir()}
    from builder.image.build import build_image
    from builder.image.progress import Progress
    from builder.profile.compile import compile_plan
    from builder.profile.load import load_profile

    plan = compile_plan(load_profile(ROOT / "profiles" / "lab.yaml"))
    result = build_image(plan, image.result.folder, progress=Progress(quiet=True))
    assert not result.changed
    assert {path.name: path.stat().st_mtime_ns for path in image.result.folder.iterdir()} == before


def test_what_the_command_prints_keeps_to_its_schema(image: Image) -> None:
    argv = [sys.executable, "-m", "builder", "build", "profiles/lab.yaml", "-o", str(image.result.folder), "--json"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    jsonschema.validate(document, json.loads((ROOT / "docs/schemas/trivet-build-result.json").read_text()))
    jsonschema.validate(
        json.loads((image.result.folder / "build.json").read_text()),
        json.loads((ROOT / "docs/schemas/trivet-image.json").read_text()),
    )
    assert document["changed"] is False


def test_nothing_is_left_of_the_build(image: Image) -> None:
    mounts = Path("/proc/self/mountinfo").read_text()
    assert "/work/build." not in mounts
    losetup = subprocess.run(["losetup", "--list", "--noheadings"], capture_output=True, text=True, check=True)
    assert "dib_image" not in losetup.stdout


def test_the_clock_has_a_floor_before_any_service(image: Image) -> None:
    """systemd takes the time of this file for the earliest that can be (systemd(1), "System clock epoch")."""
    found = re.search(r"^ mtime: 0x([0-9a-f]+)", image.debugfs("stat /usr/lib/clock-epoch"), re.MULTILINE)
    assert found is not None
    assert int(found[1], 16) == image.result.manifest.epoch


def test_nobody_is_asked_for_the_time_whom_the_plan_does_not_name(image: Image) -> None:
    words = [line.split() for line in image.text("/etc/chrony/chrony.conf").splitlines() if line.strip()]
    directives = [(line[0], line[1:]) for line in words if not line[0].startswith("#")]
    assert not {"pool", "server", "peer", "refclock", "allow", "local"} & {name for name, _ in directives}
    sources = [arguments for name, arguments in directives if name == "sourcedir"]
    assert sources == [["/etc/chrony/sources.d"], [str(paths.CHRONY_MEMBERS)]]
    assert ("confdir", [str(paths.CHRONY_MEMBERS)]) in directives
    assert [name for name in image.names("/etc/chrony/sources.d") if name.endswith(".sources")] == []
    assert f"@{{run}}{str(paths.CHRONY_MEMBERS).removeprefix('/run')}/" in image.text(
        "/etc/apparmor.d/local/usr.sbin.chronyd"
    )


def test_hosts_are_told_apart_by_machine_id_not_by_their_makers(image: Image) -> None:
    lines = image.text("/etc/libvirt/libvirtd.conf").splitlines()
    assert [line for line in lines if line.startswith("host_uuid")] == ['host_uuid_source = "machine-id"']
