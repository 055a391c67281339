"""Judge proposals over generated menus with the rails and with the oracle, and print where they differ.

python -m tests.rails_oracle --proposals 1000000 [--seed 0]
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.rails_oracle.compare import REPLIES_EACH, compare


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposals", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0, help="seed of the first menu; each menu has the next one")
    args = parser.parse_args()
    began = time.monotonic()
    counts, differences = compare(args.proposals, args.seed)
    menus = -(-args.proposals // REPLIES_EACH)
    print(f"{counts.total():,} proposals over {menus:,} menus in {time.monotonic() - began:.0f} s")
    for rail, count in sorted(counts.items()):
        print(f"  {rail:<12} {count:>9,}")
    for d in differences[:20]:
        print(f"seed {d.seed}: rails {d.rails}, oracle {d.oracle}: {d.raw!r:.300}\n  {d.world!r:.900}")
    print(f"{len(differences)} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
