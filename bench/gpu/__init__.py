"""What a GPU does with this code, settled in one run: see `bench.gpu.__main__`."""
