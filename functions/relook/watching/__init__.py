"""What is looked at by the clock: drift, and checks that did not come."""
