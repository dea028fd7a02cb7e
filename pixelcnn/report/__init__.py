"""``report.html``: what a run did, on one page that needs nothing else.

It takes plain data (curves, scores, images, tables) and knows no framework.
"""
