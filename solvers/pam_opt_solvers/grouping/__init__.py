"""Solvers of `Grouping` that are not general backends."""
