"""What has been measured as tables: on the page, for LaTeX, and for whatever reads CSV."""
