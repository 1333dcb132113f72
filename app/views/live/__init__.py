"""The Live view: a pair's numbers and charts as of now, a small delta every second."""
