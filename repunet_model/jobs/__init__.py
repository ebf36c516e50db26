"""Many runs: jobs that are described before they are made, their checks, and batches of them."""
