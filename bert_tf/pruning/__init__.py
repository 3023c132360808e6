"""The first lever: encoder kernels made of factors, with masks, or cut to a smaller rank."""
