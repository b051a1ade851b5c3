"""What `kerascnn predict` does beside answering."""
