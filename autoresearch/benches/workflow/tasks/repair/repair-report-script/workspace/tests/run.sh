#!/bin/sh
# sh tests/run.sh: prints PASS or FAIL for each case; the exit code is the number of failures
cd "$(dirname "$0")/.." || exit 99
failures=0
check() {
    printf '%b' "$2" > "tests/tmp input.csv"
    got=$(sh bin/report.sh "tests/tmp input.csv" 2>&1)
    want=$(printf '%b' "$3")
    if [ "$got" = "$want" ]; then echo "PASS $1"; else echo "FAIL $1: got '$got', not '$want'"; failures=$((failures + 1)); fi
}
check header 'date,region,amount\n2026-03-01,north,5\n' 'north,5.00\n'
check sums 'date,region,amount\n2026-03-01,south,1.5\n2026-03-01,north,2\n2026-03-02,south,1\n' 'north,2.00\nsouth,2.50\n'
check blank_lines 'date,region,amount\n\n2026-03-01,east,1\n\n' 'east,1.00\n'
check refunds 'date,region,amount\n2026-03-01,west,10\n2026-03-02,west,-2.25\n' 'west,7.75\n'
check case 'date,region,amount\n2026-03-01,North,1\n2026-03-01,north,2\n' 'north,3.00\n'
rm -f "tests/tmp input.csv"
exit $failures
