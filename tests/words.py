"""Turns of phrase that have a plainer word, wherever the repository has them; ``make lint`` fails on each."""

import re
import subprocess
import sys
from pathlib import Path

# What not to write, on one line or across two, and what to write. \s keeps this file from matching itself.
BETTER = {
    r"\b(go|goes|going|gone)\son\swith": "resume, continue with",
    r"\bgoes\son\sfrom": "resumes from",
    r"\bmend(s|ed|ing)?\b(?!=)": "fix",
    r"\banew\b": "again, from scratch",
    r"\bno\sfinite\b": "not finite, NaN or inf",
    r"\bis\sno\s(array|column|file|label|number|split)\b": "is not a …",
    r"\b(come|comes|came)\sto\s(its|an)\send\b": "finished",
    r"\bstands?\s(above|in)\b(?!\sfor)": "overrides, is in",
    r"\bshare\sof\s(a|the)\sway\b": "interpolation position",
    r"\bend\sof\s(a|the)\sway\b": "interpolation endpoint",
    r"\bmoving\saverage's\sweights\b": "EMA weights",
    r"\bpeak\sof\s(the\s)?matrix\sproducts\b": "peak matmul throughput",
    r"\bbits\sa\sdimension\b": "bits/dim",
    r"\bimages\sa\ssecond\b": "images/s",
    r"\b(is|was)\stold\b": "is set to, gets, receives",
    r"\basked\sotherwise\b": "overridden",
    r"\bnamed\sto\sit\b": "passed to it",
    r"\b(blocks?|bytes|FLOP|numbers|pass|rows?|lines?)\san?\s(stage|image|pixel|class|experiment)\b": "per",
}
SUFFIXES = ("*.py", "*.yaml", "*.md", "*.txt", "*.html", "Makefile")


def main() -> int:
    """Print each hit as ``file:line: what, and the better word``; 1 if there are any."""
    tracked = subprocess.run(["git", "ls-files", *SUFFIXES], capture_output=True, text=True, check=True)
    hits = 0
    for name in filter(lambda name: Path(name).is_file(), tracked.stdout.splitlines()):
        text = Path(name).read_text(encoding="utf-8")
        for pattern, better in BETTER.items():
            for hit in re.finditer(pattern, text, re.IGNORECASE):
                line = text.count("\n", 0, hit.start()) + 1
                print(f"{name}:{line}: {' '.join(hit[0].split())}: write {better}")
                hits += 1
    return min(hits, 1)


if __name__ == "__main__":
    sys.exit(main())
