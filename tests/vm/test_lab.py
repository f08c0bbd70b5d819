"""The formed lab, looked at from outside: every node through testinfra over ssh, and the lab's own words."""

from __future__ import annotations

import json
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

import jsonschema
import pexpect
import pytest
from testinfra.host import Host

from builder.lab.report import LabStatus
from builder.lab.state import LabState
from firstboot import paths
from firstboot.paths import ADMISSION_PORT
from tests.vm.cli import PROFILE, ROOT, TRIVET, trivet
from tests.vm.conftest import Lab, host_of
from tests.vm.stranger import stranger

NODES = (1, 2, 3)
VOLUME = "vmstore"


def schema(name: str) -> Any:
    """A format's published schema."""
    return json.loads((ROOT / "docs" / "schemas" / f"{name}.json").read_text())


@pytest.fixture(scope="module", params=NODES, ids=lambda number: f"node{number}")
def number(request: pytest.FixtureRequest) -> int:
    found = request.param
    assert isinstance(found, int)
    return found


@pytest.fixture(scope="module")
def node(lab: Lab, number: int) -> Iterator[Host]:
    yield host_of(lab, number)


def test_every_node_has_formed(lab: Lab) -> None:
    assert lab.status.formed
    assert [(n.name, n.phase) for n in lab.status.nodes] == [(f"node{n}", "formed") for n in NODES]


def test_the_status_keeps_to_its_schema(lab: Lab) -> None:
    done = trivet("lab", "status", "--name", lab.name, "--json", timeout_s=300)
    document = json.loads(done.stdout)
    jsonschema.validate(document, schema("trivet-lab-status"))
    assert (document["format"], document["formed"]) == ("trivet-lab-status", True)


def test_the_nodes_own_status_keeps_to_its_schema(node: Host) -> None:
    document = json.loads(node.check_output("trivet-node status --json"))
    jsonschema.validate(document, schema("trivet-status"))
    assert (document["phase"], document["state"]) == ("formed", "done")


def test_the_workstation_sees_what_the_nodes_say(lab: Lab) -> None:
    """Found by mDNS on the lab's bridge, asked over ssh with the admin key."""
    document = json.loads(trivet("site", "status", lab.site, "--json").stdout)
    jsonschema.validate(document, schema("trivet-site-status"))
    seen = {(node["name"], node["status"]["phase"]) for node in document["nodes"]}
    assert seen == {(f"node{n}", "formed") for n in NODES}


def test_the_volume_has_a_brick_on_every_node(lab: Lab) -> None:
    (volume,) = lab.status.volumes
    assert (volume.name, volume.type.lower(), volume.status) == (VOLUME, "replicate", "Started")
    assert sorted((brick.node, brick.online) for brick in volume.bricks) == [(f"node{n}", True) for n in NODES]


def test_the_domain_is_active_everywhere(lab: Lab) -> None:
    (domain,) = lab.status.domains
    assert (domain.name, domain.registrar) == (VOLUME, "libvirt")
    assert domain.nodes == {f"node{n}": "active" for n in NODES}


def test_every_node_sees_every_other(lab: Lab) -> None:
    seen = {(peer.node, peer.peer) for peer in lab.status.peers if peer.connected}
    assert seen == {(f"node{a}", f"node{b}") for a in NODES for b in NODES if a != b}


def test_peers_on_the_node(node: Host) -> None:
    text = node.check_output("gluster pool list")
    assert text.count("Connected") == 3, text


@pytest.mark.parametrize("service", ["trivet-firstboot", "glusterd", "libvirtd", "ssh", "chrony"])
def test_services_run(node: Host, service: str) -> None:
    assert node.service(service).is_running


def test_no_unit_has_failed(node: Host) -> None:
    assert node.check_output("systemctl --failed --no-legend --plain") == ""


def test_bricks_are_mounted_xfs_on_a_thin_volume(node: Host) -> None:
    mount = node.mount_point(str(paths.brick_mount(VOLUME, 0)))
    assert mount.exists
    assert mount.filesystem == "xfs"
    assert {"noatime", "inode64"} <= set(mount.options)
    assert "isize=512" in node.check_output(f"xfs_info {paths.brick_mount(VOLUME, 0)}")
    assert node.check_output(f"lvs --noheadings -o segtype {mount.device}").strip() == "thin"
    assert node.file(str(paths.brick_path(VOLUME, 0))).is_directory


def test_the_volume_is_tuned_for_guests(node: Host) -> None:
    """Every option of the group that the node's own Gluster ships."""
    wanted = dict(
        line.split("=", 1)
        for line in node.check_output("cat /var/lib/glusterd/groups/virt").splitlines()
        if "=" in line
    )
    info = node.check_output(f"gluster volume info {VOLUME}")
    given = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
    assert wanted
    assert {key: given.get(key) for key in wanted} == wanted


def test_the_libvirt_pool_is_active_and_stays_so(node: Host) -> None:
    lines = [line.partition(":") for line in node.check_output(f"virsh pool-info {VOLUME}").splitlines()]
    info = {key.strip(): value.strip() for key, _, value in lines}
    assert (info["State"], info["Autostart"]) == ("running", "yes")


def test_the_guest_bridge_has_a_libvirt_network(node: Host, lab: Lab) -> None:
    bridge = lab.state.plan.network.guest_bridge
    assert bridge is not None
    info = node.check_output(f"virsh net-info {bridge.libvirt_network}")
    assert "Active:         yes" in info
    assert "Autostart:      yes" in info
    assert bridge.name in info
    assert node.interface(bridge.name).exists


def test_the_root_is_read_only(node: Host) -> None:
    assert "ro" in node.mount_point("/").options
    assert node.run("touch /usr/written /etc/written /written").rc != 0
    for path in ("/usr/written", "/etc/written", "/written"):
        assert not node.file(path).exists


def test_declared_paths_can_be_written(node: Host) -> None:
    lines = [line.split() for line in node.check_output("cat /usr/lib/trivet/state-paths").splitlines()]
    declared = [(line[0], line[1]) for line in lines if len(line) == 2 and not line[0].startswith("#")]
    assert declared
    for kind, path in declared:
        # A declared file may not be there yet, as /etc/adjtime before the clock was first set.
        command = (
            f"touch {path}/.trivet-vm && rm {path}/.trivet-vm"
            if kind == "dir"
            else f"readlink -f {path} && test -w $(dirname $(readlink -f {path}))"
        )
        result = node.run(command)
        assert result.rc == 0, f"{kind} {path}: {result.stderr}"
        if kind == "file":
            assert result.stdout.startswith("/var/"), f"{path} is {result.stdout}, which is not on state"


def test_a_file_written_on_one_node_is_read_on_the_others(lab: Lab) -> None:
    path = f"{paths.DOMAINS}/{VOLUME}/from-node1"
    text = f"written at {time.time()}"
    first, *others = (host_of(lab, number) for number in NODES)
    first.check_output(f"echo '{text}' > {path} && sync {path}")
    assert [other.check_output(f"cat {path}") for other in others] == [text, text]
    first.check_output(f"rm {path}")


def test_open_ports_of_a_formed_node(lab: Lab) -> None:
    """Seen from a machine on the bridge that is not of the site."""
    with stranger(lab.state) as other:
        ports = set(other.open_ports(lab.address(1)))
    print(f"open TCP ports of a formed node: {sorted(ports)}")
    assert ports == {22, ADMISSION_PORT}, "Gluster is for members alone"


def test_what_the_nodes_refused_and_how_closed_they_are(lab: Lab) -> None:
    """After the machine above tried every port; the doctor's look takes a while on an emulated machine."""
    document = json.loads(host_of(lab, 1).run("trivet-node doctor --json").stdout)
    checks = ("certificate", "gluster TLS", "packet filter")
    *closed, strangers = [finding for finding in document["findings"] if finding["check"] in checks]
    assert [finding["verdict"] for finding in closed] == ["pass"] * 7, closed
    assert lab.state.home.subnet is not None
    assert str(lab.state.home.subnet[-2]) in strangers["evidence"]


def test_bricks_outlive_their_glusterd(node: Host) -> None:
    """Started again more often than Debian's unit allows in an hour."""
    before = node.check_output("pgrep -x glusterfsd")
    glusterd = node.check_output("systemctl show --value --property=MainPID glusterd")
    for _ in range(7):
        node.check_output("systemctl restart glusterd")
    assert node.check_output("systemctl show --value --property=MainPID glusterd") != glusterd
    assert node.check_output("pgrep -x glusterfsd") == before
    deadline = time.monotonic() + 600
    while not is_online(node, before):
        assert time.monotonic() < deadline, "its glusterd does not know the brick again"
        time.sleep(2)


def is_online(node: Host, pid: str) -> bool:
    """Whether the node's glusterd says that this process of the node is an online brick."""
    answer = node.run(f"gluster --mode=script --xml volume status {VOLUME}").stdout
    if not answer:
        return False
    bricks = ElementTree.fromstring(answer).iterfind("volStatus/volumes/volume/node")
    own = [brick for brick in bricks if (brick.findtext("hostname") or "").startswith(node.check_output("hostname"))]
    return [(brick.findtext("pid"), brick.findtext("status")) for brick in own] == [(pid, "1")]


def test_nothing_takes_the_bricks_ports(node: Host) -> None:
    first, last = paths.BRICK_PORTS[0], paths.BRICK_PORTS[-1]
    assert f"{first}-{last}" in node.check_output("cat /proc/sys/net/ipv4/ip_local_reserved_ports")
    listening = node.check_output("ss -Hltnp")
    bricks = [int(line.split()[3].rpartition(":")[2]) for line in listening.splitlines() if '"glusterfsd"' in line]
    assert len(bricks) == 1
    assert first <= bricks[0] <= last


def test_up_again_changes_nothing(lab: Lab, plan: Any) -> None:
    def boots(state: LabState) -> list[bytes]:
        return [lab.folder.node(node.number).serial_log.read_bytes() for node in state.nodes]

    marks = [log.count(b"=== lab: power on") for log in boots(lab.state)]
    done = trivet("lab", "up", PROFILE, "--name", lab.name, "--site", lab.site, "--json", timeout_s=900)
    again = LabStatus.model_validate_json(done.stdout)
    assert again.formed
    assert {n.node_id for n in again.nodes} == {n.node_id for n in lab.status.nodes}
    assert [log.count(b"=== lab: power on") for log in boots(lab.state)] == marks == [1, 1, 1]


def test_ssh_runs_a_command_on_a_node(lab: Lab) -> None:
    done = trivet("lab", "ssh", "--name", lab.name, "2", "cat", "/etc/hostname", timeout_s=120)
    assert done.stdout.strip().startswith("node2")
    assert trivet("lab", "ssh", "--name", lab.name, "2", "false", timeout_s=120, check=False).returncode == 1


def test_the_console_leads_to_a_login(lab: Lab) -> None:
    console = pexpect.spawn(str(TRIVET), ["lab", "console", "3", "--name", lab.name], timeout=300)
    console.expect_exact("leave with Ctrl-]")
    console.send("\r")
    console.expect_exact("login:")
    console.send("\x1d")
    console.expect(pexpect.EOF)
    console.close()
    assert console.exitstatus == 0


def test_times_are_split_by_phase(lab: Lab) -> None:
    document = json.loads(trivet("lab", "times", "--name", lab.name, "--json", timeout_s=300).stdout)
    jsonschema.validate(document, schema("trivet-lab-times"))
    assert document["slowest"] in {f"node{n}" for n in NODES}
    for node in document["nodes"]:
        names = [part["name"] for part in node["parts"]]
        assert {"kernel", "identity", "disks", "domains"} <= set(names)
        print(f"{node['name']}: formed after {node['formed_s']} s:", node["parts"])
