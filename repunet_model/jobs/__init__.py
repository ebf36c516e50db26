"""Many runs: descriptions of jobs, their validation, and batches."""
