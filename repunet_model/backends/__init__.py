"""Who answers: one protocol, and the backends and wrappers that follow it."""
