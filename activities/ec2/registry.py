"""Every EC2 activity, for the worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from activities.ec2.addresses import Addresses
from activities.ec2.attribute_match import AttributeMatch
from activities.ec2.clients import Clients
from activities.ec2.inspection import Inspection
from activities.ec2.instances import Instances
from activities.ec2.launch_check import LaunchCheck
from activities.ec2.market_facts import MarketFacts
from activities.ec2.ranking import Ranking
from activities.ec2.snapshots import Snapshots
from activities.ec2.survey import Survey
from activities.ec2.targets import Targets
from activities.ec2.volumes import Volumes


def ec2_activities(clients: Clients) -> list[Callable[..., Any]]:
    """Bound methods that share `clients`, each an activity named in `domain.ec2`."""
    facts = MarketFacts(clients)
    inspection, ranking, check = Inspection(clients), Ranking(facts), LaunchCheck(clients, facts)
    groups = (
        inspection,
        ranking,
        check,
        Survey(inspection, ranking, check),
        Instances(clients),
        AttributeMatch(clients),
        Volumes(clients),
        Snapshots(clients),
        Addresses(clients),
        Targets(clients),
    )
    return [one for group in groups for one in group.activities]
