"""The tasks: the module and the options of each, with their types and ranges."""

from dataclasses import dataclass
from typing import ClassVar

from pixelcnn.errors import UserError, require

SPLITS = ("val", "test")
ORDERS = 8  # the number of `pixelcnn.orders.ORDERS`
CONDITIONS = ("label", "condition", "image")  # the keys that set a condition


class Task:
    """A task: everything beside its options."""

    needs_checkpoint: ClassVar[bool] = True
    uses_data: ClassVar[bool] = True
    uses_devices: ClassVar[bool] = True
    module_name: ClassVar[str | None] = None  # in pixelcnn.tasks, if not called like the task
    name: str

    @classmethod
    def module(cls) -> str:
        """The module whose ``run`` does it."""
        return f"pixelcnn.tasks.{cls.module_name or cls.name}"


@dataclass(kw_only=True)
class Conditioned:
    """The keys that set a condition of all images."""

    label: int | str | None
    condition: str | None
    image: str | None

    def conditions(self) -> list[str]:
        """Those that are set, as they were typed."""
        return [f"task.{key}={getattr(self, key)}" for key in CONDITIONS if getattr(self, key) is not None]


@dataclass(kw_only=True)
class Interpolated(Conditioned):
    """The same keys, and the other end of an interpolation."""

    interpolate_to: int | str | None

    def require_both_ends(self) -> None:
        """Raise UserError for an interpolation from nowhere."""
        if self.interpolate_to is not None and (not self.conditions() or self.label == "all"):
            raise UserError(
                f"task.interpolate_to={self.interpolate_to} is only one endpoint: "
                "give the other with task.label, task.condition or task.image."
            )


def require_one_condition(task: Task) -> None:
    """Raise UserError if ``task`` names several conditions for a model that takes one."""
    if isinstance(task, Conditioned) and len(task.conditions()) > 1:
        raise UserError(f"{' and '.join(task.conditions())} exclude each other: give one condition.")


def _require_decoder(decode: str | None) -> None:
    from pixelcnn.decoding import decoder_of  # torch takes seconds to import, which tab completion must not wait for

    decoder_of(decode)


@dataclass
class TrainTask(Task):
    """``task=train``."""

    needs_checkpoint = False
    name: str = "train"
    decode: str | None = None

    def __post_init__(self) -> None:
        _require_decoder(self.decode)


@dataclass(kw_only=True)
class EvaluateTask(Interpolated, Task):
    """``task=evaluate``."""

    split: str
    interpolate_at: float | None
    orders: int = 1
    against: str | None = None
    maps: int = 0
    name: str = "evaluate"

    def __post_init__(self) -> None:
        self.require_both_ends()
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
class SampleTask(Drawing, Interpolated, Task):
    """``task=sample``."""

    uses_data = False
    num_samples: int
    interpolate_rows: int
    name: str = "sample"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.num_samples >= 1, "num_samples", self.num_samples, "ask for at least one image")
        require(self.interpolate_rows >= 1, "interpolate_rows", self.interpolate_rows, "ask for at least one")
        self.require_both_ends()
        enough = self.interpolate_to is None or self.num_samples >= 2
        require(enough, "num_samples", self.num_samples, "use at least 2 to interpolate")


@dataclass(kw_only=True)
class CompleteTask(Drawing, Interpolated, Task):
    """``task=complete``."""

    mask: str
    num_images: int
    file: str | None
    num_completions: int
    name: str = "complete"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_both_ends()
        for key in ("num_images", "num_completions"):
            require(getattr(self, key) >= 1, key, getattr(self, key), "ask for at least one")
        enough = self.interpolate_to is None or self.num_completions >= 2
        require(enough, "num_completions", self.num_completions, "use at least 2 to interpolate")


@dataclass(kw_only=True)
class CompressTask(Conditioned, Task):
    """``task=compress``."""

    file: str | None
    split: str
    store_condition: bool
    batch_size: int
    verify: bool
    name: str = "compress"

    def __post_init__(self) -> None:
        require(self.split in SPLITS, "split", self.split, f"choose one of {', '.join(SPLITS)}")
        require(0 < self.batch_size < 2**32, "batch_size", self.batch_size, "use a positive number")
        if not self.store_condition and not self.conditions():
            raise UserError(
                "task.store_condition=false is for one condition of all images: give task.label, task.condition or "
                "task.image."
            )


@dataclass(kw_only=True)
class DecompressTask(Conditioned, Task):
    """``task=decompress``."""

    uses_data = False
    file: str
    force: bool
    name: str = "decompress"


@dataclass(kw_only=True)
class ExploreTask(Task):
    """``task=explore``."""

    beside: str | None
    host: str
    port: int | None
    name: str = "explore"

    def __post_init__(self) -> None:
        require(self.port is None or 0 < self.port < 2**16, "port", self.port, "use 1 to 65535, or null for a free one")


@dataclass(kw_only=True)
class OodTask(Conditioned, Task):
    """``task=ood``."""

    num_images: int | None
    num_reference: int
    num_maps: int
    resamples: int
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

    needs_checkpoint = False
    uses_data = False
    uses_devices = False
    module_name = "import_original"
    source: str
    image_size: int
    name: str = "import"

    def __post_init__(self) -> None:
        require(self.image_size >= 1, "image_size", self.image_size, "use a positive number of pixels")


@dataclass
class ExportTask(Task):
    """``task=export``."""

    uses_data = False
    uses_devices = False
    name: str = "export"
    dtype: str | None = None
    push: str | None = None

    def __post_init__(self) -> None:
        dtypes = ("float16", "bfloat16")
        require(self.dtype is None or self.dtype in dtypes, "dtype", self.dtype, f"use {' or '.join(dtypes)}, or null")


@dataclass
class CompareTask(Task):
    """``task=compare``."""

    needs_checkpoint = False
    uses_data = False
    uses_devices = False
    runs: list[str]
    name: str = "compare"

    def __post_init__(self) -> None:
        require(len(self.runs) > 0, "runs", self.runs, "name at least one run directory")


@dataclass
class InfoTask(Task):
    """``task=info``."""

    needs_checkpoint = False
    image_size: int | None
    name: str = "info"

    def __post_init__(self) -> None:
        in_range = self.image_size is None or self.image_size >= 1
        require(in_range, "image_size", self.image_size, "use a positive number of pixels")
