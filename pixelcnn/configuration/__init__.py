"""Hydra's configuration: schemas, checks and error messages.

``run.py`` and the tasks import from here; nothing below the tasks does. No module here imports torch at its top, so
that tab completion answers at once.
"""
