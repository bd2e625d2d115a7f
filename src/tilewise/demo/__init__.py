"""A large generated image, a small network trained on such images, and a run that shows what tilewise does."""

from tilewise.demo.show import Shown, demo

__all__ = ["Shown", "demo"]
