"""Rewriting a graph so that numbers of the whole image are constants in it: what looks at all pixels becomes local.

InstanceNormalization, GroupNormalization and global pooling are found, in the order in which they depend on one
another (``find``), and replaced, once their statistics are known (``graft``). Statistics come from passes over the
image, each with the graph up to the next such place. Model bytes are parsed in a child process (``__main__``).
"""
