"""What people are shown of the service's data, in words: for the command line and the prompt."""
