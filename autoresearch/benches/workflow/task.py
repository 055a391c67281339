"""A task as its ``task.yaml`` states it: frozen values, checked field by field and against each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field

from autoresearch.benches.workflow.checks import Called, Check, FileUnchanged, NotCalled, RelativePath, Row, Scalar
from autoresearch.core.values import Fraction, FrozenModel, PositiveInt

FILE_TOOLS = ("list_files", "read_file", "write_file", "replace_in_file")
SHELL = "shell"
MAX_DELAY_S = 30.0

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$")]
ToolName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
ScalarType = Literal["string", "integer", "number", "boolean"]

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Prompt(FrozenModel):
    """What the user asks for."""

    text: Annotated[str, Field(min_length=1, max_length=20_000)]


class Endpoint(FrozenModel):
    """One request of a service, and the tool that makes it. ``sql`` binds ``:name`` to the request's parameters."""

    tool: ToolName
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: Annotated[str, Field(pattern=r"^(/([A-Za-z0-9_.-]+|\{[A-Za-z_][A-Za-z0-9_]*\}))+$", max_length=200)]
    sql: Annotated[str, Field(min_length=1, max_length=10_000)]
    description: str = ""
    types: dict[str, ScalarType] = Field(default_factory=dict)  # of parameters; without one: string
    optional: tuple[str, ...] = ()  # bound to NULL where the request leaves them out

    @property
    def path_parameters(self) -> tuple[str, ...]:
        """The names in braces."""
        return tuple(_PLACEHOLDER.findall(self.path))


class Fault(FrozenModel):
    """Requests that fail before they do anything, drawn by hash: the same seed gives the same faults."""

    tool: ToolName | None = None  # null: every endpoint of the service
    rate: Fraction = 1.0
    limit: PositiveInt = 3  # at most so many of each attempt
    status: Annotated[int, Field(ge=500, le=599)] | None = None
    delay_s: Annotated[float, Field(gt=0, le=MAX_DELAY_S)] | None = None


class Service(FrozenModel):
    """One sqlite database with its endpoints. ``schema`` is its DDL, ``rows`` its content by table."""

    name: Name
    ddl: Annotated[str, Field(alias="schema", min_length=1, max_length=50_000)]
    rows: dict[str, tuple[dict[str, Scalar], ...]] = Field(default_factory=dict)
    endpoints: Annotated[tuple[Endpoint, ...], Field(min_length=1, max_length=50)]
    faults: tuple[Fault, ...] = ()


class Limits(FrozenModel):
    """Of one attempt."""

    max_turns: Annotated[int, Field(gt=0, le=500)] = 30
    timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 600.0


class Judge(FrozenModel):
    """What a judge is asked. Its score stands beside the checks; ``weight`` is its share of the combined score."""

    rubric: Annotated[str, Field(min_length=1, max_length=10_000)]
    weight: Fraction = 0.2


class Task(FrozenModel):
    """One workflow. ``workspace``: the folder beside task.yaml that is copied for each attempt, or its files."""

    task_id: Name
    family: Annotated[str, Field(min_length=1, max_length=60)]
    prompt: Prompt
    tools: Annotated[tuple[ToolName, ...], Field(min_length=1)]
    services: tuple[Service, ...] = ()
    workspace: RelativePath | dict[RelativePath, str] | None = None
    limits: Limits = Limits()
    checks: Annotated[tuple[Check, ...], Field(min_length=1, max_length=100)]
    judge: Judge | None = None
    pass_threshold: Annotated[float, Field(gt=0, le=1)] = 1.0

    @property
    def endpoints(self) -> dict[str, tuple[Service, Endpoint]]:
        """Every endpoint by the name of its tool."""
        return {endpoint.tool: (service, endpoint) for service in self.services for endpoint in service.endpoints}

    @property
    def uses_shell(self) -> bool:
        """Whether the task runs commands, and so needs a sandbox."""
        return SHELL in self.tools

    def check_name(self, i: int) -> str:
        """The name of check ``i``, or its type and number."""
        return self.checks[i].name or f"{i + 1}_{self.checks[i].type}"


Problem = tuple[tuple[str | int, ...], str]  # a field and what is wrong with it


def cross_problems(task: Task) -> Iterable[Problem]:
    """What the fields do not show one by one: names that occur twice or nowhere."""
    yield from _repeated(("services",), [service.name for service in task.services], "service")
    tools = [endpoint.tool for service in task.services for endpoint in service.endpoints]
    yield from _repeated(("services",), [*tools, *FILE_TOOLS, SHELL], "tool")
    yield from _repeated(("tools",), task.tools, "tool")
    yield from _repeated(("checks",), [task.check_name(i) for i in range(len(task.checks))], "check")
    known = {*tools, *FILE_TOOLS, SHELL}
    for i, tool in enumerate(task.tools):
        if tool not in known:
            yield ("tools", i), f"{tool!r} is neither an endpoint's tool nor one of {', '.join((*FILE_TOOLS, SHELL))}"
    for i, service in enumerate(task.services):
        yield from _service_problems(service, ("services", i))
    for i, check in enumerate(task.checks):
        yield from _check_problems(task, check, ("checks", i), known_endpoints=set(tools))


def _repeated(where: tuple[str | int, ...], names: Iterable[str], kind: str) -> Iterable[Problem]:
    for name, n in Counter(names).items():
        if n > 1:
            yield where, f"the {kind} name {name!r} occurs {n} times"


def _service_problems(service: Service, where: tuple[str | int, ...]) -> Iterable[Problem]:
    shapes = [f"{e.method} {_PLACEHOLDER.sub('{}', e.path)}" for e in service.endpoints]
    yield from _repeated((*where, "endpoints"), shapes, "endpoint")
    for i, endpoint in enumerate(service.endpoints):
        yield from _repeated((*where, "endpoints", i, "path"), endpoint.path_parameters, "parameter")
    for i, fault in enumerate(service.faults):
        if fault.tool is not None and fault.tool not in {e.tool for e in service.endpoints}:
            yield (*where, "faults", i, "tool"), f"{fault.tool!r} is not a tool of service {service.name}"
        if fault.status is None and fault.delay_s is None:
            yield (*where, "faults", i), "a fault needs status (5xx) or delay_s"


def _check_problems(
    task: Task, check: Any, where: tuple[str | int, ...], known_endpoints: set[str]
) -> Iterable[Problem]:
    match check:
        case Called() | NotCalled():
            if check.endpoint not in known_endpoints:
                yield (*where, "endpoint"), f"{check.endpoint!r} is not the tool of an endpoint"
            if isinstance(check, Called) and check.max is not None and check.max < check.min:
                yield (*where, "max"), f"{check.max} is less than min, {check.min}"
        case Row():
            names = [service.name for service in task.services]
            if check.service not in names and (check.service or len(names) != 1):
                yield (*where, "service"), f"{check.service!r} is not one of the services: {', '.join(names) or 'none'}"
        case FileUnchanged() if isinstance(task.workspace, dict) and check.path not in task.workspace:
            yield (*where, "path"), f"the workspace has no file {check.path!r}"
