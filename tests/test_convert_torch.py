"""PyTorch models converted, and run in tiles against PyTorch's own answer for the whole image."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import zarr

import tilewise
from frameworks import save_torch, torch_unet
from images import make_pixels, write_array
from shell import call
from tilewise.convert import Wanted, convert

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]

SHAPES = {2: (160, 192), 3: (48, 64, 56)}
TILES = {2: 64, 3: 40}


def agree(model, ndim, folder, made):
    """Everything that is claimed of a conversion, and the tiled run against PyTorch on the whole image."""
    import torch

    assert made.compared.difference <= 1e-5
    assert made.model["verdict"] in {"exact", "exact to rounding"}
    assert made.model["layout"] == ("NCHW" if ndim == 2 else "NCDHW")
    pixels = make_pixels(SHAPES[ndim], "float32") / 255
    write_array(folder / "image.zarr", pixels)
    cut = tilewise.Cut(tile=TILES[ndim], halo="exact")
    result = tilewise.run(str(folder / "image.zarr"), made.out, str(folder / "out"), cut=cut)
    assert result.state == "done"
    tiled = zarr.open_array(folder / "out/0", mode="r")[:]
    with torch.no_grad():
        whole = model(torch.from_numpy(pixels[None, None]))[0].numpy()
    assert np.abs(tiled - whole).max() <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("form", ["exported", "scripted", "traced"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_a_unet_in_each_form(tmp_path, ndim, form):
    model = torch_unet(ndim, up="nearest" if form == "scripted" else "transpose")
    made = convert(save_torch(model, ndim, tmp_path, form), tmp_path / "out.onnx")
    assert len(made.compared.shapes) == 2
    agree(model, ndim, tmp_path, made)


def test_a_program_of_one_size_is_freed(tmp_path):
    model = torch_unet(2)
    made = convert(save_torch(model, 2, tmp_path, "exported", dynamic=False), tmp_path / "out.onnx")
    assert made.compared.shapes == ((2, 1, 32, 32), (4, 1, 64, 32))
    assert [isinstance(length, str) for length in made.inputs[0].shape] == [True, False, True, True]
    agree(model, 2, tmp_path, made)


def test_a_size_that_is_baked_in_stays(tmp_path):
    import torch
    from torch import nn

    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1)

        def forward(self, x):
            return nn.functional.interpolate(self.conv(x)[:, :, ::2, ::2], size=(32, 32))

    path = save_torch(Fixed().eval(), 2, tmp_path, "exported", dynamic=False)
    made = convert(path, tmp_path / "out.onnx", inspect=False)
    assert made.inputs[0].shape == (2, 1, 32, 32)
    traced = torch.jit.trace(Fixed().eval(), torch.zeros(1, 1, 32, 32))
    torch.jit.save(traced, tmp_path / "traced.pt")
    assert convert(tmp_path / "traced.pt", tmp_path / "two.onnx", inspect=False).outputs


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    import torch

    folder = tmp_path_factory.mktemp("odd")
    model = torch.nn.Conv2d(3, 1, 3)
    torch.save(model, folder / "whole.pt")
    torch.save(model, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(model.state_dict(), folder / "state.pt")
    torch.save({"state_dict": model.state_dict(), "epoch": 3}, folder / "checkpoint.ckpt")
    torch.save(model.state_dict(), folder / "old-state.pt", _use_new_zipfile_serialization=False)
    torch.jit.save(torch.jit.script(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(7, 2))), folder / "odd.pt")
    content = (folder / "odd.pt").read_bytes()
    (folder / "torn.pt").write_bytes(content[: len(content) // 2])
    return folder


@pytest.mark.parametrize(
    ("source", "got", "do"),
    [
        ("whole.pt", "runs whatever code it holds", "--trust"),
        ("old.pt", "runs whatever code it holds", "--trust"),
        ("state.pt", "weights alone (a state dict)", "torch.export.save"),
        ("old-state.pt", "weights alone (a state dict)", "torch.export.save"),
        ("checkpoint.ckpt", "weights alone (a state dict)", "torch.export.save"),
        ("odd.pt", "takes no input that was tried", "--shape"),
        ("torn.pt", "a damaged zip archive", "Download it again"),
    ],
)
def test_what_is_refused(odd, tmp_path, monkeypatch, source, got, do):
    monkeypatch.chdir(tmp_path)
    said = call("convert", odd / source, "out.onnx", "--json", "--quiet")
    assert said.code == 2, said
    assert got in said.json["error"]["got"]
    assert do in said.json["error"]["do"]
    assert list(tmp_path.iterdir()) == []


def test_a_shape_that_the_file_does_not_tell_may_be_given(odd, tmp_path):
    made = convert(odd / "odd.pt", tmp_path / "out.onnx", Wanted(shape=(1, 7)), inspect=False)
    assert made.compared.difference <= 1e-6


@pytest.mark.parametrize("name", ["whole.pt", "old.pt"])
def test_a_pickled_network_is_taken_with_trust(odd, tmp_path, name):
    made = convert(odd / name, tmp_path / "out.onnx", Wanted(trust=True, opset=17), inspect=False)
    assert made.compared.difference <= 1e-5
    assert onnx.load(tmp_path / "out.onnx").opset_import[0].version == 17
