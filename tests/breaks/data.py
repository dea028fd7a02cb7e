"""Breaks of data sets, files, tasks and refusals."""

from tests.breaks.one import Break, of_file

DATA: list[Break] = [
    *of_file(
        "data/batches.py",
        "data/test_batches.py data/test_base.py",
        (
            "the last batch of an evaluation is dropped",
            "in chunks[rank::world_size]",
            "in chunks[:-1][rank::world_size]",
        ),
        ("every epoch has the same order", "(self.seed, ORDER, epoch)", "(self.seed, ORDER, 0)"),
        ("the order ignores the seed", "(self.seed, ORDER, epoch)", "(0, ORDER, epoch)"),
        ("all devices train on the same images", "self.first = rank * self.share", "self.first = 0"),
        ("a resumed run begins with the first batch", "range(start, start + self.length)", "range(self.length)"),
    ),
    *of_file(
        "data/base.py",
        "data/test_base.py",
        ("held-out images ignore the seed", "(self.seed, HELD_OUT)", "(0, HELD_OUT)"),
        ("held-out images are trained on", "shuffled[self.val_size :]", "shuffled"),
        ("the initialising batch ignores the seed", "(self.seed, INITIALISATION)", "(0, INITIALISATION)"),
    ),
    *of_file(
        "data/augmentation.py",
        "data/test_augmentation.py",
        ("flips are the same in every epoch", "AUGMENTATION, epoch, place))", "AUGMENTATION, 0, place))"),
        (
            "maps are not flipped with their images",
            '{"images", "maps", "coarse"} & batch.keys()',
            '{"images", "coarse"} & batch.keys()',
        ),
        (
            "mutations undo flips",
            '            images = changed["images"]',
            '            images = batch["images"]',
        ),
    ),
    *of_file(
        "data/image_arrays.py",
        "data/test_levels.py",
        (
            "batches keep the levels of the files",
            'torch.from_numpy(self.reduced(batch["images"].numpy()))',
            'batch["images"]',
        ),
    ),
    *of_file(
        "data/framing.py",
        "data/test_framing.py",
        ("images are turned on their side by resizing", "image.resize((width, height)", "image.resize((height, width)"),
    ),
    *of_file(
        "data/torchvision_sets.py",
        "data/test_torchvision_sets.py",
        ("test images are trained on", '{"train": split == "train"}', '{"train": False}'),
    ),
    *of_file(
        "data/fingerprint.py",
        "data/test_fingerprint.py",
        ("the fingerprint of images ignores all but the first", "range(0, len(index), AT_ONCE)", "range(1)"),
    ),
    *of_file(
        "configuration/same_run.py",
        "tasks/test_train.py tasks/test_evaluate.py",
        ("a run is resumed with other images", "if str(known.get(part, found)) != found:", "if False:"),
    ),
    *of_file(
        "data/arrays.py",
        "data/test_arrays.py",
        ("stored images are turned on their side", "images.transpose(0, 3, 1, 2)", "images.transpose(0, 3, 2, 1)"),
    ),
    *of_file(
        "damaged_images.py",
        "data/test_images.py",
        ("a truncated image is not told from a bug", "DAMAGED = (OSError, SyntaxError", "DAMAGED = (SyntaxError"),
    ),
    *of_file(
        "data/plain_pickle.py",
        "data/test_plain_pickle.py",
        (
            "a data set's pickle runs what it names",
            'raise pickle.UnpicklingError(f"it names {module}.{name}, which is not plain data")',
            "return super().find_class(module, name)",
        ),
    ),
    *of_file(
        "data/imagenet_batches.py",
        "data/test_small_imagenet.py",
        ("labels of small ImageNet count from 1", "labels.astype(np.int64) - 1", "labels.astype(np.int64)"),
    ),
    *of_file(
        "data/conversion.py",
        "data/test_conversion.py",
        ("converted images stand a header too early", "first + start * rows[0].nbytes", "start * rows[0].nbytes"),
        ("a conversion that goes on marks other parts as done", "done[todo[k]] = 1", "done[k] = 1"),
    ),
]

FILES: list[Break] = [
    *of_file(
        "durable.py",
        "test_durable.py",
        ("a file is written in place", 'path.with_name(f".{path.name}{PARTIAL}")', "path"),
        ("a file is not flushed before it is renamed", "            os.fsync(file.fileno())", "            pass"),
        ("the new name is not flushed", "    _flush_directory(path.parent)", "    pass"),
    ),
    *of_file(
        "checkpoint.py",
        "tasks/test_resumption.py training/test_checkpoints.py",
        ("a checkpoint runs code when it is loaded", "weights_only=True, mmap=mmap", "weights_only=False, mmap=mmap"),
        ("a flipped bit in a checkpoint goes unseen", "archive.testzip() is None", "True"),
    ),
    *of_file(
        "original/variables.py",
        "original/test_golden.py",
        ("the original's kernels are transposed", "value.permute(3, 2, 0, 1)", "value.permute(3, 2, 1, 0)"),
    ),
    *of_file(
        "original/checkpoint.py",
        "tasks/test_import.py",
        (
            "Adam's moments are imported in the wrong order",
            "moments[renamed[name]] = (first, second)",
            "moments[renamed[name]] = (second, first)",
        ),
    ),
    *of_file(
        "tasks/evaluate.py",
        "tasks/test_evaluate.py",
        (
            "an evaluation's bits are a row's",
            "found / (data.shape.height * data.shape.width)",
            "found / data.shape.width",
        ),
        ("the worst images have the maps of the best", "of_pixels[len(best) :]", "of_pixels[: len(worst)]"),
        (
            "maps are given no condition",
            'return self.model.score_map(batch["images"], self._condition(batch))',
            'return self.model.score_map(batch["images"])',
        ),
    ),
    *of_file(
        "training/metrics.py",
        "tasks/test_evaluate.py",
        ("a mean map is over batches", "self.count += len(maps)", "self.count += 1"),
    ),
    *of_file(
        "tasks/classify.py",
        "tasks/test_classify.py",
        (
            "a classification ignores task.prior",
            "scoring = Classification(model, prior,",
            "scoring = Classification(model, None,",
        ),
        (
            "log loss is of the likeliest class",
            "log_posterior[np.arange(len(label)), label]",
            "log_posterior.max(axis=1)",
        ),
    ),
    *of_file(
        "explore/explorer.py",
        "explore/test_explorer.py",
        ("the page draws rows that are not there yet", "unknown[:line] = False", "unknown[:] = False"),
        ("what is painted over is kept", "return ~painted", "return painted"),
        ("drawing goes on when nobody looks", "closed.set()", "closed.clear()"),
        ("the page ignores the class", "torch.full((n,), choice.label)", "torch.zeros(n, dtype=torch.int64)"),
    ),
    *of_file(
        "tasks/pixel_by_pixel.py",
        "tasks/test_sample.py",
        ("task=sample ignores the seed", '"seed": config.seed', '"seed": 0'),
    ),
    *of_file(
        "tasks/train.py",
        "tasks/test_train.py",
        (
            "a sweep minimises the score of the training batch",
            'name = f"val/{module.score_name}"',
            'name = f"train/{module.score_name}"',
        ),
        ("a sweep minimises the last score", "return metrics.get(best_of(name), score)", "return score"),
    ),
    *of_file(
        "report/scored_images.py",
        "report/test_page.py",
        ("a report lacks its best and worst images", "    if not shown:", "    if shown:"),
    ),
    *of_file(
        "damaged_images.py",
        "test_damaged_images.py",
        ("missing rows are black", "    return found < needed", "    return False"),
        ("rows of an interlaced image are those of a whole one", "INTERLACED if interlaced else WHOLE", "WHOLE"),
    ),
    *of_file(
        "configuration/origins.py",
        "configuration/test_origins.py",
        ("a part that is not there may be left out", "if name not in there and", "if False and"),
        ("a typed key is an experiment's", "if any(override.key_or_group == key for", "if False and any(True for"),
    ),
    *of_file(
        "signature.py",
        "test_signature.py",
        ("arguments that a constructor hands on are unknown", "        if not hands_on:", "        if True:"),
        ("what the model gives may be given by a key", "if name not in given}", "}"),
        ("a missing argument is left to the constructor", "    if missing:", "    if False:"),
        ("true counts as a number", "(value, int | float) and not isinstance(value, bool)", "(value, int | float)"),
        ("numbers that are not finite pass", "not math.isfinite(value)", "False"),
        ("whole numbers of any length pass", "abs(value) > LARGEST", "False"),
        (
            "of two types the first that fits is taken",
            "sorted(kinds, key=lambda kind: type(value) is not kind)",
            "kinds",
        ),
        ("a tuple's length is free", "if len(of) != len(value):", "if False:"),
    ),
    *of_file(
        "launch/sweep_results.py",
        "launch/test_sweep_results.py",
        ("a sweep's jobs are listed by their digits", "sorted(directories, key=_in_order)", "sorted(directories)"),
    ),
    *of_file(
        "launch/ranks.py",
        "launch/test_ranks.py",
        ("every process of a run speaks for all", 'all(rank == "0" for rank in given)', "True"),
    ),
]
