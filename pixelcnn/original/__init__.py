"""The original code's checkpoints: openai/pixel-cnn, TensorFlow 1.

`sources` reads a file into arrays by name, `architecture` infers the model from names and shapes, `variables` knows
which parameter is which variable, `checkpoint` makes one of this project's checkpoints of it all.
"""
