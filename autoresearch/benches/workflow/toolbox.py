"""The tools of one attempt: their schemas for the model, and what each call of one gives."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from autoresearch.benches.workflow.database import all_parameters
from autoresearch.benches.workflow.file_tools import file_tool_schemas, use_file_tool
from autoresearch.benches.workflow.sandbox.shell import COMMAND_S, SandboxFailed, Shell
from autoresearch.benches.workflow.server import Services
from autoresearch.benches.workflow.task import MAX_DELAY_S, SHELL, Endpoint, Service, Task
from autoresearch.benches.workflow.workspace import MAX_ENTRIES, MAX_TOTAL_BYTES, Workspace, WorkspaceError

REQUEST_S = MAX_DELAY_S + 30.0
MAX_ANSWER_BYTES = 1 << 20

Result = dict[str, Any]


class AttemptFailed(Exception):
    """The attempt cannot go on, through no fault of the model: the sandbox or a service failed."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Uses tools for the agent. ``left_s`` gives the seconds that the attempt still has."""

    task: Task
    services: Services
    workspace: Workspace
    root: Path  # of the workspace
    shell: Shell | None
    left_s: Callable[[], float]
    stopped: Callable[[], bool]

    def schemas(self) -> list[dict[str, Any]]:
        """The tools in OpenAI's form."""
        return tool_schemas(self.task)

    def use(self, name: str, arguments: Mapping[str, Any]) -> Result:
        """The result of one call; an error is a result with the key ``error``. Raises ``AttemptFailed``."""
        if name not in self.task.tools:
            return {"error": f"there is no tool {name!r}; there are: {', '.join(self.task.tools)}"}
        try:
            if name == SHELL:
                return self._run(arguments)
            if name in self.task.endpoints:
                return self._request(*self.task.endpoints[name], arguments)
            return use_file_tool(name, arguments, self.workspace)
        except WorkspaceError as e:
            return {"error": str(e)}

    def _run(self, arguments: Mapping[str, Any]) -> Result:
        command = arguments.get("command")
        if not isinstance(command, str) or set(arguments) != {"command"}:
            return {"error": "shell takes one argument, command, which is a string"}
        if self.shell is None:
            raise AttemptFailed("the task has a shell, but no sandbox was opened for it")
        try:
            ended = self.shell.run(command, self.root, self.services.port, max(1.0, self.left_s()), self.stopped)
        except SandboxFailed as e:
            raise AttemptFailed(str(e)) from e
        usage = self.workspace.usage()
        if usage.entries > MAX_ENTRIES or usage.total_bytes > MAX_TOTAL_BYTES:
            full = f"the workspace has {usage.entries:,} entries and {usage.total_bytes:,} bytes: remove some"
            return {"exit_code": ended.exit_code, "output": ended.output, "error": full}
        result: Result = {"exit_code": ended.exit_code, "output": ended.output}
        return {**result, "error": f"ended: {ended.ended_by}"} if ended.ended_by else result

    def _request(self, service: Service, endpoint: Endpoint, arguments: Mapping[str, Any]) -> Result:
        try:
            method, target, body = http_request(service.name, endpoint, arguments)
        except UnicodeEncodeError:
            return {"error": "an argument holds half a surrogate pair"}
        assert self.services.port is not None
        connection = http.client.HTTPConnection("127.0.0.1", self.services.port, timeout=REQUEST_S)
        try:
            connection.request(method, target, body, {"content-type": "application/json"} if body else {})
            response = connection.getresponse()
            data = response.read(MAX_ANSWER_BYTES)
            return {"status": response.status, **json.loads(data)}
        except (OSError, http.client.HTTPException, ValueError) as e:
            problem = "; ".join(self.services.problems) or repr(e)
            raise AttemptFailed(f"the service {service.name} failed: {problem}") from e
        finally:
            connection.close()


def http_request(service: str, endpoint: Endpoint, arguments: Mapping[str, Any]) -> tuple[str, str, bytes | None]:
    """Method, target and body of a call: what is not in the path goes into the query of a GET, else into the body."""
    path = endpoint.path
    rest = dict(arguments)
    for name in endpoint.path_parameters:
        value = rest.pop(name, "")
        path = path.replace("{" + name + "}", quote(value if isinstance(value, str) else json.dumps(value), safe=""))
    target = f"/{service}{path}"
    if endpoint.method not in ("GET", "DELETE"):
        return endpoint.method, target, json.dumps(rest).encode()
    given = {k: v if isinstance(v, str) else json.dumps(v) for k, v in rest.items() if v is not None}
    return endpoint.method, f"{target}?{urlencode(given)}" if given else target, None


def tool_schemas(task: Task) -> list[dict[str, Any]]:
    """The tools of a task in OpenAI's form, in the task's order."""
    known = {**file_tool_schemas(), SHELL: _shell_schema(task)}
    known |= {name: _endpoint_schema(service, endpoint) for name, (service, endpoint) in task.endpoints.items()}
    return [{"type": "function", "function": {"name": name, **known[name]}} for name in task.tools]


def _endpoint_schema(service: Service, endpoint: Endpoint) -> dict[str, Any]:
    names = all_parameters(endpoint)
    properties = {name: {"type": endpoint.types.get(name, "string")} for name in names}
    required = [name for name in names if name not in endpoint.optional]
    where = f"{endpoint.method} /{service.name}{endpoint.path}"
    return {
        "description": f"{endpoint.description} ({where})" if endpoint.description else where,
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
    }


def _shell_schema(task: Task) -> dict[str, Any]:
    services = ", ".join(f"$SERVICES_URL/{service.name}" for service in task.services)
    network = f" Of the network it reaches only {services}." if services else " It has no network."
    text = (
        f"Run a command with sh in the workspace, for at most {COMMAND_S:g} s; nothing outside can be written.{network}"
    )
    parameters = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
    return {"description": text, "parameters": {**parameters, "additionalProperties": False}}
