"""Plan by MTZ: pairs of least functional difference, layer by layer on inputs that are merged already."""

from pam_opt.errors import PlanError
from pam_opt.merging.moments import TaskData
from pam_opt.planning.chains import refuse_branches
from pam_opt.planning.controls import LayersAndRecords
from pam_opt.planning.request import Request
from pam_opt.zipping import Zipper
from pam_opt.zipping.lattice import LatticeForm
from pam_opt.zipping.pairs import PairOptions


def plan_mtz(request: Request) -> LayersAndRecords:
    """Pair units as `pam_opt.zip_networks` does without retraining; ``merge(weights="mtz")`` gives the same network.

    Raises
    ------
    PlanError : a network that is no chain; no calibration data; a width or a loss budget
    """
    refuse_branches(request.structure, "problem='mtz'")
    if request.calibration is None:
        raise PlanError("problem='mtz' needs calibration batches; statistics= do not hold what it looks at")
    if request.width is not None:
        raise PlanError(
            "width= does not apply to problem='mtz', which keeps all units; use share=, or problem='pairing'"
        )
    if request.loss_budget is not None:
        raise PlanError("loss_budget= does not apply to problem='mtz', whose cost is no loss; use share=")
    tasks = request.tasks
    data = TaskData.of(tasks, request.calibration, seed=request.seed)
    pairs = {
        name: PairOptions(share, None, request.solver, request.time_limit, request.seed, request.threads)
        for name, share in request.shares.items()
    }
    _, layers, records = Zipper(data, pairs).run(LatticeForm.of(request.parents))
    return layers, records
