"""Compact programs: every combination of tasks as a module that runs only what it needs."""

from pam_opt.running.blocks import Block, arrange
from pam_opt.running.compiled import CompiledNetwork, compiled
from pam_opt.running.program import Program, compile_combination, program_macs

__all__ = ["Block", "CompiledNetwork", "Program", "arrange", "compile_combination", "compiled", "program_macs"]
