"""What an agent can be asked: for each question a typed view, a typed answer and a prompt template."""
