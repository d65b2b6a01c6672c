"""Before and after: every attribute of the old instance against the new one.

A difference needs a reason; one without fails the switch before it commits.
"""

from __future__ import annotations

from dataclasses import fields, replace

from domain.blueprint import BlockDevice, Blueprint
from domain.operations import AttributeChange

# Attributes that differ between any two instances, with the reason written in the receipt.
_EXPLAINED: dict[str, str] = {
    "instance_id": "a replacement is another instance",
    "state": "",
    "pool": "the pool is what the operation changes",
    "subnet_id": "a subnet decides the zone",
    "zone": "the pool is what the operation changes",
    "private_ip": "the primary address of an instance never moves",
    "network_interface_id": "a primary interface never detaches",
    "spot_request_id": "one spot request per launch",
    "spot_request_persistent": "replacements use one-time requests",
    "own_tags": "they name the operation that made the instance",
    "primary_interface_kept": "a replacement's interface ends with it, so that none is left behind",
}
_ENCRYPTION = frozenset({"encrypted", "kms_key_id"})
_PROTECTION = frozenset({"termination_protection", "stop_protection"})
# Compared by what they are, not by equality of the field.
_SPECIAL = frozenset(
    {
        "block_devices",
        "elastic_ips",
        "targets",
        "secondary_private_ips",
        "public_ip",
        "state",
        "image_devices",
    }
)


def compare_blueprints(
    before: Blueprint, after: Blueprint, *, moved: bool, addresses: bool = True, protection_pending: bool = False
) -> list[AttributeChange]:
    """Every difference, with its reason, or with none when nothing explains it.

    `moved`: state and addresses are on the new instance already, so they are compared too;
    without `addresses`: the state alone, since traffic follows later.
    `protection_pending`: before the commit, termination and stop protection are still off on the
    replacement, since a rollback has to be able to end it; after it they must be as they were.
    """
    changes: list[AttributeChange | None] = [
        _plain(f.name, before, after) for f in fields(Blueprint) if f.name not in _SPECIAL
    ]
    changes += _root(before.root, after.root)
    changes.append(_automatic_address(before, after))
    if moved:
        changes += _state(before, after)
    if moved and addresses:
        changes += _traffic(before, after)
    found = [change for change in changes if change is not None]
    return [_pending(change) for change in found] if protection_pending else found


def _pending(change: AttributeChange) -> AttributeChange:
    if change.attribute in _PROTECTION and change.after == "False":
        return replace(change, reason="switched on after the commit")
    return change


def unexplained(changes: list[AttributeChange]) -> list[AttributeChange]:
    return [change for change in changes if not change.reason]


def _plain(name: str, before: Blueprint, after: Blueprint) -> AttributeChange | None:
    old, new = getattr(before, name), getattr(after, name)
    if isinstance(old, list):
        old, new = sorted(old), sorted(new)
    if old == new:
        return None
    reason = _EXPLAINED.get(name, "")
    if name == "subnet_id" and before.zone == after.zone:
        reason = "another subnet of the same zone was asked for"
    if name == "cpu_credits" and not (old and new):
        reason = "only burstable types have credits"
    if name == "ebs_optimized" and new:
        reason = "the new type is always EBS-optimised"
    if name == "hibernation" and old and after.pool.endswith("/spot"):
        reason = "a one-time spot instance cannot hibernate"
    return AttributeChange(name, _text(name, old), _text(name, new), reason)


def _root(old: BlockDevice | None, new: BlockDevice | None) -> list[AttributeChange | None]:
    if old is None or new is None:
        return [] if old is new else [AttributeChange("root volume", str(old), str(new))]
    names = ("device", "size_gib", "volume_type", "iops", "throughput_mib_s", "encrypted", "kms_key_id")
    newly_encrypted = new.encrypted and not old.encrypted
    changes: list[AttributeChange | None] = [
        AttributeChange(
            f"root volume {name}",
            str(getattr(old, name)),
            str(getattr(new, name)),
            "the account encrypts every new volume" if newly_encrypted and name in _ENCRYPTION else "",
        )
        for name in (*names, "delete_on_termination", "tags")
        if getattr(old, name) != getattr(new, name)
    ]
    return changes


def _automatic_address(before: Blueprint, after: Blueprint) -> AttributeChange | None:
    """An automatic public address is another one at each launch; that there is one must not change.

    With an Elastic IP it says nothing: that takes the automatic address's place.
    """
    if before.elastic_ips or after.elastic_ips or bool(before.public_ip) == bool(after.public_ip):
        return None
    return AttributeChange("automatic public address", before.public_ip or "none", after.public_ip or "none")


def _state(before: Blueprint, after: Blueprint) -> list[AttributeChange | None]:
    same_zone = before.zone == after.zone
    return _set_change(
        "data volumes",
        [_volume_key(v, same_zone) for v in before.data_volumes],
        [_volume_key(v, same_zone) for v in after.data_volumes],
    )


def _traffic(before: Blueprint, after: Blueprint) -> list[AttributeChange | None]:
    changes: list[AttributeChange | None] = []
    if before.zone == after.zone:
        changes += _set_change("secondary private addresses", before.secondary_private_ips, after.secondary_private_ips)
    changes += _set_change(
        "elastic addresses",
        [e.public_ip for e in before.elastic_ips],
        [e.public_ip for e in after.elastic_ips],
    )
    changes += _set_change(
        "target groups",
        [f"{t.target_group_arn}:{t.port}" for t in before.targets],
        [f"{t.target_group_arn}:{t.port}" for t in after.targets],
    )
    return changes


def _volume_key(volume: BlockDevice, same_zone: bool) -> str:
    """In its zone a volume is the same volume; in another it is a copy with the same settings."""
    if same_zone:
        return f"{volume.device}={volume.volume_id}"
    settings = (volume.size_gib, volume.volume_type, volume.iops, volume.throughput_mib_s, volume.encrypted)
    return f"{volume.device}={settings} {sorted(volume.tags.items())}"


def _set_change(name: str, old: list[str], new: list[str]) -> list[AttributeChange | None]:
    if sorted(old) == sorted(new):
        return []
    return [AttributeChange(name, ", ".join(sorted(old)), ", ".join(sorted(new)))]


def _text(name: str, value: object) -> str:
    """User data may hold secrets: its difference is told, its content never."""
    return f"{len(str(value))} characters" if name == "user_data_base64" else str(value)
