"""Data sets: one file each; ``base`` says what one of your own has to provide."""
