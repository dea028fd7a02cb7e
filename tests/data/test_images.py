import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from pixelcnn.data.images import Images
from pixelcnn.errors import UserError
from pixelcnn.image_shape import ImageShape

generator = np.random.default_rng(0)


def images(root, channels=None, **sizes):
    sizes = {"batch_size": 2, "val_size": 0, "num_workers": 0, "seed": 0, **sizes}
    return Images(root=None if root is None else str(root), channels=channels, **sizes)


def write(path, pixels=None, mode="RGB"):
    """Save an image of 5x4 pixels, random ones unless given, and return its pixels."""
    if pixels is None:
        shape = np.asarray(Image.new(mode, (4, 5))).shape
        pixels = generator.integers(0, 256, shape, dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture
def colour(tmp_path):
    """A folder of three colour images to train on and one to test, without classes."""
    for name in ("train/a.png", "train/b.bmp", "train/c.PNG", "test/a.png"):
        write(tmp_path / name)
    return tmp_path


def test_colour_images_in_the_order_of_their_names(tmp_path):
    pixels = {name: write(tmp_path / "train" / name) for name in ("b.png", "a.bmp", "c.tiff")}
    write(tmp_path / "test" / "a.png")
    (tmp_path / "train" / "notes.txt").write_text("not an image")
    (tmp_path / "train" / ".hidden.png").write_text("not an image")
    data = images(tmp_path)
    data.setup("fit")
    assert data.shape == ImageShape(channels=3, height=5, width=4, levels=256)
    assert data.num_classes is None
    expected = np.stack([pixels[name] for name in ("a.bmp", "b.png", "c.tiff")]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(data.arrays("train").images, expected)


def test_grey_images_have_one_channel(tmp_path):
    pixels = write(tmp_path / "train" / "a.png", mode="L")
    data = images(tmp_path)
    assert data.arrays("train").shape == ImageShape(channels=1, height=5, width=4)
    np.testing.assert_array_equal(data.arrays("train").images[0, 0], pixels)


def test_sub_folders_are_classes_by_their_name_in_training(tmp_path):
    for name in ("train/dog/1.png", "train/cat/2.png", "train/dog/deeper/3.png", "train/emu/4.png", "test/dog/5.png"):
        write(tmp_path / name)
    (tmp_path / "train" / ".cache").mkdir()
    data = images(tmp_path)
    data.setup("fit")
    assert data.arrays("train").labels.tolist() == [0, 1, 1, 2]
    assert data.arrays("test").labels.tolist() == [1]
    assert data.num_classes == 3


def test_palettes_are_colours(colour):
    palette = Image.new("P", (4, 5))
    palette.putpalette([10, 20, 30])
    palette.save(colour / "train" / "a.png")
    np.testing.assert_array_equal(images(colour).arrays("train").images[0, :, 2, 2], [10, 20, 30])


def transparent(mode):
    """An image with a palette, grey or in colour, whose second colour is transparent."""
    image = Image.new(mode, (4, 5))
    if mode == "P":
        image.putpalette([10, 20, 30, 40, 50, 60])
    return image, {"P": b"\xff\0", "L": 1, "RGB": (1, 1, 1)}[mode]


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_transparency_beside_the_pixels_is_refused_until_a_conversion_is_asked_for(colour, mode):
    image, alpha = transparent(mode)
    image.save(colour / "train" / "a.png", transparency=alpha)
    with pytest.raises(UserError, match=rf"a\.png .*transparent {mode} .*data\.channels=1 or 3"):
        images(colour).arrays("train")
    expected = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    np.testing.assert_array_equal(images(colour, channels=3).arrays("train").images[0], expected)


@pytest.mark.parametrize("ending", ["png", "tiff", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path, ending, orientation):
    """The eight ways of Exif to store an image: 3, 6 and 8 turned, 2 mirrored, 4, 5 and 7 both."""
    upright = generator.integers(0, 256, (5, 4, 3), dtype=np.uint8)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        options = {"lossless": True} if ending == "webp" else {}
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / split / f"a.{ending}", exif=exif, **options)
    np.testing.assert_array_equal(images(tmp_path).arrays("train").images[0], upright.transpose(2, 0, 1))


@pytest.mark.parametrize("name", ["a.gif", "b.SVG", "c.heic", "d.avif", "e.jp2", "f.psd", "g.tga", "class/h.gif"])
def test_images_of_a_kind_that_is_not_read_are_named(colour, name):
    path = colour / "train" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"^{path} .*PNG"):
        images(colour).arrays("train")


@pytest.mark.parametrize("name", ["a.txt", "b.json", ".c.gif", "d.pdf", "e.h5", "gif", ".cache/f.gif"])
def test_other_files_are_left_alone(colour, name):
    (colour / "train" / name).parent.mkdir(exist_ok=True)
    (colour / "train" / name).write_bytes(b"")
    assert len(images(colour).arrays("train").images) == 3


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_channels_convert_every_image(colour, channels, mode):
    write(colour / "train" / "b.bmp", mode="L")
    write(colour / "train" / "d.png", mode="RGBA")
    converted = images(colour, channels).arrays("train").images
    assert converted.shape == (4, channels, 5, 4)
    for place, name in enumerate(("a.png", "b.bmp", "c.PNG", "d.png")):
        expected = np.asarray(Image.open(colour / "train" / name).convert(mode)).reshape(5, 4, channels)
        np.testing.assert_array_equal(converted[place], expected.transpose(2, 0, 1))


def damaged(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def without_its_end(path):
    path.write_bytes(path.read_bytes()[:-8])


def png_of_sixteen_bits(path, channels):
    """Write random samples as a PNG of 16 bits each, which Pillow reads but does not write in colour; returns them."""
    samples = generator.integers(0, 2**16, (5, 4, channels)).astype(np.uint16)

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", 4, 5, 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return samples.transpose(2, 0, 1)


def animated(path):
    frames = [Image.fromarray(generator.integers(0, 256, (5, 4, 3), dtype=np.uint8)) for _ in range(2)]
    frames[0].save(path.with_suffix(".webp"), save_all=True, append_images=frames[1:], lossless=True)
    path.unlink()


@pytest.mark.parametrize(
    ("spoil", "file", "fault"),
    [
        (damaged, "b.bmp", "cannot be read"),
        (damaged, "c.PNG", "is cut short: replace or remove it"),
        (without_its_end, "a.png", "is cut short: replace or remove it"),
        (lambda path: path.write_bytes(b""), "c.PNG", "cannot be read"),
        (lambda path: path.write_text("text"), "c.PNG", "cannot be read"),
        (lambda path: write(path, np.zeros((5, 5, 3), np.uint8)), "b.bmp", "5x5 RGB where .*a.png is 5x4 RGB: make"),
        (lambda path: write(path, mode="L"), "c.PNG", r"5x4 grey where .*a.png is 5x4 RGB: .*data\.channels"),
        (lambda path: write(path, mode="RGBA"), "c.PNG", r"RGBA pixels: .*data\.channels"),
        (lambda path: write(path, np.zeros((5, 4), np.uint16)), "c.PNG", r"16 bits per channel where .*a\.png has 8"),
        (animated, "c.PNG", "2 frames"),
    ],
)
def test_odd_files_are_named(colour, spoil, file, fault):
    path = colour / "train" / file
    spoil(path)
    with pytest.raises(UserError, match=fault) as caught:
        images(colour).setup("fit")
    assert str(path.with_suffix("")) in str(caught.value).split()[0]
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_cmyk_is_refused_until_a_conversion_is_asked_for(colour):
    path = colour / "train" / "a.jpg"
    Image.new("CMYK", (4, 5), (0, 255, 255, 0)).save(path)
    with pytest.raises(UserError, match=r"a.jpg .*CMYK .*data\.channels=1 or 3"):
        images(colour).arrays("train")
    assert images(colour, channels=3).arrays("train").images[0].shape == (3, 5, 4)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_sixteen_bits_are_read_as_they_are(tmp_path, channels):
    expected = []
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for name in "ab":
            expected.append(png_of_sixteen_bits(tmp_path / split / f"{name}.png", channels))
        if channels == 1:
            expected.append(generator.integers(0, 2**16, (1, 5, 4)).astype(np.uint16))
            Image.fromarray(expected[-1][0]).save(tmp_path / split / "c.tiff")
    data = images(tmp_path)
    read = np.concatenate([data.arrays("train").images, data.arrays("test").images])
    np.testing.assert_array_equal(read, np.stack(expected))
    assert data.shape == ImageShape(channels, 5, 4, 65_536) and read.dtype == np.uint16
    batch = data.arrays("train").at(np.array([1, 0]))
    assert batch["images"].dtype == torch.int32
    np.testing.assert_array_equal(batch["images"], read[[1, 0]])
    reduced = images(tmp_path, levels=256).arrays("test").at(np.array([0]))
    np.testing.assert_array_equal(reduced["images"][0], expected[len(expected) // 2] // 256)


@pytest.mark.parametrize(
    "stored, options, fault",
    [
        (1, {}, "b.bmp has 8 bits per channel where .*a.png has 16"),
        (2, {}, "a.png .*2 channels"),
        (4, {}, "a.png .*4 channels"),
        (3, {"channels": 1}, r"a.png .*data\.channels=1"),
        (1, {"channels": 3}, r"a.png .*data\.channels=3"),
        (3, {"size": 4}, r"a.png .*data\.size"),
        (3, {"crop": "square"}, r"a.png .*data\.crop"),
    ],
)
def test_images_of_sixteen_bits_are_refused_where_they_would_change(colour, stored, options, fault):
    (colour / "train" / "a.jpg").unlink(missing_ok=True)
    png_of_sixteen_bits(colour / "train" / "a.png", stored)
    with pytest.raises(UserError, match=fault):
        images(colour, **options).arrays("train")


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_sixteen_bits_are_refused(colour, order):
    size = 5 * 4 * 3
    # width, height, bits, no compression, RGB, place, channels, rows in a strip, length
    tags = ((256, 4), (257, 5), (258, 8 + 9 * 12 + 6 + size * 2), (259, 1), (262, 2), (273, 8 + 9 * 12 + 6))
    tags += ((277, 3), (278, 5), (279, size * 2))
    entries = [
        struct.pack(f"{order}HHII", tag, 3, 3, value) if tag == 258 else struct.pack(f"{order}HHII", tag, 4, 1, value)
        for tag, value in tags
    ]
    start = {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HIH", 42, 8, len(tags))
    content = start + b"".join(entries) + bytes(4) + generator.bytes(size * 2) + struct.pack(f"{order}3H", 16, 16, 16)
    (colour / "train" / "a.tiff").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tiff .*16-bit RGB"):
        images(colour).arrays("train")


@pytest.mark.parametrize("highest", [256, 1023, 65535])
@pytest.mark.parametrize("plain", [True, False])
def test_netpbm_files_above_8_bits_are_refused(colour, highest, plain):
    samples = generator.integers(0, highest + 1, 5 * 4 * 3)
    content = " ".join(map(str, samples)).encode() if plain else samples.astype(">u2").tobytes()
    (colour / "train" / "a.ppm").write_bytes(b"P%d 4 5 %d\n" % (3 if plain else 6, highest) + content)
    with pytest.raises(UserError, match=r"a\.ppm .*16-bit RGB"):
        images(colour).arrays("train")


def test_folders_that_are_not_as_described_are_named(colour, tmp_path_factory):
    with pytest.raises(UserError, match=r"^data\.root "):
        images(None)
    with pytest.raises(UserError, match=r"^data\.channels=2 "):
        images(colour, channels=2)
    empty = tmp_path_factory.mktemp("empty")
    with pytest.raises(UserError, match=rf"^data\.root={empty} .*train"):
        images(empty).setup("fit")
    (empty / "train").mkdir()
    with pytest.raises(UserError, match=rf"^{empty}/train "):
        images(empty).setup("fit")


def test_classes_for_some_images_only_are_refused(colour):
    write(colour / "train" / "class" / "d.png")
    with pytest.raises(UserError, match=r"train/a\.png .*sub-folders"):
        images(colour).setup("fit")


def test_a_class_unknown_in_training_is_refused(tmp_path):
    write(tmp_path / "train" / "dog" / "1.png")
    write(tmp_path / "test" / "cat" / "1.png")
    with pytest.raises(UserError, match=r"test/cat "):
        images(tmp_path).setup("test")
