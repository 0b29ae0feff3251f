"""Reading a hand asset from USD."""
