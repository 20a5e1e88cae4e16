"""Charts of the page of fne report, as Vega-Lite specifications."""
