"""A large generated image, a small network trained on such images, and a run that shows what tilewise does."""
