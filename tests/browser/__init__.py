"""A package, so that pytest ends its browser before other tests run loops of their own."""
