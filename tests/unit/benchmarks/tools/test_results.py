"""What a result says of where it was measured."""

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.tools import results


def git(folder: Path, *arguments: str) -> str:
    author = ("-c", "user.name=nobody", "-c", "user.email=nobody@example.com")
    return subprocess.run(
        ["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for results, in a place of which no repository knows."""
    folder = tmp_path / "benchmarks" / "results"
    folder.mkdir(parents=True)
    monkeypatch.setattr(results, "FOLDER", folder)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return folder


def test_without_a_repository_there_is_no_commit(folder: Path) -> None:
    assert results._source() == {"commit": None, "changed": None}


def test_without_git_there_is_no_commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert results._source() == {"commit": None, "changed": None}


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_changes_are_those_of_all_files_but_results(folder: Path) -> None:
    top = folder.parents[1]
    git(top, "init", "--quiet")
    (top / "code.py").write_text("1")
    (folder / "kept.json").write_text("1")
    git(top, "add", "--all")
    git(top, "commit", "--quiet", "--message", "first")
    unchanged = {"commit": git(top, "rev-parse", "HEAD"), "changed": False}
    (folder / "kept.json").write_text("2")
    (folder / "new.json").write_text("2")
    assert results._source() == unchanged
    (top / "code.py").write_text("2")
    assert results._source() == {**unchanged, "changed": True}
    git(top, "checkout", "--quiet", "code.py")
    (top / "new.py").write_text("2")
    assert results._source() == {**unchanged, "changed": True}


def test_a_machine_is_described_with_its_processor_and_the_commit() -> None:
    described = results.machine()
    assert described["cores"]
    assert {"commit", "changed", "processor_model"} <= set(described)
    if model := described["processor_model"]:
        assert model in Path("/proc/cpuinfo").read_text()
