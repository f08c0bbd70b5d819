"""Loading and compiling: short forms, defaults, files that are none, and that checked profiles always compile."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.profile.compile import compile_plan, needed_bytes
from builder.profile.document import MAX_BYTES
from builder.profile.load import load_profile, read_profile
from builder.profile.problems import ProfileError
from firstboot.disks.lvm import metadata_bytes
from firstboot.errors import BadInputError
from firstboot.plan import GIB, Mode, Plan, VolumeType

ROOT = Path(__file__).parents[3]
SHIPPED = sorted((ROOT / "profiles").glob("*.yaml"))
SMALL = "trivet: 1\nname: small\nslots: 3\nbricks: [data]\nvolumes: [vmstore]\ndomains: [vmstore]\n"
HERE = Path("profile.yaml")


def plan_of(text: str) -> Plan:
    return compile_plan(read_profile(text, HERE))


def test_short_forms_and_defaults() -> None:
    plan = plan_of(SMALL)
    assert plan.mode is Mode.BOTH
    assert [(slot.number, slot.name) for slot in plan.slots] == [(1, "node1"), (2, "node2"), (3, "node3")]
    (volume,) = plan.volumes
    assert (volume.type, volume.replica, volume.bricks, volume.group) == (VolumeType.REPLICATE, 3, "data", "virt")
    assert plan.bricks[0].rule.min_size_bytes == 8 * GIB
    assert plan.bricks[0].layout == "thin"
    assert (plan.domains[0].volume, plan.domains[0].registrar) == ("vmstore", "libvirt")
    assert plan.network.guest_bridge is None


def test_short_and_long_forms_are_the_same() -> None:
    short = SMALL + "network: {guest_bridge: br1, interface: eno1, dns: 192.0.2.1}\n"
    long = """
trivet: 1
name: small
mode: both
slots: [{name: node1}, {}, node3]
bricks: [{name: data, count: 1, layout: thin, rule: {}}]
volumes: [{name: vmstore, type: replicate, replica: 3, bricks: data, group: virt, options: {}}]
domains: [{name: vmstore, volume: vmstore, registrar: libvirt}]
network:
  guest_bridge: {name: br1, libvirt_network: guests}
  interface: {name: eno1}
  dns: [192.0.2.1]
"""
    assert plan_of(short) == plan_of(long)


def test_a_brick_class_takes_no_disk_that_its_volumes_do_not_fit_on() -> None:
    plan = plan_of(SMALL.replace("[vmstore]\nd", "[{name: vmstore, size: 100GiB}]\nd"))
    assert plan.bricks[0].rule.min_size_bytes == 102 * GIB


@given(st.integers(GIB // 4, 2**45))
def test_what_bricks_need_is_what_lvm_leaves(brick_bytes: int) -> None:
    text = SMALL.replace("[vmstore]\nd", f"[{{name: vmstore, size: {brick_bytes}B}}]\nd")
    profile = read_profile(text, HERE)
    disk_bytes = needed_bytes(profile, profile.bricks[0])
    assert disk_bytes - 2 * metadata_bytes(disk_bytes) >= brick_bytes
    assert disk_bytes <= brick_bytes * 1.03 + GIB * 2


def test_option_values_become_text() -> None:
    options = "[{name: vmstore, options: {network.ping-timeout: 30, nfs.disable: true}}]\nd"
    plan = plan_of(SMALL.replace("[vmstore]\nd", options))
    assert plan.volumes[0].options == {"network.ping-timeout": "30", "nfs.disable": "on"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_are_right(path: Path) -> None:
    plan = compile_plan(load_profile(path))
    assert plan.name == path.stem
    assert Plan.model_validate_json(plan.model_dump_json()) == plan


def test_every_promised_profile_is_shipped() -> None:
    assert {path.stem for path in SHIPPED} >= {"replica3", "arbiter", "single", "gluster-only", "lab"}


def test_files_that_are_no_profiles(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="can't be read: No such file"):
        load_profile(tmp_path / "none.yaml")
    with pytest.raises(BadInputError, match="can't be read: Is a directory"):
        load_profile(tmp_path)
    large = tmp_path / "large.yaml"
    large.write_text("#" * (MAX_BYTES + 1))
    with pytest.raises(BadInputError, match="larger than 256 KiB"):
        load_profile(large)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"trivet: 1\nname: \xff\xfe\n")
    with pytest.raises(ProfileError, match="binary.yaml:2: is not UTF-8 text"):
        load_profile(binary)


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    for value in ("hunter2hunter2", "12345678", '["hunter2hunter2"]'):
        with pytest.raises(ProfileError) as caught:
            read_profile(SMALL + f"access: {{console_password_hash: {value}}}\n", HERE)
        assert "hunter2" not in str(caught.value)
        assert "12345678" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
        "$6$rounds=5000$saltsalt$" + "a" * 86,
        "$2b$12$" + "a" * 53,
    ],
)
def test_strong_hashes_pass(value: str) -> None:
    plan = plan_of(SMALL + f"access: {{console_password_hash: {value}}}\n")
    assert plan.access.console_password_hash == value


def test_many_errors_are_counted_but_not_all_printed() -> None:
    keys = "".join(f"key{number}: 1\n" for number in range(80))
    with pytest.raises(ProfileError, match=r"has 80 errors:(.|\n)*and 30 more") as caught:
        read_profile(SMALL + keys, HERE)
    assert len(caught.value.problems) == 80


names = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
volumes = st.fixed_dictionaries(
    {"name": names},
    optional={
        "type": st.sampled_from(["replicate", "arbiter", "distribute"]),
        "replica": st.integers(0, 4),
        "bricks": st.sampled_from(["data", "fast", "lost"]),
        "size": st.sampled_from(["10GiB", "1MiB", "x"]),
        "group": st.sampled_from(["virt", "none", "other"]),
    },
)
bricks = st.fixed_dictionaries(
    {"name": st.sampled_from(["data", "fast"])},
    optional={
        "rule": st.fixed_dictionaries(
            {}, optional={"rotational": st.booleans(), "bus": st.sampled_from(["nvme", "sata"]), "model": names}
        ),
        "count": st.integers(0, 3),
        "layout": st.sampled_from(["thin", "plain"]),
    },
)
profiles = st.fixed_dictionaries(
    {"trivet": st.just(1), "name": names, "slots": st.one_of(st.integers(1, 7), st.lists(names, max_size=4))},
    optional={
        "mode": st.sampled_from(["virt", "gluster", "both"]),
        "bricks": st.lists(bricks, max_size=2),
        "volumes": st.lists(volumes, max_size=3),
        "domains": st.lists(names, max_size=2),
    },
)


@given(profiles)
@settings(max_examples=300)
def test_a_profile_is_refused_with_reasons_or_compiles(document: dict[str, object]) -> None:
    text = yaml.safe_dump(document)
    try:
        profile = read_profile(text, HERE)
    except ProfileError as error:
        assert error.problems
        return
    plan = compile_plan(profile)
    assert Plan.model_validate_json(plan.model_dump_json()) == plan
    for volume in plan.volumes:
        assert len(plan.slots) % volume.replica == 0
        plan.brick_class(volume.bricks)
    for domain in plan.domains:
        assert domain.volume in {volume.name for volume in plan.volumes}


def test_the_project_names_the_pydantic_that_short_forms_need() -> None:
    """`json_schema_input_type` came with pydantic 2.10."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "pydantic>=2.10,<3" in project["dependencies"]
