"""The endpoints, one file per resource. A new resource is one new file and one new line."""

from app.routes import audit, checkpoints, deletion_requests, health, registered_models, runs

ROUTERS = (
    deletion_requests.router,
    runs.router,
    registered_models.router,
    checkpoints.router,
    audit.router,
    health.router,
)
