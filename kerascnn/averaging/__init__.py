"""`soup`: one network whose weights are the mean of those of several runs."""
