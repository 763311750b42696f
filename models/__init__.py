"""What is kept: database records and stored artifacts. No torch, no HTTP.

A *network* is never called a model here: that word is the registered model, a row.
"""
