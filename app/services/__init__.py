"""What the desk knows, for the page and the API alike."""
