"""What a problem may ask of a solver beyond its plain form."""

from enum import Enum


class Feature(Enum):
    """A demand on solvers; the value is what a user reads."""

    OPT_OUT = "units may stay single at a cost"
    FIXED_COUNT = "a fixed number of pairs below the most possible"
    FORBIDDEN = "forbidden choices"
    RECTANGULAR = "sides of different length"
    AT_MOST = "a largest number of pairs"
    BUDGETS = "linear budgets"
    FORCED = "forced pairs"
    TIED = "units that go together"
    QUOTAS = "least and most kept units per class"
    SET_FUNCTION = "budgets on a set function"
    NOT_SUBMODULAR = "forbidden edges that are worth less than the MACs they save"
    WITHIN = "merging within a parent"
    TWO_PARENTS = "two parents only"
    THREE_PARENTS = "three parents"
    MANY_PARENTS = "more than three parents"
    CAPACITIES = "limits on how many units one may stand for"
