"""The page of ``task=explore``: its contents (`explorer`) and its controls (`page`, which needs gradio)."""
