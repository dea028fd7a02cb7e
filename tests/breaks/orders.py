"""Breaks of the raster orders."""

from tests.breaks.one import Break, of_file

NEAR = "test_orders.py"
ORDERS: list[Break] = [
    *of_file(
        "orders.py",
        NEAR,
        ("columns are read as rows", "return (flipped.mT if self._by_columns else flipped)", "return (flipped)"),
        ("maps of a condition stay as they lie", "h = order.shown(h)", "h = h + 0"),
        ("the network sees the usual order", "ORDERS.index(order.name), device", "0, device"),
        ("probabilities are added and not averaged", " - math.log(len(log_probs))", ""),
        ("a mask is looked at as it lies", "if comes_first(order.shown(known))", "if comes_first(known)"),
        ("training draws four of the orders", "torch.randint(len(ORDERS), ()", "torch.randint(4, ()"),
    ),
    *of_file(
        "density.py",
        NEAR,
        (
            "parameters lie as the network has read",
            "return read.back(self._parameters_as_read(shown, h, incremental))",
            "return self._parameters_as_read(shown, h, incremental)",
        ),
    ),
    *of_file(
        "model.py",
        NEAR,
        ("completions are scored in the usual order", "given, order=read.name)", "given, order=None)"),
    ),
    *of_file(
        "compression/archive.py",
        NEAR,
        (
            "images come back as the network has read",
            "coded.append(read.back(batch).cpu())",
            "coded.append(batch.cpu())",
        ),
    ),
]
