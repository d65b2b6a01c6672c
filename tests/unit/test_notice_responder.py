"""What a notice means, by whose instance it is about and by what is under way."""

from __future__ import annotations

import pytest

from domain.operations import OperationKind
from domain.servers import Placement, ServerShape
from workflows.server.notice_responder import REACTIONS, Reaction, Role, role_of

K = OperationKind
SHAPE = ServerShape(primary=Placement("i-primary", "us-east-1a/m5.large/spot"), replica=Placement("i-replica", "p"))


@pytest.mark.parametrize("role", list(Role))
def test_there_is_a_reaction_whatever_is_under_way(role: Role) -> None:
    assert set(REACTIONS[role]) == {None, *OperationKind}


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("kind", [K.SWITCH, K.PROMOTE, K.FAILOVER])
def test_a_move_hears_of_every_instance_and_decides_itself(role: Role, kind: OperationKind) -> None:
    assert REACTIONS[role][kind] is Reaction.TELL


def test_nothing_that_leaves_the_primary_alone_delays_its_rescue() -> None:
    for kind in (K.REPLICA_CREATE, K.REPLICA_DROP):
        assert REACTIONS[Role.PRIMARY][kind] is Reaction.ABORT_AND_RESCUE


def test_what_ends_the_server_is_not_aborted() -> None:
    for kind in (K.TERMINATE, K.RELEASE):
        assert REACTIONS[Role.PRIMARY][kind] is Reaction.RESCUE


def test_an_instance_that_the_server_no_longer_has_means_nothing_at_rest() -> None:
    assert REACTIONS[role_of("i-former", SHAPE)][None] is Reaction.NOTHING
    assert REACTIONS[role_of("i-replica", SHAPE)][None] is Reaction.REPLACE_REPLICA
    assert REACTIONS[role_of("i-primary", SHAPE)][None] is Reaction.RESCUE
