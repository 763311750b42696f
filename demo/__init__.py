"""`expunge demo`: the whole story on scikit-learn's digits, through the front door."""
