"""The nodes of a site as an Ansible inventory."""

from __future__ import annotations

from collections.abc import Mapping

from builder.site.folder import Site

Inventory = dict[str, dict[str, dict[str, object]]]


def ansible_inventory(site: Site, addresses: Mapping[int, str]) -> Inventory:
    """An inventory in Ansible's YAML form: the group of the site, with every slot whose address is known.

    `addresses` are by slot number. Host keys are those of the site's known_hosts.
    """
    hosts: dict[str, object] = {}
    for slot in site.plan.slots:
        if (address := addresses.get(slot.number)) is None:
            continue
        hosts[slot.name] = {
            "ansible_host": address,
            "trivet_slot": slot.number,
            "trivet_zone": slot.zone,
        }
    known_hosts = str(site.known_hosts.resolve())
    group: dict[str, object] = {
        "hosts": hosts,
        "vars": {
            "ansible_user": "root",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ansible_ssh_private_key_file": str(site.admin_key.resolve()),
            "ansible_ssh_common_args": f"-o StrictHostKeyChecking=yes -o 'UserKnownHostsFile=\"{known_hosts}\"'",
            "trivet_site": site.name,
            "trivet_site_id": site.id,
            "trivet_mode": str(site.plan.mode),
        },
    }
    return {"all": {"children": {f"trivet_{site.name.replace('-', '_')}": group}}}
