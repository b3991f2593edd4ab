"""Solvers of `PairedGrouping` that are not general backends."""
