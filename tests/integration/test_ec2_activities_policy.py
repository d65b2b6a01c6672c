"""The IAM policy grants what the code calls: no less, and no more."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import botocore.session
from botocore import xform_name

from activities.ec2.iam_actions import ALWAYS_ALLOWED, INDIRECT, all_iam_actions

ROOT = Path(__file__).parents[2]
SERVICES = {
    "ec2": "ec2",
    "elbv2": "elasticloadbalancing",
    "pricing": "pricing",
    "service-quotas": "servicequotas",
    "sqs": "sqs",
    "sts": "sts",
}


def api_methods() -> dict[str, str]:
    """boto3's method names -> IAM actions, of every service that is used."""
    session = botocore.session.Session()
    return {
        xform_name(action): f"{name}:{action}"
        for service, name in SERVICES.items()
        for action in session.get_service_model(service).operation_names
    }


def called() -> set[str]:
    """Every client method that this package names, also as a paginator or in a partial."""
    methods, found = api_methods(), set[str]()
    for path in (ROOT / "activities" / "ec2").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in methods:
                found.add(methods[node.attr])
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "get_paginator"
                and isinstance(node.args[0], ast.Constant)
            ):
                found.add(methods[str(node.args[0].value)])
    return found


def granted() -> set[str]:
    policy = json.loads((ROOT / "deploy" / "aws" / "iam-policy.json").read_text())
    return {
        action
        for statement in policy["Statement"]
        for action in (statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]])
    }


def test_the_table_of_actions_is_what_the_code_calls() -> None:
    assert all_iam_actions() == called()


def test_the_policy_grants_exactly_these() -> None:
    assert granted() == (all_iam_actions() | INDIRECT) - ALWAYS_ALLOWED


def test_what_ends_or_changes_a_resource_needs_our_tag_on_it() -> None:
    policy = json.loads((ROOT / "deploy" / "aws" / "iam-policy.json").read_text())
    destructive = {"ec2:TerminateInstances", "ec2:DeleteVolume", "ec2:DeleteSnapshot", "ec2:DetachVolume"}
    for statement in policy["Statement"]:
        if destructive & set(statement["Action"]):
            assert "aws:ResourceTag/spot-optimizer:client" in statement["Condition"]["StringLike"]
