"""Solvers of somebody else: two that keep the contract, and three that break it."""
