"""Suite N: several samples of each question, graded without a judge where that is possible."""
