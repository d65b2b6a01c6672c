"""The workflows against fakes of their activities, on a real Temporal server."""

import pytest

pytest.register_assert_rewrite("tests.workflows.server_under_test")
