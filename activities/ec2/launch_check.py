"""CHECK_LAUNCH: do we have all permissions, and is there quota for both instances at once?

Every call is made with DryRun: EC2 answers DryRunOperation when it would have been allowed. Elastic Load Balancing has
no dry run. A permission that is missing there shows at registration, before anything of the old instance is touched.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from activities.ec2.activity import ec2_activity, parallel, together
from activities.ec2.clients import Cache, Clients
from activities.ec2.dry_runs import dry_run
from activities.ec2.errors import Ec2Failure, code_of, denied_action, doing, failure_of
from activities.ec2.launch_request import run_instances_request
from activities.ec2.market_facts import MarketFacts
from domain import ec2 as contract
from domain.errors import Failure
from domain.names import ownership_tags
from domain.pools import Candidate, Pool

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

# "Standard" instances: families A, C, D, H, I, M, R, T, Z. vCPUs, of one account in one region.
_SPOT_QUOTA, _ON_DEMAND_QUOTA = "L-34B43A08", "L-1216C47A"
_STANDARD = frozenset("acdhimrtz")
_NOT_STANDARD = ("dl", "hpc", "inf", "trn", "mac")  # begin like a standard family, have their own quota
# Counting takes a look at every instance of the region: in a large fleet many switches share one. What it misses of
# them is EC2's to refuse, and then another pool is taken. Service Quotas answers a few calls a second.
_IN_USE_S, _LIMITS_S = 10.0, 60.0
_TRANSIENT = frozenset({Failure.THROTTLED, Failure.UNAVAILABLE})


@dataclass(frozen=True)
class _Verdict:
    action: str
    denied: str = ""
    problem: str = ""
    no_quota: str = ""


class LaunchCheck:
    def __init__(self, clients: Clients, facts: MarketFacts) -> None:
        self._clients = clients
        self._facts = facts
        self._in_use: Cache[dict[bool, int]] = Cache(_IN_USE_S)
        self._limits: Cache[float] = Cache(_LIMITS_S)

    @ec2_activity(contract.CHECK_LAUNCH)
    def check(self, given: contract.CheckInput) -> contract.CheckResult:
        return self.attempt(given)

    def attempt(self, given: contract.CheckInput) -> contract.CheckResult:
        verdicts, skip = together(lambda: self._try(given), lambda: self._quotas(given))
        denied = sorted({v.denied for v in verdicts if v.denied})
        problems = [v.problem for v in verdicts if v.problem]
        problems += [
            f"{action} is denied. Allow it to the control plane's role (deploy/aws/iam-policy.json)."
            for action in denied
        ]
        skip |= {str(given.candidates[0].pool): v.no_quota for v in verdicts if v.no_quota}
        return contract.CheckResult(problems=problems, missing_permissions=denied, skip=skip)

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.check]

    def _try(self, given: contract.CheckInput) -> list[_Verdict]:
        ec2 = self._clients.ec2_once(given.region)
        tries: list[tuple[str, Callable[[], object]]] = []
        if given.candidates:
            request = _launch(given, given.candidates[0])
            tries.append(("RunInstances", lambda: ec2.run_instances(**request, DryRun=True)))
        for action in dict.fromkeys(name.removeprefix("ec2:") for name in given.actions):
            if action != "RunInstances" and (call := dry_run(ec2, action, given.blueprint)):
                tries.append((action, call))
        return parallel([functools.partial(_verdict, action, call) for action, call in tries])

    def _quotas(self, given: contract.CheckInput) -> dict[str, str]:
        """Best effort: without the permission to read quotas, RunInstances refuses what exceeds them."""
        pools = [c.pool for c in given.candidates if _is_standard(c.pool.instance_type)]
        if not pools:
            return {}
        try:
            return self._over_quota(given.region, pools)
        except Ec2Failure:
            return {}

    def _over_quota(self, region: str, pools: list[Pool]) -> dict[str, str]:
        types = self._facts.named_types(region, [pool.instance_type for pool in pools])
        spot_limit, on_demand_limit, used = together(
            lambda: self._quota(region, _SPOT_QUOTA),
            lambda: self._quota(region, _ON_DEMAND_QUOTA),
            lambda: self._in_use.get(region, lambda: self._vcpus_in_use(self._clients.ec2(region), region)),
        )
        over: dict[str, str] = {}
        for pool in pools:
            limit = spot_limit if pool.spot else on_demand_limit
            need = types[pool.instance_type].vcpus if pool.instance_type in types else 0
            if used[pool.spot] + need > limit:
                over[str(pool)] = (
                    f"{used[pool.spot]} of {limit:.0f} {pool.lifecycle.value} vCPUs are in use, "
                    f"{need} more are needed. Ask AWS for a higher quota."
                )
        return over

    def _quota(self, region: str, code: str) -> float:
        return self._limits.get((region, code), lambda: self._ask_quota(region, code))

    def _ask_quota(self, region: str, code: str) -> float:
        with doing(f"reading quota {code}"):
            answer = self._clients.quotas(region).get_service_quota(ServiceCode="ec2", QuotaCode=code)
        return answer["Quota"]["Value"]

    def _vcpus_in_use(self, ec2: EC2Client, region: str) -> dict[bool, int]:
        """vCPUs of standard instances that run or start: on spot (True) and on demand (False)."""
        running: list[tuple[bool, str, int]] = []
        with doing("counting the vCPUs in use"):
            pages = ec2.get_paginator("describe_instances").paginate(
                Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}],
                PaginationConfig={"PageSize": 1000},
            )
            for page in pages:
                for reservation in page.get("Reservations", []):
                    for found in reservation.get("Instances", []):
                        cpu = found.get("CpuOptions", {})
                        vcpus = cpu.get("CoreCount", 0) * cpu.get("ThreadsPerCore", 0)
                        running.append((found.get("InstanceLifecycle") == "spot", found.get("InstanceType", ""), vcpus))
        types = self._facts.named_types(region, {kind for _, kind, vcpus in running if not vcpus}) if running else {}
        used = {True: 0, False: 0}
        for spot, kind, vcpus in running:
            if _is_standard(kind):
                used[spot] += vcpus or (types[kind].vcpus if kind in types else 0)
        return used


def _launch(given: contract.CheckInput, first: Candidate) -> dict[str, Any]:
    """The real request of the first candidate, with tags as in a real launch: IAM conditions look at them."""
    launch = contract.LaunchInput(
        region=given.region,
        blueprint=given.blueprint,
        pool=str(first.pool),
        subnet_id=first.subnet_id,
        token="",
        tags=ownership_tags("check", "check", "check"),
    )
    return run_instances_request(launch, public_ip=None)


def _is_standard(instance_type: str) -> bool:
    return instance_type[:1] in _STANDARD and not instance_type.startswith(_NOT_STANDARD)


def _verdict(action: str, call: Callable[[], object]) -> _Verdict:
    with doing(f"trying {action}"):
        try:
            call()
        except ClientError as error:
            return _verdict_of(action, error)
    return _Verdict(action)


def _verdict_of(action: str, error: ClientError) -> _Verdict:
    if code_of(error) == "DryRunOperation":
        return _Verdict(action)
    failure, words = failure_of(error), str(error.response.get("Error", {}).get("Message", ""))[:500]
    if failure in _TRANSIENT:
        raise error
    if failure is Failure.PERMISSION_MISSING:
        return _Verdict(action, denied=denied_action(error))
    if action == "RunInstances" and failure in (Failure.LIMIT_REACHED, Failure.NO_CAPACITY):
        return _Verdict(action, no_quota=f"{code_of(error)}: {words}")
    if action != "RunInstances" and failure is Failure.BAD_STATE:
        return _Verdict(action)  # allowed, but not now: the volume is in use, the instance is running
    return _Verdict(action, problem=f"{action} would fail: {code_of(error)}: {words}")
