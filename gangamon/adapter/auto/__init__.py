"""What Ganga's monitoring does beside asking: resubmit, kill, look at the disk, ask for others."""
