"""What the peers of ./yard bench data are asked to do. Each file runs in its peer's environment, not in ours."""
