"""The questions: for each a typed view, a typed answer and a prompt template."""
