"""The model spec: everything that later floors know of a model, as one frozen record that travels as JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tilewise.spec.part import Certificate, Port, Tensor, Verdict


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model as inspected. Numbers per axis are in spatial order (z, y, x), lengths in input pixels."""

    path: str
    """The file."""
    name: str
    """The file's name without its ending."""
    sha256: str
    """Of the graph and, after it, of its external data."""
    input_name: str
    """The input that takes the image."""
    output_name: str
    """The output that is used."""
    inputs: tuple[Tensor, ...]
    """All of them."""
    outputs: tuple[Tensor, ...]
    """All of them."""
    constants: tuple[tuple[str, float], ...]
    """Further inputs and the constants that they are fed with; they are part of the prepared graph."""
    layout: str
    """Order of the input's axes, such as NCHW."""
    output_layout: str
    """Order of the output's axes; NC for one vector a tile."""
    spatial_ndim: int
    """2 or 3."""
    in_channels: int
    """Channels of the image; 1 without a channel axis."""
    out_channels: int
    """Channels of the output."""
    dtype: str
    """numpy's name of the input's type."""
    out_dtype: str
    """numpy's name of the output's type."""
    fixed_size: tuple[int, ...] | None
    """The tile has to be this; None if any multiple will do."""
    declared_size: tuple[int, ...] | None
    """What the file declares, fixed or freed."""
    fixed_batch: int | None
    """The batch has to be this; None if any will do."""
    multiple: tuple[int, ...]
    """M: windows start at multiples of it."""
    remainder: tuple[int, ...]
    """Tiles are this modulo M; 0 but for some models of valid convolutions."""
    before: tuple[int, ...] | None
    """How far behind a cut at a multiple of M the output changes; None if there is no bound."""
    after: tuple[int, ...] | None
    """How far in front of one."""
    lead: tuple[int, ...]
    """Pixels lost in front (valid convolutions)."""
    trail: tuple[int, ...]
    """Pixels lost behind."""
    scale: tuple[Fraction, ...]
    """Output pixels per input pixel."""
    verdict: Verdict
    """How far tiles equal the whole."""
    reason: str
    """The operator or the check behind the verdict."""
    activation_bytes: float
    """Peak of live activations per input pixel of a tile."""
    weight_bytes: int
    """Weights in the graph."""
    certificate: Certificate
    """The proof."""
    ports: tuple[Port, ...] = ()
    """All outputs that are written, in the graph's order, if there are several; empty for one. The first of them has
    the fields above, but that multiple, before, after, verdict and reason above hold for all of them together."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Outputs that are not written, as (name, why)."""
    metadata: tuple[tuple[str, str], ...] = ()
    """What the file says of itself, as (key, text): only what one of the descriptions reads."""

    @property
    def written(self) -> tuple[Port, ...]:
        """The outputs that are written: one at least."""
        one = Port(
            self.output_name,
            self.output_layout,
            self.out_channels,
            self.out_dtype,
            self.scale,
            self.lead,
            self.trail,
            self.before,
            self.after,
            self.verdict,
            self.reason,
        )
        return self.ports or (one,)

    @property
    def radius(self) -> tuple[int, ...] | None:
        """The larger of before and after, per axis."""
        if self.before is None or self.after is None:
            return None
        return tuple(max(pair) for pair in zip(self.before, self.after, strict=True))

    @property
    def halo(self) -> tuple[int, ...] | None:
        """The radius rounded up to M."""
        radius = self.radius
        return radius and tuple(-(-r // m) * m for r, m in zip(radius, self.multiple, strict=True))

    @property
    def exact(self) -> bool:
        """True if tiles equal the whole, at most but for rounding."""
        return self.verdict in {"exact", "exact to rounding"}

    @property
    def vector(self) -> bool:
        """True if a tile gives one vector and no image."""
        return self.output_layout == "NC"

    def to_json(self) -> str:
        """The record as text; ``from_json`` gives it back."""
        return json.dumps(dataclasses.asdict(self), default=str, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The record from text.

        Raises:
            ValueError: the text does not hold one.
        """
        try:
            return _spec(json.loads(text))
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"no model spec: {error}") from error

    def inspect(self) -> dict[str, Any]:
        """What ``tilewise inspect --json`` prints."""
        return {
            "inputs": [dataclasses.asdict(tensor) for tensor in self.inputs],
            "outputs": [{**dataclasses.asdict(tensor), **self._told(tensor.name)} for tensor in self.outputs],
            "layout": self.layout,
            "output_layout": self.output_layout,
            "spatial_ndim": self.spatial_ndim,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "scale": _numbers(self.scale),
            "multiple": list(self.multiple),
            "radius": self.radius and list(self.radius),
            "halo": self.halo and list(self.halo),
            "verdict": self.verdict,
            "exact": self.exact,
            "reason": self.reason,
            "fixed_size": self.fixed_size and list(self.fixed_size),
            "fixed_batch": self.fixed_batch,
            "sha256": self.sha256,
        }

    def _told(self, name: str) -> dict[str, Any]:
        """What is known of an output beyond its declaration."""
        for port in self.written:
            if port.name == name:
                return {
                    "written": True,
                    "layout": port.layout,
                    "channels": port.out_channels,
                    "scale": _numbers(port.scale),
                    "verdict": port.verdict,
                    "reason": port.reason,
                }
        return {"written": False, "reason": dict(self.left_out).get(name, "another output is asked for")}


def _numbers(scale: tuple[Fraction, ...]) -> list[int | str]:
    return [int(q) if q.denominator == 1 else str(q) for q in scale]


def _spec(found: dict[str, Any]) -> ModelSpec:
    made: dict[str, Any] = _tupled(found)
    made["inputs"] = tuple(_tensor(tensor) for tensor in found["inputs"])
    made["outputs"] = tuple(_tensor(tensor) for tensor in found["outputs"])
    made["constants"] = tuple((str(name), float(value)) for name, value in found["constants"])
    made["scale"] = tuple(Fraction(q) for q in found["scale"])
    made["certificate"] = Certificate(**_tupled(found["certificate"]))
    made["ports"] = tuple(_port(port) for port in found["ports"])
    made["left_out"] = tuple((str(name), str(why)) for name, why in found["left_out"])
    made["metadata"] = tuple((str(key), str(text)) for key, text in found["metadata"])
    return ModelSpec(**made)


def _port(found: dict[str, Any]) -> Port:
    return Port(**{**_tupled(found), "scale": tuple(Fraction(q) for q in found["scale"])})


def _tupled(found: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}


def _tensor(found: dict[str, Any]) -> Tensor:
    return Tensor(found["name"], found["dtype"], tuple(found["shape"]))
