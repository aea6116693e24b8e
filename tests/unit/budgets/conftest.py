"""What holds in all tests of budgets."""

from tests.well_said import errors_are_well_said

__all__ = ["errors_are_well_said"]
