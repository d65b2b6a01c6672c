"""SURVEY: all that a plan has to know, in one activity.

Three activities would make the same calls and add two more workflow tasks: on a small machine a fifth of what a switch
takes beside EC2's own time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.ec2.activity import ec2_activity
from activities.ec2.inspection import Inspection
from activities.ec2.launch_check import LaunchCheck
from activities.ec2.ranking import Ranking
from domain import ec2 as contract
from domain import planning


class Survey:
    def __init__(self, inspection: Inspection, ranking: Ranking, check: LaunchCheck) -> None:
        self._inspection = inspection
        self._ranking = ranking
        self._check = check

    @ec2_activity(contract.SURVEY)
    def survey(self, given: contract.SurveyInput) -> contract.SurveyResult:
        inspected = self._inspection.look(contract.InspectInput(given.region, given.instance_id))
        blueprint = inspected.blueprint
        ranked = self._ranking.order(
            contract.RankInput(
                region=given.region,
                blueprint=blueprint,
                policy=given.policy,
                asked=given.asked,
                avoid=given.avoid,
                same_zone=planning.only_zone(blueprint, given.policy),
            )
        )
        candidates = [candidate for candidate in ranked.candidates if str(candidate.pool) != blueprint.pool]
        checked = contract.CheckResult()
        if candidates:
            actions = planning.actions_for(blueprint, planning.handoff_to(blueprint, given.policy, candidates[0]))
            checked = self._check.attempt(contract.CheckInput(given.region, blueprint, candidates, actions))
        return contract.SurveyResult(
            blueprint,
            inspected.account_id,
            candidates,
            ranked.hourly_now,
            checked,
            home_usd=self._ranking.on_demand(given.region, given.home_type, blueprint.platform),
        )

    @property
    def activities(self) -> list[Callable[..., Any]]:
        return [self.survey]
