"""Data sets, one file each; ``base`` documents what your own must provide."""
