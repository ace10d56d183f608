"""What AWS is to us: typed clients, buckets, tables. botocore's exceptions end here, as errors of `relook.errors`."""
