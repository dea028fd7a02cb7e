from tests.tasks.conftest import call  # noqa: F401  a fixture
