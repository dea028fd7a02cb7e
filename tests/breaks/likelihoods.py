"""Breaks of likelihoods, scores and conditions."""

from tests.breaks.one import Break, of_file

LIKELIHOODS: list[Break] = [
    *of_file(
        "likelihood/coupled_logistics.py",
        "likelihood/test_discretized_logistic_mixture.py sampling/test_sampling.py",
        ("coefficients are scored without tanh", "torch.tanh(coefficients[0])", "coefficients[0]"),
        ("coefficients are drawn by without tanh", "torch.tanh(own[:, :, 2])", "own[:, :, 2]"),
        (
            "the components' weights sum to one over a column",
            "F.log_softmax(logits, dim=1)",
            "F.log_softmax(logits, dim=2)",
        ),
        ("log-scales are not clamped in scoring", "log_scales.clamp_min(self.min_log_scale), tanh", "log_scales, tanh"),
        ("log-scales are not clamped in drawing", "own[:, :, 1].clamp_min(self.min_log_scale)", "own[:, :, 1]"),
        (
            "channels are scored by the weights before any channel",
            "log_weights = F.log_softmax(joint, dim=1)",
            "log_weights = log_weights.clone()",
        ),
        ("blue takes its coefficients in the wrong order", "[[], [a], [b, c]]", "[[], [a], [c, b]]"),
        (
            "channels are drawn given unrounded values",
            "self.scale(levels[-1]) if quantize else x.clamp(-1, 1)",
            "x.clamp(-1, 1)",
        ),
        (
            "the components' temperature multiplies their logits",
            "logits / mixture_temperature",
            "logits * mixture_temperature",
        ),
        ("the scales' temperature is ignored", "scale_temperature * scales", "scales"),
    ),
    *of_file(
        "likelihood/prediction.py",
        "likelihood/test_prediction.py",
        ("all components take the first prediction", "every[k % len(every)]", "every[0]"),
        ("the third prediction is without the corner", "0.5 * neighbours.above_left", "0.0 * neighbours.above_left"),
        ("the components take other turns", "(left, above, halfway, gradient)", "(above, left, halfway, gradient)"),
    ),
    *of_file(
        "likelihood/coupled_logistics.py",
        "likelihood/test_conditionals.py",
        (
            "weights are not posterior ones",
            "posterior = weights * (mass + LEAST_MASS)[:, None]",
            "posterior = weights + 0",
        ),
        ("masses are of means without couplings", "mean = mean + coefficient * x", "mean = mean + 0 * x"),
        ("components of no mass are divided by", "(mass + LEAST_MASS)", "(mass + 0)"),
        (
            "a site depends on what is beside it",
            "(weights / above(bounds).exp_().add_(1)).sum(dim=2)",
            "(weights * torch.sigmoid(-above(bounds))).sum(dim=2)",
        ),
    ),
    *of_file(
        "likelihood/bin_mass.py",
        "likelihood/test_discretized_logistic_mixture.py original/test_golden.py",
        ("the lowest level has no tail", "torch.where(values == 0, ", "torch.where(values < 0, "),
        ("the highest level has no tail", "values == levels - 1", "values == levels"),
        ("bins are half a level of L + 1 wide", "half_bin = 1 / (levels - 1)", "half_bin = 1 / levels"),
    ),
    *of_file(
        "likelihood/discretized_logistic_mixture.py",
        "likelihood/test_discretized_logistic_mixture.py original/test_golden.py",
        (
            "the density at a bin's centre forgets its scale",
            "log_density = middle - log_scales - 2",
            "log_density = middle - 2",
        ),
    ),
    *of_file(
        "likelihood/logistic_mixture.py",
        "likelihood/test_logistic_mixture.py",
        ("a density is not multiplied by its bin's width", "- log_scales + math.log(width)", "- log_scales"),
        ("noise lies above its level only", "dequantisation_noise(images) - 0.5", "dequantisation_noise(images)"),
    ),
    *of_file(
        "likelihood/dequantisation.py",
        "likelihood/test_dequantisation.py",
        (
            "noise does not depend on its image",
            "(place ^ PLACES_OF_VALUES) + values",
            "(place ^ PLACES_OF_VALUES) + 0 * values",
        ),
    ),
    *of_file(
        "likelihood/softmax.py",
        "likelihood/test_categorical.py likelihood/test_softmax.py",
        ("the softmax is over a column", "F.log_softmax(logits, dim=1)", "F.log_softmax(logits, dim=2)"),
        ("green and blue ignore the channels before", "rows[:, first + 1 + earlier] * before", "0 * before"),
    ),
    *of_file(
        "likelihood/implicit.py",
        "likelihood/test_extremes.py likelihood/test_implicit.py",
        ("draws have no tanh", "torch.tanh(self.output(concat_elu(f)))", "self.output(concat_elu(f))"),
    ),
    *of_file(
        "objective/energy_distance.py",
        "objective/test_energy_distance.py",
        ("the distance among draws is added", "2 * to_data - among_samples", "2 * to_data + among_samples"),
    ),
    *of_file(
        "density.py",
        "original/test_golden.py tasks/test_evaluate.py test_drawn_models.py",
        ("nats are called bits", "(math.log(2) * math.prod(images.shape[1:]))", "math.prod(images.shape[1:])"),
        ("bits are had of a bound", 'self._require_bits("bits", "score_map")', "pass"),
        ("bits are a pixel's, not a sub-pixel's", "math.prod(images.shape[1:])", "math.prod(images.shape[2:])"),
    ),
    *of_file(
        "model.py",
        "test_classification.py",
        ("the prior of a class is another's", "weights.to(images.device)", "weights.flip(0).to(images.device)"),
        ("an image is classified by others' scores", ".view(-1, classes) + weights", ".view(classes, -1).T + weights"),
    ),
    *of_file(
        "conditioning/class_label.py",
        "conditioning/test_class_label.py",
        (
            "the label after the last is taken",
            "<= int(condition.max()) < self.features",
            "<= int(condition.max()) <= self.features",
        ),
    ),
]
