"""Breaks of out-of-distribution detection."""

from tests.breaks.one import Break, of_file

OOD: list[Break] = [
    *of_file(
        "ood/scores.py",
        "ood/test_scores.py",
        ("the ratio has the other sign", "model.bits(images, condition) - other", "other.bits(images) - other"),
        ("complexity is added", "return bits - complexity", "return bits + complexity"),
        ("typicality compares with nothing", "(images, condition) - reference", "(images, condition)"),
        ("the reference is a sum", "(total / count).float()", "total.float()"),
        ("a conditional background is taken", "if kinds_of(other.conditioning):", "if False:"),
    ),
    *of_file(
        "ood/codecs.py",
        "ood/test_codecs.py",
        ("the longest codec counts", "min(len(CODECS", "max(len(CODECS"),
        ("bytes for bits", "return 8 * torch", "return torch"),
        ("WebP loses", 'format="WEBP", lossless=True', 'format="WEBP", lossless=False'),
        ("JPEG 2000 loses", "reversible=True", "reversible=False"),
    ),
    *of_file(
        "ood/detection.py",
        "ood/test_detection.py",
        ("inside is positive", "[0] * n + [1] * m", "[1] * n + [0] * m"),
        ("scores are taken for logits", "unit = ranks / len(values)", "unit = values[ranks]"),
        ("resamples are of the sets as they are", "rng.integers(n, size=n)", "np.arange(n)"),
    ),
    *of_file(
        "ood/grouping.py",
        "ood/test_detection.py ood/test_scores.py",
        ("distances are of images, not of batches", "np.abs(means) if", "np.abs(scores[members]).mean(axis=1) if"),
        ("batches are of neighbours", ".permutation(len(scores))", ".integers(1, 2, len(scores)).cumsum() - 1"),
    ),
    *of_file(
        "tasks/out_scores.py",
        "tasks/test_ood.py",
        ("the condition is left out", "expanded(self.condition, len(images))", "None"),
    ),
    *of_file(
        "tasks/ood.py",
        "tasks/test_ood.py",
        ("a conditional model is scored without", "    if missing:", "    if False:"),
    ),
]  # fmt: skip
