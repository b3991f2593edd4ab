"""All speed and memory figures of PAM's parts: ``python benchmarks/pam_speed.py`` (about fifteen minutes on two cores).

Regrouping beside a plain evaluation, `gaussian` beside `kde`, 8192 units, and training steps while pruning beside
plain ones; see `regrouping_speed` and `pruning_speed`.
"""

import pruning_speed
import regrouping_speed
import torch

if __name__ == "__main__":
    torch.set_num_threads(1)
    for part in regrouping_speed.PARTS.values():
        part()
    pruning_speed.main()
