"""What `kerascnn doctor` finds out about a machine and an installation, and what it advises."""
