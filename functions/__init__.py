"""Routes and triggers: arguments in, response out, no decisions."""
