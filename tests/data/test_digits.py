import numpy as np
from sklearn.datasets import load_digits

from pixelcnn.data.digits import Digits
from pixelcnn.image_shape import ImageShape


def test_every_sixth_digit_is_a_test_image():
    data = Digits(batch_size=32, val_size=100, num_workers=0, seed=0)
    data.setup("fit")
    train, test = data.arrays("train"), data.arrays("test")
    digits = load_digits()
    assert len(train.images) == 1498 and len(test.images) == 299
    np.testing.assert_array_equal(test.images[:, 0], digits.images[5::6])
    np.testing.assert_array_equal(test.labels, digits.target[5::6])
    rest = np.delete(np.arange(1797), np.s_[5::6])
    np.testing.assert_array_equal(train.images[:, 0], digits.images[rest])
    np.testing.assert_array_equal(train.labels, digits.target[rest])
    assert data.shape == ImageShape(channels=1, height=8, width=8, levels=17)
    assert train.images.max() == test.images.max() == 16
    assert data.num_classes == 10
