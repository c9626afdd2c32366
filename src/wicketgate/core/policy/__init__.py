"""The mesh's policy: which rule decides a request, and what that rule demands."""
