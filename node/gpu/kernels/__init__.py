"""CUDA kernels as source, compiled at run time for the GPU at hand."""
