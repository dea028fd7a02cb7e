from tests.tasks.conftest import arrays, call, classes  # noqa: F401  fixtures
