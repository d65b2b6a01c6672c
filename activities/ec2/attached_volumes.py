"""The volumes attached to many instances at once, with their sizes. Cached for an hour: volumes are added, and grow."""

from __future__ import annotations

import functools
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from activities.ec2.activity import parallel
from activities.ec2.clients import Clients
from activities.ec2.errors import Ec2Failure, doing
from domain.blueprint import BlockDevice

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

log = logging.getLogger(__name__)

CACHE_TTL_S = 3600.0
RETRY_AFTER_S = 300.0  # after a failure: the next pass would only fail again, and EC2 limits calls
_AT_ONCE = 200  # values of a filter: DescribeVolumes takes no more
_MOST_KEPT = 100_000

VolumesByInstance = dict[str, list[BlockDevice]]  # by instance; one without volumes has an empty list


@dataclass(frozen=True)
class AttachedVolumesResult:
    """`problem`: why some are absent, or more than an hour old. Empty when none is."""

    volumes: Mapping[str, list[BlockDevice]] = field(default_factory=dict)
    problem: str = ""


class AttachedVolumes:
    """Never fails: what cannot be read is absent, and `problem` says why."""

    def __init__(self, clients: Clients, clock: Callable[[], float] = time.monotonic) -> None:
        self._clients = clients
        self._clock = clock
        self._kept: dict[str, tuple[float, list[BlockDevice]]] = {}
        self._failed: dict[str, tuple[float, str]] = {}  # region -> when, why

    def of(self, region: str, roots: Mapping[str, str]) -> AttachedVolumesResult:
        """`roots`: instance -> name of its root device."""
        if len(self._kept) > _MOST_KEPT:
            self._kept.clear()
        old = sorted(one for one in roots if not self._is_fresh(one))
        problem = self._refresh(region, old, roots) if old else ""
        return AttachedVolumesResult({one: self._kept[one][1] for one in roots if one in self._kept}, problem)

    def _is_fresh(self, instance_id: str) -> bool:
        return instance_id in self._kept and self._clock() - self._kept[instance_id][0] < CACHE_TTL_S

    def _refresh(self, region: str, instance_ids: list[str], roots: Mapping[str, str]) -> str:
        failed_at, why = self._failed.get(region, (0.0, ""))
        if why and self._clock() - failed_at < RETRY_AFTER_S:
            return why
        why = ""
        self._failed.pop(region, None)
        chunks = [instance_ids[at : at + _AT_ONCE] for at in range(0, len(instance_ids), _AT_ONCE)]
        for answer in parallel([functools.partial(self._ask, region, chunk, roots) for chunk in chunks]):
            if isinstance(answer, Ec2Failure):
                log.warning("sizes of volumes in %s are not known: %s", region, answer.message)
                why = answer.message
                self._failed[region] = self._clock(), why
            else:
                self._kept |= {one: (self._clock(), volumes) for one, volumes in answer.items()}
        return why

    def _ask(self, region: str, instance_ids: list[str], roots: Mapping[str, str]) -> VolumesByInstance | Ec2Failure:
        found: defaultdict[str, list[BlockDevice]] = defaultdict(list)
        wanted = [{"Name": "attachment.instance-id", "Values": instance_ids}]
        try:
            with doing(f"looking at the volumes of {len(instance_ids)} instances"):
                pages = self._clients.ec2(region).get_paginator("describe_volumes").paginate(Filters=wanted)  # type: ignore[arg-type]
                for page in pages:
                    for instance_id, device in _devices(page.get("Volumes", []), roots):
                        found[instance_id].append(device)
        except Ec2Failure as failed:
            return failed
        return {one: found[one] for one in instance_ids}


def _devices(volumes: Collection[VolumeTypeDef], roots: Mapping[str, str]) -> Iterator[tuple[str, BlockDevice]]:
    """A volume of several instances (Multi-Attach) counts for each of them."""
    for volume in volumes:
        for link in volume.get("Attachments", []):
            instance_id, device = link.get("InstanceId", ""), link.get("Device", "")
            if instance_id in roots:
                yield (
                    instance_id,
                    BlockDevice(
                        device=device,
                        volume_id=volume.get("VolumeId", ""),
                        size_gib=volume.get("Size", 0),
                        volume_type=str(volume.get("VolumeType", "")),
                        root=device == roots[instance_id],
                    ),
                )
