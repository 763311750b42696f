"""What a client declares about a network: architecture, dataset, preprocessing, policy.

All of it is data, checked here and never executed. The same shapes serve the API, the command
line and the rows in which they are kept.
"""

from models.specifications.architecture import ArchitectureSpec
from models.specifications.base import (
    Number,
    Path,
    Specification,
    Text,
)
from models.specifications.dataset import (
    ArraysSpec,
    CifarSpec,
    DatasetSpec,
    DigitsSpec,
    HoldoutSpec,
    IdxSpec,
    ImagesSpec,
)
from models.specifications.enrolment import MODEL_NAME, Enrolment
from models.specifications.estimator import (
    DEFAULT_ESTIMATOR,
    ESTIMATORS,
    EmpiricalEstimator,
    EstimatorSpec,
    LabelFreeEstimator,
    PredictiveEstimator,
    require_fitting,
)
from models.specifications.policy import (
    AdaptiveMethod,
    AutoMethod,
    FixedMethod,
    Gate,
    LabelFreeMethod,
    Method,
    Policy,
)
from models.specifications.preprocessing import Preprocessing

__all__ = [
    "DEFAULT_ESTIMATOR",
    "ESTIMATORS",
    "MODEL_NAME",
    "AdaptiveMethod",
    "ArchitectureSpec",
    "ArraysSpec",
    "AutoMethod",
    "CifarSpec",
    "DatasetSpec",
    "DigitsSpec",
    "EmpiricalEstimator",
    "Enrolment",
    "EstimatorSpec",
    "FixedMethod",
    "Gate",
    "HoldoutSpec",
    "IdxSpec",
    "ImagesSpec",
    "LabelFreeEstimator",
    "LabelFreeMethod",
    "Method",
    "Number",
    "Path",
    "Policy",
    "PredictiveEstimator",
    "Preprocessing",
    "Specification",
    "Text",
    "require_fitting",
]
