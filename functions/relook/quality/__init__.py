"""What records and evaluations say: rates, thresholds, drift, comparisons. Values in, values out; knows no AWS."""
