"""Folders of labelled images in the layouts that people, tools and public sets have: read, refused, or named."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli.conversion import to_png
from cli.folders import LabeledImages, read_folder
from cli.output import CommandError
from relook.errors import ImageRejectedError


def make(root: Path, *names: str) -> Path:
    """Files of these names, each with its name as its content."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def read(root: Path, *names: str) -> tuple[LabeledImages, dict[str, tuple[bool, str | None]]]:
    """What is read, and of each image its label and its mask's file."""
    images = read_folder(make(root, *names))
    return images, {
        image.name: (image.is_anomalous, image.read_mask().decode() if image.read_mask else None) for image in images
    }


@pytest.mark.parametrize("normal", ["normal", "good", "Good", "OK", "ok_images", "Normal Parts", "non-defective"])
@pytest.mark.parametrize(
    "anomaly", ["anomaly", "anomalous", "defect", "Defective", "BAD", "NG", "nok", "not-ok", "fail"]
)
def test_names_that_say_the_same(tmp_path: Path, normal: str, anomaly: str) -> None:
    images, by_name = read(tmp_path, f"{normal}/1.png", f"{anomaly}/2.jpg")
    assert by_name == {f"{normal}/1.png": (False, None), f"{anomaly}/2.jpg": (True, None)}
    assert images.notes == []


@pytest.mark.parametrize(
    "mask",
    [
        "masks/a.png",
        "masks/a_mask.png",
        "masks/a_MASK.PNG",
        "mask/A-mask.png",
        "Masks/a.jpg.png",
        "masks/anomaly/a.png",
        "ground_truth/a_gt.png",
        "masks/a_mask.tif",
        "anomaly/a_mask.png",
        "anomaly/masks/a.png",
    ],
)
def test_masks_by_any_usual_name(tmp_path: Path, mask: str) -> None:
    images, by_name = read(tmp_path, "normal/1.png", "anomaly/a.jpg", mask)
    assert by_name == {"normal/1.png": (False, None), "anomaly/a.jpg": (True, mask)}
    assert (images[1].mask_type, images[1].colors) == ("anomaly", {})
    assert images.notes == []


def test_mvtec_names_its_types_by_folders(tmp_path: Path) -> None:
    images, by_name = read(
        tmp_path,
        "train/good/000.png",
        "test/good/000.png",
        "test/broken_large/000.png",
        "test/broken_small/000.png",
        "test/defective/000.png",
        "ground_truth/broken_large/000_mask.png",
        "ground_truth/broken_small/000_mask.png",
        "ground_truth/defective/000_mask.png",
        "license.txt",
    )
    assert by_name == {
        "train/good/000.png": (False, None),
        "test/good/000.png": (False, None),
        "test/broken_large/000.png": (True, "ground_truth/broken_large/000_mask.png"),
        "test/broken_small/000.png": (True, "ground_truth/broken_small/000_mask.png"),
        "test/defective/000.png": (True, "ground_truth/defective/000_mask.png"),
    }
    assert [each.mask_type for each in images if each.is_anomalous] == ["broken_large", "broken_small", "defective"]
    assert any("license.txt" in note for note in images.notes)
    assert any("types of anomalies: broken_large, broken_small, defective" in note for note in images.notes)


def test_types_without_ground_truth_are_anomalous(tmp_path: Path) -> None:
    _, by_name = read(tmp_path, "train/good/1.png", "test/good/2.png", "test/scratch/3.png")
    assert by_name["test/scratch/3.png"] == (True, None)


def test_a_type_that_ground_truth_does_not_know_is_left_out(tmp_path: Path) -> None:
    images, by_name = read(
        tmp_path, "train/good/1.png", "test/cut/2.png", "test/unsorted/3.png", "ground_truth/cut/2_mask.png"
    )
    assert set(by_name) == {"train/good/1.png", "test/cut/2.png"}
    assert any("test/unsorted/3.png" in note for note in images.notes)


def test_train_and_test_have_masks_of_their_own(tmp_path: Path) -> None:
    _, by_name = read(
        tmp_path,
        *(f"{part}/{name}" for part in ("train", "test") for name in ("normal/1.png", "anomaly/1.png", "mask/1.png")),
    )
    assert by_name["train/anomaly/1.png"] == (True, "train/mask/1.png")
    assert by_name["test/anomaly/1.png"] == (True, "test/mask/1.png")
    assert sum(not is_anomalous for is_anomalous, _ in by_name.values()) == 2


def test_what_is_left_out_is_named_with_its_reason(tmp_path: Path) -> None:
    images, by_name = read(
        tmp_path,
        "good/1.png",
        "good/1.webp",
        "good/.DS_Store",
        "good/._1.png",
        "bad/2.png",
        "unsorted/3.png",
        "masks/9.png",
        "masks/1.png",
        "masks/2.jpg",
        "readme.txt",
        *(f"later/{i:02}.png" for i in range(12)),
    )
    assert set(by_name) == {"good/1.png", "bad/2.png"}
    notes = "\n".join(images.notes)
    assert "1 file is not read, for only PNG, JPEG, BMP and TIFF are: good/1.webp" in notes
    assert (
        "13 files are not read, for their folder's name is neither that of normal nor of anomalous images: later/00"
        in notes
    )
    assert "later/09.png, …" in notes and "later/10.png" not in notes
    assert "they are masks of no anomalous image: masks/9.png" in notes
    assert "normal images need no masks: masks/1.png" in notes
    assert "masks must be PNG, which keeps their colours exact: masks/2.jpg" in notes
    assert "no folder that says what they are: readme.txt" in notes
    assert "DS_Store" not in notes and "._1" not in notes


def test_a_mask_goes_to_the_image_in_its_own_subfolder(tmp_path: Path) -> None:
    _, by_name = read(
        tmp_path, "normal/1.png", "anomaly/left/1.png", "anomaly/right/1.png", "masks/left/1.png", "masks/right/1.png"
    )
    assert by_name["anomaly/left/1.png"] == (True, "masks/left/1.png")
    assert by_name["anomaly/right/1.png"] == (True, "masks/right/1.png")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("anomaly/left/1.png", "anomaly/right/1.png", "masks/1.png"), "masks/1.png could be the mask of"),
        (("bad/1.png", "ng/1.png", "masks/1.png"), "masks/1.png could be the mask of"),
        (("anomaly/1.png", "anomaly/1.jpg", "masks/1.png"), "masks/1.png could be the mask of"),
        (("anomaly/1.png", "masks/1.png", "masks/1_mask.png"), "anomaly/1.png has several masks"),
        (("good/bad/1.png",), "lies in a folder of normal images, but its name says anomalous"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        read(tmp_path, "normal/0.png", *names)


def test_folders_of_unknown_names_are_refused_with_those_that_would_be_right(tmp_path: Path) -> None:
    with pytest.raises(
        CommandError, match=r"has class_a/, class_b/, none of normal images; name them normal/ \(or good"
    ):
        read(tmp_path, "class_a/1.png", "class_b/2.png")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


RANDOM = np.random.default_rng(0)
GREY_16 = RANDOM.integers(0, 65536, (70, 80)).astype(np.uint16)
COLOR = RANDOM.integers(0, 256, (70, 80, 3)).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "kind", "options"),
    [
        (GREY_16, "TIFF", {}),
        (GREY_16, "TIFF", {"compression": "tiff_lzw"}),
        (COLOR, "TIFF", {"compression": "tiff_deflate"}),
        (COLOR[..., 0], "TIFF", {}),
        (COLOR, "BMP", {}),
        (COLOR[..., 1], "BMP", {}),
    ],
)
def test_bmp_and_tiff_keep_every_value(pixels: np.ndarray, kind: str, options: dict[str, str], tmp_path: Path) -> None:
    root = make(tmp_path, "normal/0.png")
    (root / "normal" / "x.tif").write_bytes(encoded(Image.fromarray(pixels), kind, **options))
    image = next(each for each in read_folder(root) if each.name == "normal/x.tif")
    data = image.read()
    assert data.startswith(b"\x89PNG")
    with Image.open(BytesIO(data)) as picture:
        assert (np.asarray(picture) == pixels).all()
    (root / "normal" / "x.tif").unlink()  # converted once
    (root / "normal" / "x.tif").write_bytes(b"II*\0")
    assert image.read() == data


def test_what_png_cannot_keep_is_refused() -> None:
    pages = encoded(Image.new("L", (80, 70)), "TIFF", save_all=True, append_images=[Image.new("L", (80, 70), 9)])
    with pytest.raises(ImageRejectedError, match="has 2 pages"):
        to_png(pages)
    with pytest.raises(ImageRejectedError, match="pixels are fractions"):
        to_png(encoded(Image.fromarray(RANDOM.random((70, 80)).astype(np.float32)), "TIFF"))
    whole = encoded(Image.fromarray(COLOR), "TIFF")
    with pytest.raises(ImageRejectedError, match="cannot be read"):
        to_png(whole[:3000])
