"""Questions to agents: each has a typed view, a typed answer and a prompt template."""
