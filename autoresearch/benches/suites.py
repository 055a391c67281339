"""The table of suites. A suite is imported when it is used."""

from __future__ import annotations

from importlib import import_module

from autoresearch.benches.ports import Suite
from autoresearch.errors import ConfigError

# By the name on the command line: module and class.
SUITES = {
    "proposer": ("autoresearch.benches.proposers.suite", "ProposerSuite"),
    "research": ("autoresearch.benches.research.suite", "ResearchSuite"),
    "samples": ("autoresearch.benches.samples.suite", "SamplesSuite"),
    "workflow": ("autoresearch.benches.workflow.suite", "WorkflowSuite"),
}


def suite_named(name: str) -> Suite:
    """The suite of this name. Raises ``ConfigError`` for one that is not a key of ``SUITES``."""
    if name not in SUITES:
        raise ConfigError(f"{name!r} is not a suite", hint=f"one of {', '.join(SUITES)}")
    module, kind = SUITES[name]
    suite: Suite = getattr(import_module(module), kind)()
    return suite
