"""Weights on disk: readers and writers that meet in one array dictionary with Google's names."""
