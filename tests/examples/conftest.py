"""The command line, in this process."""

from tests.tasks.conftest import call  # noqa: F401  a fixture
