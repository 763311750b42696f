"""Loops that plain tensor operations would make several passes over memory of.

kernels.py      over weights, on the CPU          compiled.py   what they are compiled with
products.py     over per-sample gradients         tiles.py      its innermost loops
gpu_kernels.py  both, on a GPU                    gpu.py        which tensors they can work on
"""
