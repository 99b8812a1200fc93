"""One function per figure and table of a paper, by the names the configs use."""
from repro.reporting import zhang_claims
CLAIMS = {"zhang2017": zhang_claims.CLAIMS}
def draw(*a): return []
