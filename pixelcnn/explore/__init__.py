"""The page of task=explore: what it shows (`explorer`), and how (`page`, which needs gradio)."""
