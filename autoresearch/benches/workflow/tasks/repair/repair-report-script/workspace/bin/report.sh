#!/bin/sh
# Totals per region of a CSV file with the columns date,region,amount: sh bin/report.sh FILE
file=$1
sort $file | awk -F, '
    { total[$2] += $3 }
    END { for (region in total) print region "," total[region] }
'
