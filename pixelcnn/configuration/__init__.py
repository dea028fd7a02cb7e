"""The edge between Hydra's configuration and the package: schemas, checks, and the sentences of refusals.

``run.py`` and the tasks import from here; nothing below the tasks does. No module here imports torch at its top, so
that tab completion answers at once.
"""
