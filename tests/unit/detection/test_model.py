"""What the largest image costs."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from relook.detection.package import ModelPackage
from relook.learning.training import TrainedModel
from tests.unit.learning.pictures import encode, plate

pytestmark = pytest.mark.slow

LIMIT_MB = 500
PROGRAM = r"""
import re, sys
from pathlib import Path
from relook.detection.model import Model
from relook.detection.package import ModelPackage
result = Model(ModelPackage.read_folder(Path(sys.argv[1]))).detect(Path(sys.argv[2]).read_bytes())
assert result.is_anomalous and result.mask_png
assert "onnx" not in sys.modules, "the asset of the inspecting function has no onnx"
print(int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize(("image_format", "mode"), [("JPEG", "RGB"), ("PNG", "RGBA")])
def test_the_largest_image_fits_in_little_memory(
    from_masks: TrainedModel, tmp_path: Path, image_format: str, mode: str
) -> None:
    any_size = dataclasses.replace(from_masks.package.manifest, image_size=None, threshold=0.0)
    ModelPackage(from_masks.package.graph, any_size).write_folder(tmp_path)
    stained = Image.fromarray(plate(901, defect="stain")[0][:64, :64])
    image = tmp_path / "image"
    image.write_bytes(encode(stained.convert(mode).resize((4096, 4096), Image.Resampling.NEAREST), image_format))

    command = [sys.executable, "-c", PROGRAM, str(tmp_path), str(image)]
    done = subprocess.run(command, env={"PYTHONPATH": ":".join(sys.path)}, capture_output=True, text=True, check=True)

    assert 0 < int(done.stdout) < LIMIT_MB
