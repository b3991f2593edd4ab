"""Solvers of `MultiPairing`, one file each, and what they share."""
