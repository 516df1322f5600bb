"""What a study asks, one question a file."""
