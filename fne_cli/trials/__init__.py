"""Which images are trained on and measured, and what several trials say together, whoever is measured in them."""
