"""Solvers of the joint pairing problem, one file each."""
