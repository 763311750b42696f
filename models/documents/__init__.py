"""Documents: what is written of a run as JSON, read by the API, by reports and by later runs.

One place says what is in them. Workers fill them in (`workers/judging`); rows hold them, typed
(`records/base.py`); the API shows them as they are.
"""

from models.documents.base import Document
from models.documents.figures import (
    Attacks,
    Closeness,
    Estimate,
    Figures,
    GroupFigures,
    LabelFigures,
    LossAttack,
    Reference,
    Rule,
    Standing,
)
from models.documents.report import (
    Details,
    Histograms,
    LossHistograms,
    Report,
    ReportedNetwork,
    ReportedRequest,
    ReportedRun,
    ZeroRetrainForgetting,
)
from models.documents.verdict import (
    Asked,
    CohortSetting,
    CohortVerdict,
    DamageBudget,
    Decision,
    Expectation,
    Fall,
    LabelFall,
    LayerChange,
    NetworkFigures,
    Pool,
    Rung,
    Verdict,
    WeightsChange,
)

__all__ = [
    "Asked",
    "Attacks",
    "Closeness",
    "CohortSetting",
    "CohortVerdict",
    "DamageBudget",
    "Decision",
    "Details",
    "Document",
    "Estimate",
    "Expectation",
    "Fall",
    "Figures",
    "GroupFigures",
    "Histograms",
    "LabelFall",
    "LabelFigures",
    "LayerChange",
    "LossAttack",
    "LossHistograms",
    "NetworkFigures",
    "Pool",
    "Reference",
    "Report",
    "ReportedNetwork",
    "ReportedRequest",
    "ReportedRun",
    "Rule",
    "Rung",
    "Standing",
    "Verdict",
    "WeightsChange",
    "ZeroRetrainForgetting",
]
