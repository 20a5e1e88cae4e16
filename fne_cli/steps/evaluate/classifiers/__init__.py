"""How each classifier is trained in a trial, what it chooses, and what that takes."""
