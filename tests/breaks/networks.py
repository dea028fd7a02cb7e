"""Breaks of the networks and of the two walks through them."""

from tests.breaks.one import Break, of_file

NETWORKS: list[Break] = [
    *of_file(
        "network/pixelcnn_pp.py",
        "network/test_topology.py network/test_causality.py network/test_networks.py",
        ("the stream from above sees its own row", '"u", 0, UP, shift=(1, 0)', '"u", 0, UP, shift=(0, 0)'),
        (
            "the stream from the left sees its own pixel",
            "Window(above=1, left=0, right=0), shift=(0, 1)",
            "Window(above=1, left=0, right=0), shift=(0, 0)",
        ),
        (
            "short-cuts are taken in the order of the up pass",
            "u_skip, ul_skip = skips.pop()",
            "u_skip, ul_skip = skips.pop(0)",
        ),
    ),
    *of_file(
        "network/gated_pixelcnn.py",
        "network/test_causality.py network/test_networks.py",
        (
            "Gated PixelCNN's vertical stack sees its own row",
            "left=reach, right=reach), shift=(1, 0)",
            "left=reach, right=reach), shift=(0, 0)",
        ),
    ),
    *of_file(
        "network/blocks.py",
        "network/test_causality.py sampling/test_incremental.py",
        (
            "the image's convolutions are moved up and left",
            "(right, -right, down, -down)",
            "(-right, right, -down, down)",
        ),
        ("dropout is left on in evaluation", "self.dropout if self.training else 0.0", "self.dropout"),
    ),
    *of_file(
        "network/blocks.py",
        "original/test_golden.py",
        ("the output layer reads its input without elu", "F.elu(x.to(self.dense.v.dtype))", "x.to(self.dense.v.dtype)"),
    ),
    *of_file(
        "network/blocks.py",
        "conditioning/test_features.py",
        ("a condition does not enter the blocks", "c2 = c2 + project(h, self.hw)", "c2 = c2 + 0 * project(h, self.hw)"),
    ),
    *of_file(
        "network/parallel.py",
        "network/test_networks.py sampling/test_incremental.py",
        (
            "the channel of ones is of zeros, like the padding",
            "torch.ones_like(x[:, :1])",
            "torch.zeros_like(x[:, :1])",
        ),
        (
            "a map of conditions is sampled, not averaged",
            "F.avg_pool2d(h, 2**level)",
            "h[:, :, :: 2**level, :: 2**level]",
        ),
    ),
    *of_file(
        "network/weight_norm.py",
        "network/test_weight_norm.py network/test_layers.py",
        (
            "weights are normalised over another axis than the output channels",
            "return [out_dim, *sorted(",
            "return [1 - out_dim, *sorted(",
        ),
        ("the gradient of a normalised weight keeps its radial part", "g * of_g / divisor.square()", "0 * norm"),
        ("the weights of layers are dealt to each other", "key=order.__getitem__", "key=lambda d: -order[d]"),
        (
            "layers share no operations of weight normalisation",
            "if v.is_cpu and v.numel() > LARGE else None",
            "if True else None",
        ),
    ),
    *of_file(
        "initialisation.py",
        "test_initialisation.py original/test_golden.py",
        ("initialisation keeps weights of the old gains", "layer.computed = None", "layer.b.add_(0)"),
    ),
    *of_file(
        "network/layers.py",
        "original/test_golden.py test_initialisation.py",
        (
            "initialisation takes the moments of what upsampling is cut to",
            "return F.conv_transpose2d(x, self.weight_of_pass(), self.b, stride=2, output_padding=1)",
            "return output",
        ),
    ),
    *of_file(
        "network/layers.py",
        "network/test_weight_norm.py",
        (
            "a layer without autocast takes the weight rounded for the others",
            "and self.computed.dtype == convolution_type(self.v)",
            "and True",
        ),
        ("weights stay with their layers after a pass", "layer.computed = None", "pass"),
    ),
    *of_file(
        "execution.py",
        "test_execution.py",
        (
            "evaluation is compiled too",
            "if module.training and torch.is_grad_enabled() else plain",
            "if True else plain",
        ),
    ),
    *of_file(
        "network/layers.py",
        "network/test_layers.py network/test_causality.py",
        (
            "windows are padded at the wrong sides",
            "(window.left, window.right, window.above, 0)",
            "(window.right, window.left, window.above, 0)",
        ),
    ),
    *of_file(
        "network/layers.py",
        "network/test_networks.py",
        ("mask A is mask B", "source < target if strict else source <= target", "source <= target"),
        (
            "masked layers see the pixel to the right",
            "own_row[:, :, window.left + 1 :] = 0",
            "own_row[:, :, window.left + 2 :] = 0",
        ),
    ),
    *of_file(
        "network/masked_blocks.py",
        "network/test_masked_blocks.py",
        ("a gate has no tanh", "torch.tanh(a) * torch.sigmoid(b)", "a * torch.sigmoid(b)"),
    ),
    *of_file(
        "network/masked_blocks.py",
        "network/test_networks.py",
        ("the horizontal stack reads the vertical one a row below", "self.link(v)", "self.link(v.roll(-1, 2))"),
        (
            "a condition does not enter the vertical stack",
            "x = x + project(h, self.hw)",
            "x = x + 0 * project(h, self.hw)",
        ),
        ("channels are dealt to groups in turn", "channel * num_groups // channels", "channel % num_groups"),
    ),
    *of_file(
        "network/nonlinearities.py",
        "network/test_nonlinearities.py",
        (
            "concat_elu has the same sign twice",
            "torch.maximum(torch.neg(x, out=negated), below, out=negated)",
            "torch.maximum(x, below, out=negated)",
        ),
        ("concat_elu's gradient adds its halves", "return upright - negated, None", "return upright + negated, None"),
        ("concat_elu's gradient is that of its padding too", "_inside(by_half, ctx.padding)", "_inside(by_half, NONE)"),
        ("what dropout keeps is not scaled up", "y.mul_(keep.to(y.dtype).mul_(ctx.scale))", "y.mul_(keep.to(y.dtype))"),
    ),
    *of_file(
        "initialisation.py",
        "test_initialisation.py network/test_layers.py",
        ("outputs are divided by their variance", "/ torch.sqrt(variance + 1e-10)", "/ (variance + 1e-10)"),
        ("outputs keep their mean", "layer.b.sub_(mean).mul_(scale)", "layer.b.mul_(scale)"),
        ("layers are initialised with dropout on", "    with in_evaluation(model):", "    if model.train():"),
    ),
]

CAUSALITY: list[Break] = [
    *of_file(
        "causality.py",
        "test_causality_check.py",
        ("a pixel that sees itself counts as causal", ".amax(dim=0)[site:]", ".amax(dim=0)[site + 1 :]"),
        ("leaks behind an output layer of zeros are not seen", "if not weight.any():", "if False:"),
        ("a leak at any but the last site is not seen", "range(count)", "range(count - 1, count)"),
        ("few sites are of the first group alone", "* groups + place % groups", "* groups"),
        ("a causal network changes by being checked", "copy.deepcopy(model.network)", "model.network"),
    ),
]

ATTENTION: list[Break] = [
    *of_file(
        "network/attention.py",
        "network/test_pixelsnail.py network/test_networks.py",
        ("a pixel attends to itself", "F.pad(mean, (0, 0, 1, 0))", "F.pad(mean[:, 1:], (0, 0, 1, 1))"),
        ("attention sees later pixels", "is_causal=True", "is_causal=False"),
        ("queries are read as those of the pixel before", "q[:, 1:]", "q[:, :-1]"),
        ("rows and columns are swapped", "[row] * copies + [column] * copies", "[column] * copies + [row] * copies"),
    ),
    *of_file(
        "network/pixelsnail.py",
        "network/test_pixelsnail.py",
        ("keys do not see the image", '(IMAGE, ul), "own"', '(ul,), "own"'),
        ("what is attended to is not joined", 'f"join{k}", (ul, attended)', 'f"join{k}", (ul,)'),
    ),
    *of_file(
        "sampling/attention_steppers.py",
        "network/test_pixelsnail.py network/test_networks.py",
        ("attention sees rows that are not drawn yet", "self.hidden.fill_(-math.inf)", "pass"),
        ("keys of the row before are lost", "if i > 0:", "if i > 1:"),
        ("the pixel to the left is not attended to", "slice(self.width - j, ", "slice(self.width - j + 1, "),
        ("logits are not scaled", "1 / math.sqrt(keys)", "1.0"),
        ("places are those of the first row", "self.places[i]", "self.places[0]"),
    ),
    *of_file(
        "training/arithmetic.py",
        "network/test_pixelsnail.py",
        ("attention's arithmetic is not counted", "with sdpa_kernel(SDPBackend.MATH), Flop", "with Flop"),
    ),
]

WALKS: list[Break] = [
    *of_file(
        "sampling/rows.py",
        "network/test_networks.py sampling/test_incremental.py",
        ("rows above are read one too low", "(self.now - back) % self.depth", "(self.now - back + 1) % self.depth"),
        ("rows of the images before are not cleared", "self._buffers.zero_()", "pass"),
    ),
    *of_file(
        "sampling/residual_steppers.py",
        "network/test_networks.py sampling/test_incremental.py",
        (
            "upsampling takes the kernel's rows in the wrong order",
            "self.weight[:, :, i % 2]",
            "self.weight[:, :, 1 - i % 2]",
        ),
    ),
    *of_file(
        "sampling/stepper.py",
        "network/test_networks.py",
        ("a second batch is drawn given the first one's conditions", "self.of_image.copy_(new)", "pass"),
    ),
    *of_file(
        "model.py",
        "sampling/test_sampling.py",
        (
            "a completion is scored by a bound",
            "log_prob = self.likelihood.log_mass(",
            "log_prob = self.likelihood.log_prob(",
        ),
        ("a completion's score counts the known pixels", ".masked_fill(known.to(log_prob.device), 0)", ""),
    ),
    *of_file(
        "sampling/scan.py",
        "test_drawn_models.py compression/test_round_trips.py",
        (
            "rows see the row two above",
            "self.above[:, :, 1:] = self.likelihood",
            "self.above[:, :, :-1] = self.likelihood",
        ),
    ),
    *of_file(
        "compression/archive.py",
        "compression/test_damage.py compression/test_round_trips.py",
        ("an image's checksum is not compared", "            if zlib.crc32(levels) != crc:", "            if False:"),
        (
            "a frame's checksum is not compared",
            "        if CRC.pack(self._crc) != self._read(CRC.size):",
            "        if CRC.pack(0) == self._read(CRC.size):",
        ),
        ("frames can be moved", "zlib.crc32(head + body, self._crc)", "zlib.crc32(head + body, self.header.crc)"),
        ("what follows the last image is ignored", "        if self.file.read(1):", "        if False:"),
        ("what does not come back is kept", "not self.verify or self._comes_back(images, h, stream)", "True"),
    ),
    *of_file(
        "compression/header.py",
        "compression/test_damage.py",
        ("an archive of another model is tried", "        if self.model != here.model:", "        if False:"),
        ("force is ignored", "        if force:", "        if False:"),
    ),
    *of_file(
        "compression/coding.py",
        "compression/test_coding.py compression/test_round_trips.py",
        ("the last stretch reaches beyond the levels", "self.stretch, last)", "self.stretch, 10**6)"),
        ("tables fall where rounding does", "LEAST = 2.0**-48", "LEAST = 0.0"),
        (
            "unused symbols are levels",
            "(self.coder.decode(FAMILY, table) - 1).clip(0, count - 1)",
            "self.coder.decode(FAMILY, table) - 1",
        ),
        ("sites are encoded channel by channel", "transpose(1, 2, 0, 3)", "transpose(1, 0, 2, 3)"),
    ),
    *of_file(
        "sampling/batches.py",
        "sampling/test_sampling.py sampling/test_batches.py",
        ("samples ignore their seed", "uniforms_of(seed, numbers[", "uniforms_of(0, numbers["),
        ("an image depends on the batch it is drawn in", "numbers[part]", "numbers[: part.stop - first]"),
        ("a sampler that is kept keeps the old weights", "kept[1].walk.take_weights(network)", "pass"),
        ("graphs of all earlier masks are kept", "mask, temperature, weight.device", "temperature, weight.device"),
        ("a sampler in use is shared", "self._kept = self._kept, None", "self._kept = self._kept, self._kept"),
        ("graphs read the likelihood's old weights", "weight.dtype, places", "weight.dtype"),
    ),
    *of_file(
        "sampling/sampler.py",
        "sampling/test_sampling.py",
        ("completing overwrites what is known", "if not known[j]:", "if True:"),
    ),
    *of_file(
        "sampling/walk.py",
        "sampling/test_walk.py",
        (
            "repeated passes read the pixel to the left",
            "(self.x, self.h)[:, :, i, j]",
            "(self.x, self.h)[:, :, i, j - 1]",
        ),
        ("repeated passes give every group the first one's parameters", "dim=1)[group]", "dim=1)[0]"),
        ("repeated passes ignore the condition", "        self.h = h", "        self.h = None"),
        ("drawing leaves frozen parts in training", "            part.training = training", "            part.train()"),
    ),
    *of_file("masks.py", "test_masks.py", ("a hole is a box", 'known if kind == "box" else ~known', "known")),
]
