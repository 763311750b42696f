"""The endpoints, one file per resource. A new resource is one new file and one new line."""

from app.routes import (
    audit,
    checkpoints,
    deletion_requests,
    exclusions,
    health,
    policies,
    posting,
    registered_models,
    reports,
    runs,
)

ROUTERS = (
    posting.router,
    deletion_requests.router,
    runs.router,
    reports.router,
    registered_models.router,
    policies.router,
    exclusions.router,
    checkpoints.router,
    audit.router,
    health.router,
)
