"""Solvers for ``ColumnSubset``, one file each, and its curve over the number of kept units."""
