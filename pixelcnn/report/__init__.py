"""``report.html``: a run's report, as one self-contained page made of plain data."""
