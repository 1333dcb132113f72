"""What a user would pick instead, beside ours, in one run. `make bench` prints the ratios."""
