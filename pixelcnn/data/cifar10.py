"""``data=cifar10``: 50,000 + 10,000 colour photographs of 32x32 pixels in ten classes."""

from torchvision import datasets

from pixelcnn.data.torchvision_sets import TorchvisionSet


class CIFAR10(TorchvisionSet):
    """CIFAR-10 from torchvision, which checks every file; downloaded to ``root`` if missing."""

    source: type[datasets.CIFAR10] = datasets.CIFAR10
    title = "CIFAR-10"

    def _remedy(self) -> str:
        return f"unpack {self.source.url} so that its files are in {self.root / self.source.base_folder}"
