"""Arrays and tables in, figures out: every figure as PNG and as SVG. The only room that draws with matplotlib."""
