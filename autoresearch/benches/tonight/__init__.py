"""What should drive the loop tonight: one verdict from the bench runs of a box, with the numbers it stands on."""
