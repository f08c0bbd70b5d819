"""Nodes seen from the workstation: who answers is proved, against the nodes' own service on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.site import nodes
from builder.site.folder import Site, create_site
from builder.site.nodes import (
    ask_all,
    ask_host_keys,
    checked_address,
    fetch_host_keys,
    known_addresses,
    read_status,
    ssh_argv,
    with_host_keys,
)
from builder.site.slots import issue_seed
from firstboot.cluster.server import AdmissionServer, Answer, Request
from firstboot.cluster.tls import Credentials, server_context
from firstboot.cluster.trust import OperatorRole
from firstboot.errors import BadInputError, RefusedError, TrivetError
from firstboot.run import Completed, run
from firstboot.seed import Seed
from tests.unit.firstboot.sites import credentials
from tests.unit.site.seeds import small_plan, small_seed

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDIoz0YybVx5qVz0MbTFTcMdGCUkN8lhKUlzyVmjSLmN"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIipWrXbKGRuOyX2pEJe+0jC0aFhpSzeP/4p2LBjSQRs"
HOME = "127.0.0.1"


@contextmanager
def serving(
    seed: Seed, document: object, *, code: int = 200, shown: Credentials | None = None
) -> Iterator[tuple[int, list[Request]]]:
    """A node's admission service that gives one answer; yields its port and the requests that came."""
    asked: list[Request] = []

    def answer(request: Request) -> Answer:
        asked.append(request)
        return Answer(code, document)

    server = AdmissionServer(server_context(shown or credentials(seed)), site_id=seed.site.id, port=0, answer=answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.port, asked
    finally:
        server.close()
        thread.join()


def test_host_keys_of_a_proved_node(site: Site) -> None:
    with serving(issue_seed(site, 2), {"keys": [f"{HOST_KEY} root@node2"], "more": 1}) as (port, asked):
        found = fetch_host_keys(site, HOME, port=port)
    assert (found.role.slot, found.host_keys) == (2, (HOST_KEY,))
    assert [(request.method, request.path, request.role) for request in asked] == [
        ("GET", "/v1/ssh-host-keys", OperatorRole(site.id))
    ]
    assert site.known_hosts.read_text() == f"{HOME} {HOST_KEY}\n"


def test_changed_host_keys_are_replaced_after_the_node_proved_itself(site: Site) -> None:
    site.known_hosts.write_text(f"192.0.2.9 {OTHER_KEY}\n{HOME} {OTHER_KEY}\n")
    with serving(issue_seed(site, 1), {"keys": [HOST_KEY]}) as (port, _):
        fetch_host_keys(site, HOME, port=port)
    assert site.known_hosts.read_text() == f"{HOME} {HOST_KEY}\n192.0.2.9 {OTHER_KEY}\n"


def test_a_node_of_another_site_is_refused(site: Site, tmp_path: Path) -> None:
    stranger = create_site(tmp_path / "other", "trio", small_plan())
    with (
        serving(issue_seed(stranger, 1), {"keys": [HOST_KEY]}) as (port, asked),
        pytest.raises(RefusedError, match="is not a node of site trio"),
    ):
        fetch_host_keys(site, HOME, port=port)
    assert asked == []
    assert site.known_hosts.read_text() == ""


def test_the_operator_is_no_node(site: Site) -> None:
    """Its certificate is under the same root; a thief of it must not pass for a node."""
    root = site.unlock_root(None)
    seed = small_seed(root)
    operator = root.issue_operator()
    shown = Credentials(operator.certificate, operator.key, root.certificate_pem)
    with (
        serving(seed, {"keys": [HOST_KEY]}, shown=shown) as (port, _),
        pytest.raises(RefusedError, match="is not a node of site trio"),
    ):
        ask_host_keys(site, HOME, port=port)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"keys": []}, "has no SSH host key yet"),
        (
            {"keys": ["@cert-authority * ssh-ed25519 AAAA", "nonsense", f"{HOST_KEY}\n{OTHER_KEY}"]},
            "has no SSH host key",
        ),
        ({"other": []}, "can't be read"),
        (["keys"], "can't be read"),
        ({"keys": ["x" * 70_000]}, "refused"),
    ],
)
def test_answers_that_are_none(site: Site, document: object, message: str) -> None:
    with serving(issue_seed(site, 1), document) as (port, _), pytest.raises(TrivetError, match=message):
        fetch_host_keys(site, HOME, port=port)
    assert site.known_hosts.read_text() == ""


def test_a_refusal(site: Site) -> None:
    serving_refusal = serving(issue_seed(site, 1), {"error": "no"}, code=403)
    with serving_refusal as (port, _), pytest.raises(TrivetError, match="HTTP status 403"):
        ask_host_keys(site, HOME, port=port)


def test_nobody_there(site: Site) -> None:
    with serving(issue_seed(site, 1), {}) as (port, _):
        pass
    with pytest.raises(TrivetError, match=f"does not answer on port {port}"):
        ask_host_keys(site, HOME, port=port)


def test_reports_side_by_side_say_why(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(site: Site, address: str, **options: object) -> None:
        raise TrivetError(f"node {address} is silent")

    monkeypatch.setattr(nodes, "fetch_host_keys", unreachable)
    reports = ask_all(site, ["192.0.2.1", "192.0.2.2"])
    assert [(report.address, report.status, report.error) for report in reports] == [
        ("192.0.2.1", None, "node 192.0.2.1 is silent"),
        ("192.0.2.2", None, "node 192.0.2.2 is silent"),
    ]


def test_ssh_reads_our_options_as_they_are_meant(tmp_path: Path) -> None:
    """`ssh -G` prints what ssh understood: also from a folder with a space and a percent sign in its name."""
    site = create_site(tmp_path / "my 100% site", "trio", small_plan())
    argv = ssh_argv(site, "192.0.2.11", ["echo", "a b", "$HOME"])
    assert argv[-3:] == ["--", "root@192.0.2.11", "echo 'a b' '$HOME'"]
    understood = run([argv[0], "-G", *argv[1:]], timeout_s=60).stdout.splitlines()
    for line in (
        "user root",
        "hostname 192.0.2.11",
        "stricthostkeychecking true",
        "passwordauthentication no",
        "batchmode yes",
        "identitiesonly yes",
    ):
        assert line in understood
    (identity,) = [line for line in understood if line.startswith("identityfile ")]
    assert identity.replace("%%", "%").endswith("/my 100% site/admin_ed25519")


def test_without_command_ssh_is_interactive(site: Site) -> None:
    argv = ssh_argv(site, "fe80::1%eth0", [])
    assert argv[-2:] == ["--", "root@fe80::1%eth0"]
    assert "BatchMode=yes" not in argv


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "a;b", "host\n", "x" * 300, "192.0.2.1/24"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(BadInputError, match="is not an address"):
        checked_address(address)


@given(st.lists(st.sampled_from(["a k1", "b k2", "a k3", "c k4"])), st.lists(st.sampled_from(["k5", "k6"])))
def test_known_hosts_of_one_address_only_are_replaced(lines: list[str], keys: list[str]) -> None:
    after = with_host_keys(lines, "a", keys)
    assert sorted(line for line in after if not line.startswith("a ")) == sorted(
        line for line in lines if not line.startswith("a ")
    )
    assert sorted(line for line in after if line.startswith("a ")) == sorted(f"a {key}" for key in keys)
    assert with_host_keys(after, "a", keys) == after


def test_a_waiting_node_exits_non_zero_and_still_has_a_status() -> None:
    text = '{"phase": "unclaimed", "state": "waiting", "reason": "no seed", "since": "2026-01-01T00:00:00Z"}'
    assert read_status(Completed((), 5, text, "", 0.1), HOME).reason == "no seed"
    with pytest.raises(TrivetError, match="gave no status: Permission denied"):
        read_status(Completed((), 255, "", "Permission denied\n", 0.1), HOME)
    with pytest.raises(TrivetError, match="gave no status: exit code 1"):
        read_status(Completed((), 1, "", "", 0.1), HOME)


def test_static_sites_need_no_search(tmp_path: Path) -> None:
    plan = small_plan()
    slots = tuple(
        slot.model_validate({**slot.model_dump(), "address": f"192.0.2.{10 + slot.number}/24"}) for slot in plan.slots
    )
    site = create_site(tmp_path / "fixed", "trio", plan.model_copy(update={"slots": slots}))
    assert known_addresses(site, browse_s=60) == ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
