"""How each viewer or library opens an OME-Zarr image; runs where that one is installed, and prints what it saw.

python readers.py LIBRARY PATH...    one JSON object a path: levels as [shape, scale, sum of pixels], and what else
"""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


def read_ome_zarr(path):
    """ome-zarr-py: the nodes of its reader; labels are found from their image."""
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    image, _, name = path.partition("/labels/")
    nodes = [node for node in Reader(parse_url(image))() if node.data]
    found = [node for node in nodes if name in node.zarr.basename() or not name]
    node = found[-1] if name else found[0]
    scales = [transforms[0]["scale"] for transforms in node.metadata["coordinateTransformations"]]
    levels = [[list(d.shape), s, float(d.sum().compute())] for d, s in zip(node.data, scales, strict=True)]
    return {"levels": levels, "shown": f"{len(nodes)} node{'s' * (len(nodes) > 1)}"}


def read_ngff_zarr(path):
    """ngff-zarr: its multiscales."""
    import ngff_zarr

    found = ngff_zarr.from_ngff_zarr(path, validate=False)
    levels = [[list(i.data.shape), [i.scale[d] for d in i.dims], float(i.data.sum().compute())] for i in found.images]
    return {"levels": levels, "shown": " ".join(found.images[0].dims)}


def read_napari(path):
    """napari-ome-zarr: the layers that its reader gives to napari."""
    from napari_ome_zarr import napari_get_reader

    image, _, name = path.partition("/labels/")
    layers = napari_get_reader(image)(image)
    data, meta, kind = layers[-1] if name else layers[0]
    scale = list(meta["scale"])
    if "channel_axis" in meta:
        scale.insert(meta["channel_axis"], 1.0)
    # napari takes the scale of the finest level; that of the others follows from their shapes
    levels = [[list(d.shape), scale if k == 0 else None, float(d.sum().compute())] for k, d in enumerate(data)]
    return {"levels": levels, "shown": f"{len(layers)} layer{'s' * (len(layers) > 1)}, {kind}"}


def read_xarray(path):
    """xarray: each level as a Dataset; it knows dimensions by name, and OME-Zarr's scale only as attributes."""
    import xarray

    names = sorted((place.name for place in Path(path).iterdir() if place.name.isdigit()), key=int)
    levels = []
    for name in names:
        others = [other for other in names if other != name]
        found = xarray.open_dataset(path, engine="zarr", chunks={}, consolidated=False, drop_variables=others)
        attributes = found.attrs.get("ome", found.attrs)
        transforms = attributes["multiscales"][0]["datasets"][int(name)]["coordinateTransformations"]
        levels.append([list(found[name].shape), transforms[0]["scale"], float(found[name].sum())])
    return {"levels": levels, "shown": " ".join(map(str, found[names[-1]].dims))}


def read_neuroglancer(path):
    """Neuroglancer: the program itself, in a browser without a window.

    It tells size, scale, origin and pixels of the finest level; of the others, that it fetches their chunks as the
    view is zoomed out.
    """
    import neuroglancer
    import numpy as np

    attributes = _attributes(path)
    datasets = attributes["multiscales"][0]["datasets"]
    old, labels = Path(path, ".zgroup").exists(), "image-label" in attributes
    with _serve(path) as (url, asked), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        neuroglancer.set_server_bind_address("127.0.0.1")
        viewer = neuroglancer.Viewer()
        kind = neuroglancer.SegmentationLayer if labels else neuroglancer.ImageLayer
        with viewer.txn() as state:
            state.layers["it"] = kind(source=f"{url}/|zarr{2 if old else 3}:")
            state.layout = "xy"
            if labels:
                state.layers["it"].layer.segments = [1]
        with _browse(str(viewer.get_viewer_url()), profile):
            found = viewer.volume_info("it").result(timeout=60).dimensions
            scale = [s if u == "" else s * 1e6 for s, u in zip(found.scales, found.units, strict=True)]
            pixels = viewer.volume("it").result(timeout=60).read().result(timeout=60)
            levels = [[list(pixels.shape), scale, float(np.sum(pixels, dtype=np.float64))]]
            for dataset in datasets[1:]:
                with viewer.txn() as state:
                    state.cross_section_scale = dataset["coordinateTransformations"][0]["scale"][-1] / scale[-1]
                viewer.screenshot(size=[200, 200])
                name = dataset["path"]
                read = any(re.match(rf"/{name}/(c/)?\d", one) for one in asked)
                levels.append([None, None, None] if read else ["never read", None, None])
    return {"levels": levels, "shown": "segmentation" if labels else "image"}


READERS = {
    "ome-zarr": read_ome_zarr,
    "ngff-zarr": read_ngff_zarr,
    "napari-ome-zarr": read_napari,
    "xarray": read_xarray,
    "neuroglancer": read_neuroglancer,
}


def _attributes(path):
    for name in ("zarr.json", ".zattrs"):
        if (place := Path(path) / name).exists():
            found = json.loads(place.read_text())
            found = found.get("attributes", found)
            return found.get("ome", found)
    raise FileNotFoundError(path)


class _Files(http.server.SimpleHTTPRequestHandler):
    """Files with ranges, for a page that came from somewhere else."""

    def end_headers(self):
        for name in ("Origin", "Headers"):
            self.send_header(f"Access-Control-Allow-{name}", "*")
        self.send_header("Access-Control-Expose-Headers", "*")
        super().end_headers()

    def do_OPTIONS(self):
        self.send_response(200)
        self.end_headers()

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        self.server.asked.add(self.path)
        place = Path(self.translate_path(self.path))
        if not place.is_file():
            self.send_error(404)
            return
        content, start = place.read_bytes(), 0
        asked = re.match(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if asked:
            last = len(content) - 1
            start = int(asked[1]) if asked[1] else len(content) - int(asked[2])
            stop = min(int(asked[2]), last) if asked[1] and asked[2] else last
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop}/{len(content)}")
            content = content[start : stop + 1]
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def _serve(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: _Files(*args, directory=folder))
    server.asked = set()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.asked
    finally:
        server.shutdown()


@contextlib.contextmanager
def _browse(url, profile):
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    browser = next((found for name in names if (found := shutil.which(name))), None)
    if browser is None:
        raise FileNotFoundError("no Chromium to run Neuroglancer in")
    flags = ["--headless=new", "--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    command = [browser, *flags, f"--user-data-dir={profile}/profile", url]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def main():
    library, *paths = sys.argv[1:]
    for path in paths:
        try:
            found = READERS[library](path)
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(found), flush=True)
    # a viewer's server may still have threads
    os._exit(0)


if __name__ == "__main__":
    main()
