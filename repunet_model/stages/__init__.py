"""One step, stage by stage: what agents think (asynchronously, changing nothing), and what comes of it, in order."""
