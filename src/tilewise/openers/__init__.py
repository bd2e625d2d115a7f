"""How an image is found: one file a format, told by content; each gives an ImageSpec and reads its pixels."""
