"""Each real model of the shared folder through a run on a fitting real image, against an untiled run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import zarr

from tiled import untiled
from tilewise import Cut, Machine, Model, Normalization, Pixels, Results, run

DATA = Path(__file__).parents[2] / "shared" / "data"
MODELS, IMAGES = DATA / "models", DATA / "images"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not MODELS.exists(), reason="no shared folder")]


@dataclass(frozen=True)
class Case:
    """A model and what it is made for."""

    model: str
    image: str
    """Which of the readers below."""
    tile: tuple[int, ...]
    mean: float = 0.0
    std: float = 1.0
    halo: str = "exact"


CASES = (
    Case("unet2d_nuclei_broad", "nuclei", (256, 256), mean=30.0, std=40.0),
    Case("meshnet3d_niivue", "brain", (108, 108, 112), std=255.0),
    Case("ppocrv2_mobile_det", "text", (832, 832), mean=127.5, std=127.5),
    Case("qonnx_espcn_x3_subpixel_float", "tissue small", (64, 80), std=255.0),
    Case("deepness_dummy_512_to_484", "tissue small", (128, 96), std=255.0),
    Case("mnist_cntk", "grey", (28, 28)),
    Case("mesonet", "tissue", (256, 256), std=255.0),
)


def read(what: str) -> np.ndarray:
    """Pixels (c, space...)."""
    if what == "nuclei":
        return zarr.open_array(IMAGES / "ome-zarr/xy_8bit__nuclei_PLK1_control.ome.zarr/0", mode="r")[
            0, 0, :, :421, :333
        ]
    if what == "brain":
        nibabel = pytest.importorskip("nibabel")
        volume = np.asarray(nibabel.load(IMAGES / "niivue_t1_crop.nii.gz").dataobj)
        return volume.astype(np.uint8)[np.newaxis, 60:180, 60:185, 60:175]
    tifffile = pytest.importorskip("tifffile")
    if what == "grey":
        return tifffile.imread(IMAGES / "neubias_xyc_8bit__dapi_tublin.tif")[:1, 200:300, 300:400]
    if what == "text":
        label = tifffile.TiffFile(IMAGES / "CMU-1-Small-Region.svs").series[2].asarray()[..., :3]
        return np.moveaxis(np.kron(label, np.ones((3, 3, 1), np.uint8)), 2, 0)[:, :1000, :1100]
    slide = np.moveaxis(tifffile.imread(IMAGES / "CMU-1-Small-Region.svs"), 2, 0)
    return slide[:, 100:1000, 200:1250] if what == "tissue" else slide[:, 300:433, 500:671]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.model)
def test_tiled_equals_untiled(case, tmp_path, monkeypatch):
    monkeypatch.setenv("TILEWISE_CACHE", str(tmp_path / "cache"))
    image = np.ascontiguousarray(read(case.image))
    place = tmp_path / "image.zarr"
    axes = ["c", *"zyx"[-(image.ndim - 1) :]]
    array = zarr.create_array(place, shape=image.shape, dtype=image.dtype, chunks=image.shape, dimension_names=axes)
    array[...] = image
    model = Model(MODELS / f"{case.model}.onnx")
    assert model.spec.verdict == "exact"
    cut = Cut(tile=case.tile) if model.spec.vector else Cut(tile=case.tile, halo=case.halo)
    fixed = Normalization(kind="fixed", mean=(case.mean,), std=(case.std,))
    run(
        place, model, tmp_path / "out.zarr", cut=cut, pixels=Pixels(normalization=fixed),
        results=Results(output="raw"), machine=Machine(device="cpu"),
    )  # fmt: skip
    found = zarr.open_array(tmp_path / "out.zarr" / "0", mode="r")[:]
    given = (image.astype(np.float32) - np.float32(case.mean)) / np.float32(case.std)
    wanted = untiled(model, given, case.tile)
    assert found.size == wanted.size
    assert np.abs(found.reshape(wanted.shape) - wanted).max() == 0
    assert np.ptp(wanted) > 0
