"""What `expunge` can be told, by what it is for.

Everything a subcommand needs is imported inside it: the gateway must start without torch.
"""
