"""Hydra's configuration: schemas, checks and error messages.

Nothing below the tasks imports from here. No module here imports torch at its top, so tab completion answers at once.
"""
