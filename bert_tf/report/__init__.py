"""One page of many runs: what each reached, against the dense baseline, and how it was made."""
