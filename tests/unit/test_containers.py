"""The container files, read and compared with the code: no container engine is needed."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

from models.settings import Settings

ROOT = Path(__file__).parents[2]
GATEWAY = ROOT / "docker" / "gateway.Dockerfile"
WORKER = ROOT / "docker" / "worker.Dockerfile"
DOCKERFILES = (GATEWAY, WORKER)
COMPOSE = ROOT / "docker-compose.yml"

# What may be set for our processes without being a setting of ours.
FOREIGN_VARIABLES = ("PATH", "PYTHON*", "NVIDIA_*")
SECRETS = ("POSTGRES_PASSWORD", "EXPUNGE_API_KEYS")

Service = Mapping[str, Any]


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile, its continuation lines joined."""

    word: str
    rest: str

    def exec_form(self) -> list[str]:
        """The list of strings after the word and its options; ValueError for the shell form."""
        text = re.sub(r"^(--\S+\s+)*(CMD\s+)?", "", self.rest)
        words = json.loads(text)
        if not isinstance(words, list):
            raise ValueError(f"not the exec form: {self.rest}")
        return words


def instructions(text: str) -> list[Instruction]:
    """All instructions in order; comments are dropped, between continuation lines too."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\s*\n", "", "\n".join(lines) + "\n")
    split = (line.strip().split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [Instruction(words[0].upper(), words[1] if len(words) > 1 else "") for words in split]


def last(found: Sequence[Instruction], word: str) -> Instruction:
    """The instruction that counts where several of a word are written."""
    return [each for each in found if each.word == word][-1]


def final_stage(found: Sequence[Instruction]) -> list[Instruction]:
    """The instructions after the last FROM."""
    start = max(number for number, each in enumerate(found) if each.word == "FROM")
    return list(found[start + 1 :])


def copied(found: Sequence[Instruction]) -> Iterator[str]:
    """The sources of every COPY that reads the repository and not another stage."""
    for each in found:
        if each.word == "COPY" and "--from=" not in each.rest:
            yield from [word for word in each.rest.split() if not word.startswith("--")][:-1]


def variables(found: Sequence[Instruction]) -> Iterator[str]:
    """The names that ENV sets, written `NAME=value`."""
    for each in found:
        if each.word == "ENV":
            yield from (word.partition("=")[0] for word in each.rest.split())


def user_is_harmless(found: Sequence[Instruction]) -> bool:
    """True if the final stage's last USER is there and is not root."""
    users = [each.rest.partition(":")[0] for each in final_stage(found) if each.word == "USER"]
    return bool(users) and users[-1] not in ("root", "0")


def sent_to_build(path: str, patterns: Sequence[str]) -> bool:
    """Whether .dockerignore lets `path` into a build: the last pattern that fits decides."""
    sent = True
    for pattern in patterns:
        name = pattern.removeprefix("!").removeprefix("**/")
        if fnmatch(path, name):
            sent = pattern.startswith("!")
    return sent


def settings_variables() -> set[str]:
    """Every environment variable that `Settings` reads."""
    prefix = Settings.model_config["env_prefix"]
    return {
        str(field.validation_alias or f"{prefix}{name}".upper())
        for name, field in Settings.model_fields.items()
    }


def is_known_variable(name: str) -> bool:
    """Whether a process of ours may be given the variable `name`."""
    return name in settings_variables() or any(fnmatch(name, each) for each in FOREIGN_VARIABLES)


def optional_secrets(text: str) -> list[str]:
    """The lines that name a secret in any way but `${NAME:?...}`, comments aside."""
    name = f"(?:{'|'.join(SECRETS)})"
    demanded = rf'(?:{name}:\s*)?"?\$\{{{name}:\?[^}}]+\}}'
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line for line in lines if re.search(name, re.sub(demanded, "", line))]


def is_one_shot(name: str, services: Mapping[str, Service]) -> bool:
    """Whether the service is meant to end: never restarted, and others wait for its success."""
    awaited = [
        each.get("depends_on", {}).get(name, {}).get("condition") for each in services.values()
    ]
    return services[name].get("restart") == "no" and "service_completed_successfully" in awaited


def named_volumes(service: Service) -> Iterator[str]:
    """The named volumes that a service mounts; folders of the host are left out."""
    for mount in service.get("volumes", []):
        if isinstance(mount, str):
            source = mount.partition(":")[0]
            if not source.startswith((".", "/", "~", "$")):
                yield source
        elif mount["type"] == "volume":
            yield mount["source"]


def load_dockerfile(path: Path) -> list[Instruction]:
    """The instructions of a file of ours."""
    return instructions(path.read_text())


def dockerfile_of(service: Service) -> Path:
    """The Dockerfile that a service of ours is built from."""
    build = service["build"]
    path: Path = ROOT / build["context"] / build["dockerfile"]
    return path


def health_command(service: Service) -> list[str] | None:
    """What checks the service: its own check, or its image's; None without one."""
    check = service.get("healthcheck", {})
    if check.get("disable"):
        return None
    if "test" in check:
        return list(check["test"][1:])
    checks = [
        each
        for each in (load_dockerfile(dockerfile_of(service)) if "build" in service else [])
        if each.word == "HEALTHCHECK"
    ]
    return checks[-1].exec_form() if checks else None


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """The Compose file, parsed."""
    loaded: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return loaded


@pytest.fixture(scope="module")
def services(compose: dict[str, Any]) -> dict[str, Service]:
    """Every service by name."""
    found: dict[str, Service] = compose["services"]
    return found


@pytest.fixture(scope="module")
def ours(services: dict[str, Service]) -> dict[str, Service]:
    """The services that run our images."""
    return {name: service for name, service in services.items() if "build" in service}


@pytest.fixture(scope="module")
def commands() -> set[str]:
    """The names of the subcommands of `expunge`."""
    import expunge

    return set(expunge.main.commands)


def test_all_expected_services_are_there(services: dict[str, Service]) -> None:
    assert set(services) == {
        "postgres", "redis", "migrate", "gateway", "steward", "worker", "worker-gpu",
    }  # fmt: skip


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_an_image_starts_and_checks_itself_with_existing_commands(
    path: Path, commands: set[str]
) -> None:
    found = load_dockerfile(path)
    assert last(found, "ENTRYPOINT").exec_form() == ["expunge"]
    assert last(found, "CMD").exec_form()[0] in commands
    program, *arguments = last(found, "HEALTHCHECK").exec_form()
    assert program == "python" or (program == "expunge" and arguments[0] in commands)


def test_every_service_of_ours_runs_an_existing_command(
    ours: dict[str, Service], commands: set[str]
) -> None:
    for name, service in ours.items():
        assert service["command"][0] in commands, name


def test_health_checks_in_compose_name_existing_commands(
    ours: dict[str, Service], commands: set[str]
) -> None:
    for name, service in ours.items():
        command = health_command(service)
        if command and command[0] == "expunge":
            assert command[1] in commands, name


def test_the_readme_names_existing_commands_and_services(
    commands: set[str], services: dict[str, Service]
) -> None:
    text = (ROOT / "docker" / "README.md").read_text()
    run = r"docker compose run --rm(?: --no-deps)?(?: -v \S+)? (\w+) (\w+)"
    started = re.findall(rf"^ +{run}", text, re.MULTILINE)
    plain = re.findall(r"^ .*--rm expunge-gateway (\w+)", text, re.MULTILINE)
    named = {*plain, *(command for _, command in started)}
    assert {"key", "enrol", "backup", "restore"} <= named <= commands
    stopped = re.findall(r"docker compose stop ([a-z -]+)$", text, re.MULTILINE)
    assert stopped
    others = {name for line in stopped for name in line.split()}
    assert {service for service, _ in started} | others <= set(services)


def test_commands_that_need_torch_are_run_in_the_workers_image() -> None:
    text = (ROOT / "docker" / "README.md").read_text()
    started = re.findall(r"^ +docker compose run .*?(gateway|worker) (\w+)", text, re.MULTILINE)
    assert {service for service, command in started if command == "enrol"} == {"worker"}
    assert {service for service, command in started if command != "enrol"} == {"gateway"}


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_everything_copied_exists_and_is_sent_to_the_build(path: Path) -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in ignored if line and not line.startswith("#")]
    sources = list(copied(load_dockerfile(path)))
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert sent_to_build(source, patterns), source


def test_nothing_else_is_sent_to_a_build() -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    for private in (".env", "expunge.env", ".git", ".venv", ".expunge", "sources", "key.pem"):
        assert not sent_to_build(private, patterns), private


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_every_package_of_the_wheel_is_copied(path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    assert set(packages) <= set(copied(load_dockerfile(path)))


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_images_set_only_variables_that_are_read(path: Path) -> None:
    assert [each for each in variables(load_dockerfile(path)) if not is_known_variable(each)] == []


def test_services_set_only_variables_that_are_read(ours: dict[str, Service]) -> None:
    for name, service in ours.items():
        assert [each for each in service["environment"] if not is_known_variable(each)] == [], name


def test_every_service_of_ours_knows_database_queue_and_store(ours: dict[str, Service]) -> None:
    for name, service in ours.items():
        needed = {"DATABASE_URL", "REDIS_URL", "ARTIFACT_STORE_URL"}
        assert needed <= set(service["environment"]), name


def test_every_service_of_ours_takes_the_other_settings_from_a_file_that_may_be_missing(
    ours: dict[str, Service],
) -> None:
    for name, service in ours.items():
        assert service["env_file"] == [{"path": "expunge.env", "required": False}], name


def test_what_the_file_cannot_change_is_named_where_it_is_explained(
    ours: dict[str, Service],
) -> None:
    text = (ROOT / "docker" / "README.md").read_text()
    (explained,) = re.findall(r"^## Settings\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    fixed = {name for service in ours.values() for name in service["environment"]}
    fixed |= {name for path in DOCKERFILES for name in variables(load_dockerfile(path))}
    named = set(re.findall(r"`([A-Z_]+)`", explained))
    assert fixed & settings_variables() <= named <= settings_variables()
    examples = set(re.findall(r"^    ([A-Z_]+)=", explained, re.MULTILINE))
    assert examples
    assert examples <= settings_variables() - named


def test_only_the_gateway_is_given_the_clients_keys(services: dict[str, Service]) -> None:
    given = [
        name
        for name, service in services.items()
        if "EXPUNGE_API_KEYS" in service.get("environment", {})
    ]
    assert given == ["gateway"]


def test_no_secret_has_a_default() -> None:
    text = COMPOSE.read_text()
    assert all(f"${{{name}:?" in text for name in SECRETS)
    assert optional_secrets(text) == []


def test_named_volumes_are_declared_and_used(
    compose: dict[str, Any], services: dict[str, Service]
) -> None:
    used = {volume for service in services.values() for volume in named_volumes(service)}
    assert used == set(compose["volumes"])


def test_every_dependency_exists_and_can_be_met(services: dict[str, Service]) -> None:
    for service in services.values():
        for name, dependency in service.get("depends_on", {}).items():
            assert name in services
            if dependency["condition"] == "service_healthy":
                assert health_command(services[name]), name
            else:
                assert is_one_shot(name, services), name


def test_every_service_has_a_health_check_or_is_one_shot(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert bool(health_command(service)) != is_one_shot(name, services), name


def test_every_dockerfile_named_exists_and_every_one_is_used(ours: dict[str, Service]) -> None:
    assert {dockerfile_of(service) for service in ours.values()} == set(DOCKERFILES)
    assert all(path.is_file() for path in DOCKERFILES)


def test_build_arguments_are_declared(ours: dict[str, Service]) -> None:
    for service in ours.values():
        found = load_dockerfile(dockerfile_of(service))
        declared = {each.rest.partition("=")[0] for each in found if each.word == "ARG"}
        assert set(service["build"].get("args", {})) <= declared


def test_one_image_name_stands_for_one_build(ours: dict[str, Service]) -> None:
    builds: dict[str, Any] = {}
    for service in ours.values():
        assert builds.setdefault(service["image"], service["build"]) == service["build"]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_images_do_not_run_as_root(path: Path) -> None:
    assert user_is_harmless(load_dockerfile(path))


def test_both_images_run_as_the_same_user() -> None:
    assert len({last(load_dockerfile(path), "USER") for path in DOCKERFILES}) == 1


def test_no_service_is_privileged_or_changes_the_user(services: dict[str, Service]) -> None:
    for name, service in services.items():
        assert not {"privileged", "user", "cap_add", "network_mode"} & set(service), name


def test_only_the_gateway_is_published_and_only_on_this_host(
    services: dict[str, Service],
) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {"gateway": ["127.0.0.1:8080:8080"]}
    assert last(load_dockerfile(GATEWAY), "EXPOSE").rest == "8080"


def test_sources_are_read_only_wherever_they_are_mounted(ours: dict[str, Service]) -> None:
    mounts = [
        mount
        for service in ours.values()
        for mount in service["volumes"]
        if mount["target"] == service["environment"]["EXPUNGE_SOURCES_ROOT"]
    ]
    assert mounts
    assert all(mount["read_only"] for mount in mounts)


def test_the_gateway_installs_no_extra_and_the_worker_only_its_own() -> None:
    gateway, worker = GATEWAY.read_text(), WORKER.read_text()
    assert "['dependencies']" in gateway
    assert "optional-dependencies" not in gateway
    assert re.findall(r"\['optional-dependencies'\]\['(\w+)'\]", worker) == ["worker"]


def test_the_base_dependencies_have_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not [each for each in project["dependencies"] if each.startswith("torch")]


def test_the_worker_is_made_for_the_cpu_unless_cuda_is_asked_for(
    ours: dict[str, Service],
) -> None:
    found = load_dockerfile(WORKER)
    stages = {each.rest.partition(" AS ")[2] for each in found if each.word == "FROM"}
    assert {"cuda-0", "cuda-1"} <= stages
    assert Instruction("ARG", "CUDA=0") in found
    assert ours["worker"]["build"]["args"]["CUDA"] == "0"
    assert ours["worker-gpu"]["build"]["args"]["CUDA"] == "1"
    assert ours["worker-gpu"]["profiles"] == ["gpu"]


def test_everything_the_images_install_is_pinned_in_the_lock() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["worker"]]
    pinned = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements.lock").read_text(), re.M))
    assert {re.split(r"[\[<>=; ]", each)[0] for each in wanted} <= pinned


# The checks above are worth what their helpers notice.


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("FROM a\nUSER 10001:10001", True),
        ("FROM a", False),
        ("FROM a\nUSER root", False),
        ("FROM a\nUSER 0:0", False),
        ("FROM a\nUSER 10001\nUSER root", False),
        ("FROM a AS b\nUSER 10001\nFROM b", False),
        ("FROM a\n# USER 10001", False),
    ],
)
def test_a_missing_or_root_user_is_noticed(text: str, harmless: bool) -> None:
    assert user_is_harmless(instructions(text)) is harmless


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("RUN a \\\n    b\nRUN c", [("RUN", "a     b"), ("RUN", "c")]),
        ("RUN a \\\n# why\n    b", [("RUN", "a     b")]),
        ("# RUN a\n\nuser x", [("USER", "x")]),
    ],
)
def test_continuations_are_joined_and_comments_dropped(
    text: str, expected: list[tuple[str, str]]
) -> None:
    assert [(each.word, each.rest) for each in instructions(text)] == expected


@pytest.mark.parametrize(
    "text",
    [
        "POSTGRES_PASSWORD: secret",
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:-secret}",
        "POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}",
        "POSTGRES_PASSWORD: $POSTGRES_PASSWORD",
        'EXPUNGE_API_KEYS: "[]"',
        "DATABASE_URL: postgresql://expunge:${POSTGRES_PASSWORD-}@postgres/expunge",
    ],
)
def test_a_secret_with_a_default_is_noticed(text: str) -> None:
    assert optional_secrets(text)


@pytest.mark.parametrize("name", ["EXPUNGE_GATEWAY_HOTS", "EXPUNGE_DATABASE_URL", "API_KEYS"])
def test_a_variable_that_nobody_reads_is_noticed(name: str) -> None:
    assert not is_known_variable(name)


def test_the_shell_form_is_noticed() -> None:
    with pytest.raises(ValueError, match="Expecting value"):
        Instruction("CMD", "expunge worker").exec_form()


def test_a_long_running_service_is_not_taken_for_one_shot() -> None:
    services: dict[str, Service] = {
        "migrate": {"restart": "no"},
        "worker": {
            "restart": "unless-stopped",
            "depends_on": {"migrate": {"condition": "service_completed_successfully"}},
        },
    }
    assert is_one_shot("migrate", services)
    assert not is_one_shot("worker", services)
