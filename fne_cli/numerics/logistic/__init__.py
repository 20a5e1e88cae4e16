"""Logistic regression, of one label per image or several, solved to a proven duality gap."""
