"""What may be asked of the desk: `core`'s tables of parameters as flask-smorest takes them."""
