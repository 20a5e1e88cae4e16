"""Networks of KerasHub, from the folder of a preset."""
