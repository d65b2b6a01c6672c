"""What would be lost, or could not be moved, if this instance were switched."""

from __future__ import annotations

from collections.abc import Sequence

from domain.adoption import Finding
from domain.blueprint import Blueprint
from domain.servers import Handoff, ServerPolicy, ServiceAddress


def findings(b: Blueprint, policy: ServerPolicy, account_id: str, *, mend: bool = False) -> list[Finding]:
    """Every finding, blocking ones first. `mend`: what we may set ourselves does not block."""
    found = [*_whose(b, account_id), *_root(b), *_volumes(b, policy, mend), *_addresses(b, policy)]
    return sorted(found, key=lambda finding: not finding.blocking)


def _whose(b: Blueprint, account_id: str) -> list[Finding]:
    found = []
    if b.account_id and account_id and b.account_id != account_id:
        found.append(
            Finding(
                "another_account",
                f"{b.instance_id} belongs to account {b.account_id}; our credentials are of {account_id}",
                "give the control plane credentials of that account, or a role in it",
            )
        )
    if b.state != "running":
        found.append(
            Finding(
                "not_running",
                f"{b.instance_id} is {b.state}; only a running instance can be adopted",
                f"aws ec2 start-instances --instance-ids {b.instance_id}",
            )
        )
    if b.spot_request_persistent:
        found.append(
            Finding(
                "persistent_spot_request",
                f"spot request {b.spot_request_id} is persistent: EC2 launches again when its instance ends. "
                "It is cancelled before the instance is retired",
                f"aws ec2 cancel-spot-instance-requests --spot-instance-request-ids {b.spot_request_id}",
                blocking=False,
            )
        )
    return found


def _root(b: Blueprint) -> list[Finding]:
    if b.root_device_type == "instance-store":
        return [
            Finding(
                "root_is_instance_store",
                "the root is an instance store: it ends with the instance and cannot be copied",
                "make an EBS-backed image of it, launch from that, and adopt the new instance",
            )
        ]
    return [
        Finding(
            "root_volume_is_not_copied",
            f"a replacement starts from image {b.image_id}: what was written to the root volume since stays behind",
            f"aws ec2 create-image --instance-id {b.instance_id} --name NAME, or keep state on a data volume",
            blocking=False,
        )
    ]


def _volumes(b: Blueprint, policy: ServerPolicy, mend: bool) -> list[Finding]:
    found = []
    if b.data_volumes and policy.handoff is Handoff.STATELESS:
        names = ", ".join(f"{v.volume_id} ({v.device})" for v in b.data_volumes)
        found.append(
            Finding(
                "volumes_would_stay",
                f"handoff `stateless` leaves {names} behind",
                'choose handoff "volumes" (same zone) or "snapshot" (any zone)',
            )
        )
    for volume in b.data_volumes:
        if volume.delete_on_termination and policy.handoff is not Handoff.STATELESS:
            found.append(_dies_with_instance(b, volume.device, volume.volume_id, mend))
    if not b.data_volumes and policy.handoff is not Handoff.STATELESS:
        found.append(
            Finding(
                "no_data_volume",
                f"handoff `{policy.handoff.value}` moves data volumes and there is none",
                'choose handoff "stateless", or attach the data volume first',
            )
        )
    return found


def _dies_with_instance(b: Blueprint, device: str, volume_id: str, mend: bool) -> Finding:
    mapping = f'[{{"DeviceName":"{device}","Ebs":{{"DeleteOnTermination":false}}}}]'
    return Finding(
        "volume_dies_with_instance",
        f"{volume_id} ({device}) is deleted when {b.instance_id} ends"
        + ("; adoption sets DeleteOnTermination=false" if mend else ""),
        f"aws ec2 modify-instance-attribute --instance-id {b.instance_id} --block-device-mappings '{mapping}'"
        ' (or adopt with "mend": true)',
        blocking=not mend,
    )


def _addresses(b: Blueprint, policy: ServerPolicy) -> list[Finding]:
    found = []
    if policy.service_address is ServiceAddress.PRIMARY or b.primary_interface_kept:
        found.append(
            Finding(
                "primary_address_must_stay",
                f"clients use the primary address {b.private_ip}; a primary interface can never be detached",
                f"aws ec2 assign-private-ip-addresses --network-interface-id {b.network_interface_id} "
                "--secondary-private-ip-address-count 1, let clients use that address, and adopt again",
            )
        )
    if not (b.elastic_ips or b.secondary_private_ips or b.targets):
        found.append(
            Finding(
                "no_address_moves",
                f"nothing that moves leads to the server: clients of {b.private_ip} would not find it after a switch",
                f"aws ec2 associate-address --instance-id {b.instance_id} --allocation-id ID, or register it with a "
                'target group; or accept ["no_address_moves"] if nobody connects to it',
            )
        )
    if b.secondary_interfaces:
        found.append(
            Finding(
                "secondary_interface_would_stay",
                f"secondary interfaces {', '.join(b.secondary_interfaces)} are not moved yet",
                "give the server a secondary private address on its primary interface instead",
            )
        )
    if b.secondary_private_ips and policy.handoff is Handoff.SNAPSHOT:
        found.append(
            Finding(
                "private_address_is_zone_bound",
                f"{', '.join(b.secondary_private_ips)} cannot leave the subnet; handoff `snapshot` leaves the zone",
                'choose handoff "volumes", or reach the server by an elastic address or a target group',
            )
        )
    return found


def blocking_findings(found: Sequence[Finding], accepted: Sequence[str] = ()) -> list[Finding]:
    """Those that refuse. Only what loses reachability can be accepted, never what loses state."""
    may_accept = {"no_address_moves"} & set(accepted)
    return [finding for finding in found if finding.blocking and finding.code not in may_accept]
