"""Suite W: tasks in mocked business services, graded by their state, an audit log and the workspace."""
