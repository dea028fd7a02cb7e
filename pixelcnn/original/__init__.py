"""The original code's checkpoints: openai/pixel-cnn, TensorFlow 1.

`sources` reads a file into arrays by name, `architecture` infers the model from names and shapes, `variables` maps
variables to parameters, and `checkpoint` combines these into one of this project's checkpoints.
"""
