"""What the pages for operators list, compared with what the code has."""

import re
from pathlib import Path

from models.audit.events import Event
from models.records import Outcome, RunState
from models.settings import Settings

ROOT = Path(__file__).parents[2]


def section(page: str, heading: str) -> str:
    """What stands under a heading, up to the next one."""
    text = (ROOT / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def first_column(table: str) -> list[str]:
    """The names in the first cells of all rows."""
    cells = re.findall(r"^\| (`[^|]*?) \|", table, re.MULTILINE)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_outcome_and_every_run_state_has_a_row_and_nothing_else_has() -> None:
    outcomes = first_column(section("docs/operating.md", "What became of a sample"))
    assert sorted(outcomes) == sorted(each.value for each in Outcome)
    states = first_column(section("docs/operating.md", "How a run ended"))
    assert sorted(states) == sorted(each.value for each in RunState)


def test_what_is_to_be_watched_for_is_an_event_of_the_audit_log() -> None:
    watched = first_column(section("docs/operating.md", "What to watch"))
    assert {"run.abandoned", "enrolment.failed", "run.needs_review"} <= set(watched)
    assert set(watched) <= {each.value for each in Event}


def test_every_setting_is_in_the_readme() -> None:
    listed = set(first_column(section("README.md", "Settings")))
    assert listed == {
        str(field.validation_alias or f"EXPUNGE_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
