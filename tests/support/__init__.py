"""What several test folders share: private servers, commands, waiting."""
