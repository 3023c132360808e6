"""Many runs of run_classifier.py and the table of what came out: what run_sweep.py runs."""
