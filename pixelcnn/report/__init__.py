"""``report.html``: a run's report, as one self-contained page.

It takes plain data (curves, scores, images, tables) and knows no framework.
"""
