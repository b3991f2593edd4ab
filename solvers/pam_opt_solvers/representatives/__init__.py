"""Methods for ``Representatives``: which units are kept, and which of them stands for each other one."""
