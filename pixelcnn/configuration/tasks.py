"""The tasks: the module and the options of each, with their types and ranges."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pixelcnn.errors import UserError, require

SPLITS = ("val", "test")
ORDERS = 8  # the number of `pixelcnn.orders.ORDERS`
CONDITIONS = ("label", "condition", "image")  # the keys that set a condition


class Task:
    """A task: everything beside its options."""

    needs_checkpoint: ClassVar[bool]
    uses_data: ClassVar[bool]
    uses_devices: ClassVar[bool] = True
    module: ClassVar[str]  # in pixelcnn.tasks


def _named(task: Any) -> list[str]:
    return [f"task.{key}={getattr(task, key)}" for key in CONDITIONS if getattr(task, key) is not None]


def require_one_condition(task: Task) -> None:
    """Raise UserError if ``task`` names several conditions for a model that takes one."""
    takes_any = all(hasattr(task, key) for key in CONDITIONS)
    if takes_any and len(_named(task)) > 1:
        raise UserError(f"{' and '.join(_named(task))} exclude each other: give one condition.")


def _require_decoder(decode: str | None) -> None:
    from pixelcnn.decoding import decoder_of  # torch takes seconds to import, which tab completion must not wait for

    decoder_of(decode)


def _require_conditions(task: Any) -> None:
    given = _named(task)
    if task.interpolate_to is not None and (not given or task.label == "all"):
        raise UserError(
            f"task.interpolate_to={task.interpolate_to} is only one endpoint: "
            "give the other with task.label, task.condition or task.image."
        )


@dataclass
class TrainTask(Task):
    """``task=train``."""

    needs_checkpoint: ClassVar[bool] = False
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "train"
    name: str = "train"
    decode: str | None = None

    def __post_init__(self) -> None:
        _require_decoder(self.decode)


@dataclass(kw_only=True)
class EvaluateTask(Task):
    """``task=evaluate``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "evaluate"
    split: str
    label: int | str | None
    condition: str | None
    image: str | None
    interpolate_to: int | str | None
    interpolate_at: float | None
    orders: int = 1
    against: str | None = None
    maps: int = 0
    name: str = "evaluate"

    def __post_init__(self) -> None:
        _require_conditions(self)
        share = self.interpolate_at
        if share is not None and self.interpolate_to is None:
            raise UserError(f"task.interpolate_at={share} needs an endpoint: give task.interpolate_to.")
        require(share is None or 0 <= share <= 1, "interpolate_at", share, "use a position from 0 to 1")
        require(self.split in SPLITS, "split", self.split, f"choose one of {', '.join(SPLITS)}")
        require(self.maps >= 0, "maps", self.maps, "use a number of images, or 0 for none")
        require(1 <= self.orders <= ORDERS, "orders", self.orders, f"use 1 to {ORDERS}")
        if self.orders > 1 and self.maps:
            raise UserError(
                f"task.maps={self.maps} needs a single order, which a pixel's cost depends on: leave task.orders out."
            )


@dataclass(kw_only=True)
class ClassifyTask(Task):
    """``task=classify``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "classify"
    split: str
    prior: list[float] | None
    name: str = "classify"

    def __post_init__(self) -> None:
        require(self.split in SPLITS, "split", self.split, f"choose one of {', '.join(SPLITS)}")
        positive = self.prior is None or all(weight > 0 for weight in self.prior)
        require(positive, "prior", self.prior, "use a positive number for each class")


@dataclass(kw_only=True)
class Drawing:
    """How images are drawn, and shown."""

    batch_size: int
    mixture_temperature: float
    scale_temperature: float
    decode: str | None = None

    def __post_init__(self) -> None:
        _require_decoder(self.decode)
        for key in ("batch_size", "mixture_temperature", "scale_temperature"):
            require(getattr(self, key) > 0, key, getattr(self, key), "use a positive number")


@dataclass(kw_only=True)
class SampleTask(Drawing, Task):
    """``task=sample``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = False
    module: ClassVar[str] = "sample"
    num_samples: int
    label: int | str | None
    condition: str | None
    image: str | None
    interpolate_to: int | str | None
    interpolate_rows: int
    name: str = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_samples >= 1, "num_samples", self.num_samples, "ask for at least one image")
        require(self.interpolate_rows >= 1, "interpolate_rows", self.interpolate_rows, "ask for at least one")
        _require_conditions(self)
        enough = self.interpolate_to is None or self.num_samples >= 2
        require(enough, "num_samples", self.num_samples, "use at least 2 to interpolate")


@dataclass(kw_only=True)
class CompleteTask(Drawing, Task):
    """``task=complete``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "complete"
    mask: str
    num_images: int
    file: str | None
    num_completions: int
    label: int | str | None
    condition: str | None
    image: str | None
    interpolate_to: int | str | None
    name: str = "complete"

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_conditions(self)
        for key in ("num_images", "num_completions"):
            require(getattr(self, key) >= 1, key, getattr(self, key), "ask for at least one")
        enough = self.interpolate_to is None or self.num_completions >= 2
        require(enough, "num_completions", self.num_completions, "use at least 2 to interpolate")


@dataclass(kw_only=True)
class CompressTask(Task):
    """``task=compress``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "compress"
    file: str | None
    split: str
    label: int | str | None
    condition: str | None
    image: str | None
    store_condition: bool
    batch_size: int
    verify: bool
    name: str = "compress"

    def __post_init__(self) -> None:
        require(self.split in SPLITS, "split", self.split, f"choose one of {', '.join(SPLITS)}")
        require(0 < self.batch_size < 2**32, "batch_size", self.batch_size, "use a positive number")
        if not self.store_condition and not _named(self):
            raise UserError(
                "task.store_condition=false is for one condition of all images: give task.label, task.condition or "
                "task.image."
            )


@dataclass(kw_only=True)
class DecompressTask(Task):
    """``task=decompress``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = False
    module: ClassVar[str] = "decompress"
    file: str
    label: int | str | None
    condition: str | None
    image: str | None
    force: bool
    name: str = "decompress"


@dataclass(kw_only=True)
class ExploreTask(Task):
    """``task=explore``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "explore"
    beside: str | None
    host: str
    port: int | None
    name: str = "explore"

    def __post_init__(self) -> None:
        require(self.port is None or 0 < self.port < 2**16, "port", self.port, "use 1 to 65535, or null for a free one")


@dataclass(kw_only=True)
class OodTask(Task):
    """``task=ood``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "ood"
    num_images: int | None
    num_reference: int
    num_maps: int
    resamples: int
    label: int | str | None
    condition: str | None
    image: str | None
    name: str = "ood"

    def __post_init__(self) -> None:
        in_range = self.num_images is None or self.num_images >= 1
        require(in_range, "num_images", self.num_images, "use at least one image of each set, or null for all")
        require(self.num_maps >= 0, "num_maps", self.num_maps, "use 0 or more")
        for key in ("num_reference", "resamples"):
            require(getattr(self, key) >= 1, key, getattr(self, key), "use at least one")


@dataclass
class ImportTask(Task):
    """``task=import``."""

    needs_checkpoint: ClassVar[bool] = False
    uses_data: ClassVar[bool] = False
    uses_devices: ClassVar[bool] = False
    module: ClassVar[str] = "import_original"
    source: str
    image_size: int
    name: str = "import"

    def __post_init__(self) -> None:
        require(self.image_size >= 1, "image_size", self.image_size, "use a positive number of pixels")


@dataclass
class ExportTask(Task):
    """``task=export``."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = False
    uses_devices: ClassVar[bool] = False
    module: ClassVar[str] = "export"
    name: str = "export"
    dtype: str | None = None
    push: str | None = None

    def __post_init__(self) -> None:
        dtypes = ("float16", "bfloat16")
        require(self.dtype is None or self.dtype in dtypes, "dtype", self.dtype, f"use {' or '.join(dtypes)}, or null")


@dataclass
class CompareTask(Task):
    """``task=compare``."""

    needs_checkpoint: ClassVar[bool] = False
    uses_data: ClassVar[bool] = False
    uses_devices: ClassVar[bool] = False
    module: ClassVar[str] = "compare"
    runs: list[str]
    name: str = "compare"

    def __post_init__(self) -> None:
        require(len(self.runs) > 0, "runs", self.runs, "name at least one run directory")


@dataclass
class InfoTask(Task):
    """``task=info``."""

    needs_checkpoint: ClassVar[bool] = False
    uses_data: ClassVar[bool] = True
    module: ClassVar[str] = "info"
    image_size: int | None
    name: str = "info"

    def __post_init__(self) -> None:
        in_range = self.image_size is None or self.image_size >= 1
        require(in_range, "image_size", self.image_size, "use a positive number of pixels")
